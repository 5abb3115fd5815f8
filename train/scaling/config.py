"""Config of a simulation: the task, the model and its training."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from train.errors import UsageError

from .checks import check_gamma, check_seed, check_size, check_step_size, check_task

Form = Literal["random_features", "plain", "projected"]
Dynamics = Literal["reduced", "matrix"]


@dataclass(frozen=True)
class ScalingConfig:
    """The projected two-layer linear model of Bordelon et al. 2024 (2409.17858) on a power-law task."""

    alpha: float = 1.5
    """Capacity, > 1: the kernel's eigenvalues are k^-alpha."""
    beta: float = 0.5
    """Source, > 0: the target's power at k is k^-(1 + alpha beta); below 1 the task is hard."""
    gamma: float = 1.0
    """Strength of feature learning; 0 is lazy."""
    form: Form = "projected"
    """random_features: only the readout is trained (gamma is 0). projected: the first layer is trained too, in the row
    space of A(0). plain: A(0) = sqrt(N) I with N = M, a two-layer linear network without a bottleneck."""
    n: int = 64
    """Width N; equal to M in the plain form."""
    m: int = 512
    """Number of modes M."""
    b: int | None = None
    """Fresh samples per step; the whole population by default."""
    p: int | None = None
    """Samples that are reused at every step; not together with b."""
    tail: bool = False
    """Include the modes beyond M: by their mean in kernel and target, and in the loss. Population only."""
    eta: float = 0.05
    """Step size."""
    steps: int = 1_000
    """Number of updates; time t is eta times updates."""
    seeds: int = 4
    """Independent draws of A(0) and data, trained side by side."""
    seed: int = 0
    """Seed of the first draw; the others follow."""
    dynamics: Dynamics = "reduced"
    """matrix: A(t) itself, N x M numbers. reduced: B(t) of A(t) = B(t) A(0), N x N numbers; equal up to rounding."""

    def __post_init__(self) -> None:
        check_task(self.alpha, self.beta)
        check_gamma(self.gamma)
        check_step_size(self.eta)
        check_seed(self.seed)
        for name in ("n", "m", "steps", "seeds"):
            check_size(name, getattr(self, name))
        for name in ("b", "p"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} = {value} is not allowed: give a whole number of at least 1, or leave it out")
        if self.b is not None and self.p is not None:
            raise UsageError("b and p exclude each other: fresh batches (b), or the same samples at every step (p)")
        if self.tail and (self.b is not None or self.p is not None):
            raise UsageError("tail needs the population: leave out b and p, or tail")
        if self.tail and self.dynamics == "matrix" and self.form != "plain":
            raise UsageError(f"matrix dynamics of the {self.form} form hold no tail: leave out tail, or give reduced")
        if self.form == "random_features" and self.gamma != 0:
            raise UsageError(f"random features do not learn: give gamma 0, not {self.gamma:g}, or form projected")
        if self.form == "plain" and self.n != self.m:
            raise UsageError(f"the plain form has n = m: give both, not n = {self.n} with m = {self.m}")

    @property
    def t_max(self) -> float:
        """Time of the last update."""
        return self.eta * self.steps

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values, for JSON."""
        return asdict(self)

    @property
    def name(self) -> str:
        """Name of the run's directory: form, exponents and 8 digits of the SHA-256 of all fields."""
        digest = hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:8]
        return f"scaling-{self.form}-a{self.alpha:g}-b{self.beta:g}-g{self.gamma:g}-{digest}"


_PLAIN = ScalingConfig(form="plain", n=768, m=768, tail=True, steps=1_200, seeds=1, gamma=0.0)
PRESETS: dict[str, ScalingConfig] = {
    "hard-lazy": _PLAIN,
    "hard-rich": replace(_PLAIN, gamma=4.0),
    "easy-lazy": replace(_PLAIN, beta=1.5),
    "easy-rich": replace(_PLAIN, beta=1.5, gamma=4.0),
    "super-easy-sgd": replace(_PLAIN, n=1500, m=1500, tail=False, beta=3.0, b=4, eta=0.3, steps=3_000, seeds=2),
    "narrow": ScalingConfig(gamma=0.0, n=64, tail=True, steps=20_000, eta=0.1),
    "few-samples": ScalingConfig(gamma=0.0, n=512, m=512, form="plain", p=64, steps=20_000, eta=0.1),
}
"""Presets by the name that the command takes."""
