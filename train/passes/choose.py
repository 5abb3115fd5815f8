"""The choice of the pass that trains a run: the fastest pass that implements all its settings, else the plain one."""

from dataclasses import dataclass

import torch

from train.config.knows import Setting
from train.config.run import RunConfig
from train.passes.layers.layer_pass import LayerPass
from train.passes.tables.table_pass import TablePass

from .functional import FunctionalPass
from .plain import PlainPass
from .protocol import unknown_to
from .vmapped import VmappedPass

PASSES = (TablePass, LayerPass, FunctionalPass, VmappedPass, PlainPass)
"""All passes, the fastest first."""


@dataclass(frozen=True)
class Choice:
    """A pass, and the setting that ruled out the faster ones."""

    kind: type[TablePass | LayerPass | FunctionalPass | VmappedPass | PlainPass]
    because: Setting | None
    """A setting that no faster pass on this device implements; None if the pass is the fastest one."""

    @property
    def name(self) -> str:
        """The pass's name in ``run.json``."""
        return self.kind.NAME

    @property
    def record(self) -> dict[str, str]:
        """The entries about the pass in a session of ``run.json``."""
        return {"pass": self.name} | ({"pass_because_of": str(self.because)} if self.is_slow else {})

    @property
    def is_slow(self) -> bool:
        """Whether the pass is the plain one."""
        return self.kind is PlainPass

    def __str__(self) -> str:
        slow = f", which is slow: no faster one knows {self.because}" if self.is_slow else ""
        return f"by the {self.name} pass{slow}"


def choose(config: RunConfig, device: torch.device, dtype: torch.dtype = torch.float32) -> Choice:
    """The fastest pass that implements the run's settings, which ``engine.readers.check_declared`` has checked."""
    because = None
    for kind in PASSES:
        if not kind.runs_on(device, dtype):
            continue
        setting = unknown_to(kind.KNOWS, config)
        if setting is None:
            return Choice(kind, because)
        because = setting
    raise AssertionError(f"the plain pass does not know {because}, which is declared")
