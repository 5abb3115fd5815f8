"""The updates of a run: optimiser, learning rate, batches and interventions, one field each."""

import math
from dataclasses import dataclass
from typing import Literal

from .checks import check_choices, check_float, check_int

Optimizer = Literal["adamw", "adam", "sgd", "muon"]
Precision = Literal["float32", "tf32", "bfloat16"]
Loss = Literal["softmax", "stablemax"]
LossPrecision = Literal["float64", "float32", "float16"]
Towards = Literal["origin", "init"]


@dataclass(frozen=True)
class OptimConfig:
    """Optimiser, learning rate and batches."""

    optimizer: Optimizer = "adamw"
    """Adam with decoupled (adamw) or coupled (adam) weight decay; sgd, coupled; muon on matrices, adamw on the rest."""
    lr: float = 1e-3
    """Learning rate after warm-up."""
    weight_decay: float = 1.0
    """Weight decay, on every trained tensor."""
    decay_towards: Towards = "origin"
    """Weights decay to zero, or to their initial values (Power et al. 2022)."""
    beta1: float = 0.9
    """Adam's first moment decay."""
    beta2: float = 0.98
    """Adam's second moment decay."""
    eps: float = 1e-8
    """Adam's epsilon."""
    momentum: float = 0.0
    """Momentum of sgd."""
    warmup_steps: int = 10
    """Update s uses lr * min(s / warmup_steps, 1), s counted from 0."""
    decay_steps: int | None = None
    """Step at which a half-cosine decay of the learning rate reaches decay_to * lr; by default no decay."""
    decay_to: float = 0.1
    """Final learning rate of the decay, as a fraction of lr."""
    batch_size: int | Literal["power"] | None = None
    """Rows per update, drawn without replacement each epoch; power: min(512, half of the rows); by default all rows."""
    precision: Precision = "float32"
    """Precision of matrix products in training, except the logits; tf32 needs a GPU. Weights are always float32."""
    loss: Loss = "softmax"
    """Cross-entropy of the softmax, or of StableMax (Prieto et al. 2025)."""
    loss_precision: LossPrecision = "float64"
    """Precision of the loss and of its gradient with respect to the logits."""
    update_noise: float = 0.0
    """Standard deviation of the noise in an update lr * (step + noise) (Power et al. 2022)."""
    weight_noise: float = 0.0
    """Standard deviation of noise on the weights during the gradient, redrawn each update (Power et al. 2022)."""
    dropout: float = 0.0
    """Dropout rate of the outputs of attention and MLP, before the residual sum (Power et al. 2022)."""
    muon_momentum: float = 0.95
    """Decay of Muon's momentum."""
    orthogonal_gradient: bool = False
    """Remove from each tensor's gradient the component along the tensor (Prieto et al. 2025)."""
    grokfast_alpha: float | None = None
    """Grokfast-EMA: decay of the moving average added to gradients (Lee et al. 2024); off by default."""
    grokfast_window: int | None = None
    """Grokfast-MA: window length of the mean gradient that is added once the window is full; off by default."""
    grokfast_lambda: float = 2.0
    """Factor on the average that Grokfast adds."""
    grokfast_from: int = 0
    """Update from which Grokfast is active and its average accumulates."""
    norm_clamp: float | None = None
    """Total norm of the trained weights, held at this multiple of the initial norm (Liu et al. 2022)."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name, high in (("lr", 1e3), ("weight_decay", 1e6), ("eps", 1.0), ("update_noise", 1e6)):
            check_float(self, name, 0.0, high)
        check_float(self, "weight_noise", 0.0, 1e6)
        for name in ("beta1", "beta2", "momentum", "muon_momentum", "grokfast_alpha", "dropout"):
            check_float(self, name, -math.inf, math.inf)
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} is out of range; it must be from 0 to below 1")
        check_int(self, "warmup_steps", 0, 10**9)
        check_float(self, "decay_to", 0.0, 1.0)
        check_int(self, "decay_steps", 1, 10**9)
        if self.batch_size != "power":
            check_int(self, "batch_size", 1, 10**9)
        check_int(self, "grokfast_window", 1, 10**6)
        check_int(self, "grokfast_from", 0, 10**9)
        check_float(self, "grokfast_lambda", 0.0, 1e6)
        check_float(self, "norm_clamp", 1e-6, 1e6)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse conflicting settings; ``train.config.idle`` refuses settings that would do nothing."""
        if self.decay_steps is not None and self.decay_steps <= self.warmup_steps:
            raise ValueError(
                f"decay_steps = {self.decay_steps} is not allowed; it must be above warmup_steps = {self.warmup_steps}"
            )
        if self.grokfast_alpha is not None and self.grokfast_window is not None:
            raise ValueError("grokfast_alpha and grokfast_window exclude each other: give one (EMA, or MA)")

    @property
    def grokfast(self) -> Literal["ema", "ma"] | None:
        """The average that Grokfast adds, if any."""
        if self.grokfast_alpha is not None:
            return "ema"
        return None if self.grokfast_window is None else "ma"

    @property
    def is_coupled(self) -> bool:
        """Whether weight decay is added to the gradient."""
        return self.optimizer in ("adam", "sgd")

    @property
    def logs_training_loss(self) -> bool:
        """Whether an update's loss is the model's own loss on all training rows, without noise or dropout."""
        return self.batch_size is None and self.dropout == 0 and self.weight_noise == 0

    @property
    def label(self) -> str:
        """The update in words, such as ``adamw with weight decay 1``, followed by settings that are not the default."""
        unusual = {
            f"momentum {self.momentum:g}": self.momentum > 0,
            "a learning rate that falls": self.decay_steps is not None,
            f"{self.precision} products": self.precision != "float32",
            "StableMax": self.loss == "stablemax",
            f"a {self.loss_precision} loss": self.loss_precision != "float64",
            f"update noise {self.update_noise:g}": self.update_noise > 0,
            f"weight noise {self.weight_noise:g}": self.weight_noise > 0,
            f"dropout {self.dropout:g}": self.dropout > 0,
            "orthogonal gradients": self.orthogonal_gradient,
            "Grokfast": self.grokfast == "ema",
            "Grokfast-MA": self.grokfast == "ma",
            "a constant norm": self.norm_clamp is not None,
        }
        decay = f"weight decay {self.weight_decay:g}" + " to the initial weights" * (self.decay_towards == "init")
        words = [decay, *(word for word, there in unusual.items() if there)]
        return f"{self.optimizer} with {', '.join(words)}"
