"""How a run is updated: optimiser, learning rate, batches, and every intervention on them, each a field."""

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
    """Of sgd."""
    warmup_steps: int = 10
    """Update s uses lr * min(s / warmup_steps, 1), s counted from 0."""
    decay_steps: int | None = None
    """The learning rate falls along a half cosine to decay_to * lr at this step; constant where not given."""
    decay_to: float = 0.1
    """Share of lr that is left from decay_steps on."""
    batch_size: int | Literal["power"] | None = None
    """Rows per update, drawn without replacement each epoch; power is min(512, half of them); all where not given."""
    precision: Precision = "float32"
    """Of training's matrix products, those of logits aside; tf32 needs a GPU. Weights and evaluations are float32."""
    loss: Loss = "softmax"
    """Cross-entropy of the softmax, or of StableMax (Prieto et al. 2025)."""
    loss_precision: LossPrecision = "float64"
    """Of the loss and its gradient in the logits."""
    update_noise: float = 0.0
    """An update is lr * (step + this * N(0, 1)) (Power et al. 2022)."""
    weight_noise: float = 0.0
    """Gradients are taken at weights + this * N(0, 1), drawn anew at each update (Power et al. 2022)."""
    dropout: float = 0.0
    """Share of what attention and MLP add to the residual stream that is dropped in training (Power et al. 2022)."""
    muon_momentum: float = 0.95
    """Decay of Muon's momentum."""
    orthogonal_gradient: bool = False
    """Take out of each tensor's gradient what scales the tensor (Prieto et al. 2025)."""
    grokfast_alpha: float | None = None
    """Grokfast-EMA: decay of the moving average that is added to gradients (Lee et al. 2024); none where not given."""
    grokfast_window: int | None = None
    """Grokfast-MA: the mean of so many last gradients is added, once there are so many; none where not given."""
    grokfast_lambda: float = 2.0
    """How many times it is added."""
    grokfast_from: int = 0
    """Update at which Grokfast begins, its average with it."""
    norm_clamp: float | None = None
    """Hold the total norm of the trained weights at so many times their initial one (Liu et al. 2022)."""

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
        """Refuse what does not go together; what would do nothing is refused by ``train.config.idle``."""
        if self.decay_steps is not None and self.decay_steps <= self.warmup_steps:
            raise ValueError(
                f"decay_steps = {self.decay_steps} is not allowed; it must be above warmup_steps = {self.warmup_steps}"
            )
        if self.grokfast_alpha is not None and self.grokfast_window is not None:
            raise ValueError("grokfast_alpha and grokfast_window exclude each other: give one (EMA, or MA)")

    @property
    def grokfast(self) -> Literal["ema", "ma"] | None:
        """Which average Grokfast adds, if any."""
        if self.grokfast_alpha is not None:
            return "ema"
        return None if self.grokfast_window is None else "ma"

    @property
    def is_coupled(self) -> bool:
        """Whether weight decay goes through the gradient."""
        return self.optimizer in ("adam", "sgd")

    @property
    def logs_training_loss(self) -> bool:
        """Whether an update's loss is that of the model itself on all training rows."""
        return self.batch_size is None and self.dropout == 0 and self.weight_noise == 0

    @property
    def label(self) -> str:
        """The update in words: ``adamw with weight decay 1`` and what is unusual about it."""
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
