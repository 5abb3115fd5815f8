"""The configuration of a run: frozen dataclasses that hold choices and derive everything else by property.

``RunConfig()`` is the run that ``python -m train.run`` trains without flags. The folder a run is written to, its device
and its number of threads change no numbers on a CPU: they are arguments of the command and never part of the config.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from train.errors import UsageError

from .checks import check_int
from .model import ModelConfig
from .optim import OptimConfig
from .reference import REFERENCE, reference_of, references_in
from .settings import from_dict, override
from .task import TaskConfig


@dataclass(frozen=True)
class ScheduleConfig:
    """Number of steps, and density of snapshots."""

    steps: int = 15_000
    """Total optimiser steps; not part of a run's identity: raise the number to extend a run."""
    per_decade: int = 16
    """Snapshots per factor of ten in steps; more are added where the test loss moves."""

    def __post_init__(self) -> None:
        check_int(self, "steps", 1, 10**9)
        check_int(self, "per_decade", 1, 1000)


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run's numbers."""

    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    seed: int = 0
    """Seed of initialisation, batches and (unless --split-seed is given) the split."""

    def __post_init__(self) -> None:
        check_int(self, "seed", 0, 2**63 - 1)
        if self.model.arch == "mlp" and self.task.layout != "a b":
            raise ValueError(f"an mlp reads the layout 'a b'; got {self.task.layout!r}: add --layout 'a b'")
        if self.model.attention == "bidirectional" and self.task.shape.feeds_answers:
            raise ValueError(
                f"layout {self.task.layout!r} feeds answers to the model, which attention 'bidirectional' would read "
                "ahead: leave out --attention"
            )
        self._check_rows()
        if self.model.arch == "mlp" and self.optim.dropout > 0:
            raise ValueError("dropout acts on the residual stream, and an mlp has none: leave out dropout")
        window = self.optim.grokfast_window
        if window is not None and window > self.schedule.steps:
            raise ValueError(
                f"grokfast_window = {window} is longer than the run's {self.schedule.steps} steps, so it would never "
                "act: lower it, or raise --steps"
            )

    def _check_rows(self) -> None:
        n, n_train, size = self.task.n_defined, self.task.n_train, self.optim.batch_size
        if n_train < 1:
            raise ValueError(f"train_frac = {self.task.train_frac} of {n} rows leaves nothing to train on; raise it")
        if self.task.outliers > n_train:
            raise ValueError(f"outliers = {self.task.outliers} is more than the {n_train} training rows; lower it")
        if isinstance(size, int) and size > n_train:
            raise ValueError(
                f"batch_size = {size} is more than the {n_train} training rows; lower it, or leave it out to train on "
                "all of them at every step"
            )

    if not TYPE_CHECKING:  # hidden from the type checker, which then reports unknown attributes

        def __getattr__(self, name: str) -> Any:
            """Fail with a message that names the part of the config that has the attribute.

            Raises:
                AttributeError: always; Python calls this method only for missing attributes.
            """
            parts = [f for f in dataclasses.fields(type(self)) if dataclasses.is_dataclass(f.type)]
            homes = [f"config.{part.name}.{name}" for part in parts if hasattr(part.type, name)]
            where = "" if name.startswith("_") or not homes else f"; use {' or '.join(homes)}"
            raise AttributeError(f"{type(self).__name__} has no {name!r}{where}")

    @property
    def split_seed(self) -> int:
        """Seed of the split, with the default resolved."""
        return self.seed if self.task.split_seed is None else self.task.split_seed

    @property
    def batch_rows(self) -> int | None:
        """Rows per update, or None for all training rows; "power" rounds halves up, as in Power et al. 2022's code."""
        size = self.optim.batch_size
        return min(512, -(-self.task.n_train // 2)) if size == "power" else size

    @property
    def d_vocab_out(self) -> int:
        """Number of logits."""
        return self.task.shape.n_labels if self.model.outputs == "answers" else self.task.d_vocab

    @property
    def run_id(self) -> str:
        """Directory name: task, seed and 8 hex digits of the identity's SHA-256."""
        return f"{self.task.label}-s{self.seed}-{hashlib.sha256(self.identity.encode()).hexdigest()[:8]}"

    @property
    def identity(self) -> str:
        """Canonical JSON of the settings that identify the run; two runs with equal identities are the same run.

        Fields at their reference values (see ``train.config.reference``) are left out, so that neither a field added
        later nor a changed default renames a run. The number of steps is left out, so that a run can be extended.
        """
        return json.dumps(_differences(self), sort_keys=True, separators=(",", ":"))

    def to_dict(self) -> dict[str, Any]:
        """Every field as a nested dictionary of JSON values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> "RunConfig":
        """Inverse of ``to_dict``.

        A missing field takes its reference value (see ``train.config.reference``): the run was written before the
        field was added.

        Raises:
            ValueError: an unknown field, or a value that is not allowed.
        """
        parts = {"task": TaskConfig, "model": ModelConfig, "optim": OptimConfig, "schedule": ScheduleConfig}
        made = {name: from_dict(cls, _with_references(name, data.get(name, {})), name) for name, cls in parts.items()}
        rest = {name: value for name, value in data.items() if name not in parts}
        return from_dict(RunConfig, {"seed": REFERENCE["seed"], **made, **rest}, "run")

    def with_(self, **fields: Any) -> "RunConfig":
        """A copy with some fields replaced, by the names of their flags: ``config.with_(op="mul")``.

        Setting only ``group`` unsets ``p``, and vice versa. An integer may be written as a float, such as 4e4.

        Raises:
            UsageError: an unknown name (the message suggests the nearest), or a value that is not allowed or has no
                effect.
        """
        try:
            return override(self, fields)
        except ValueError as error:
            raise UsageError(str(error)) from error


def _with_references(part: str, fields: Any) -> Any:
    """The fields of a part of a config; missing fields take their reference values."""
    return {**references_in(part), **fields} if isinstance(fields, dict) else fields


def _differences(config: Any, prefix: str = "") -> dict[str, Any]:
    """Fields (nested) that differ from their reference values, except the number of steps."""
    differences: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value, name = getattr(config, f.name), prefix + f.name
        if dataclasses.is_dataclass(value):
            inner = _differences(value, f"{name}.")
            if inner:
                differences[f.name] = inner
        elif name != "schedule.steps" and value != reference_of(name, f.default):
            differences[f.name] = value
    return differences
