"""Which part of the training obeys each setting of a run; one that no part obeys is refused by name."""

from collections.abc import Mapping

import torch

from train import streams
from train.config.knows import settings
from train.config.run import RunConfig
from train.errors import UndeclaredSetting
from train.model import init
from train.optim import filters, noise, optimizer
from train.passes.choose import Choice, choose
from train.passes.scope import OF_A_PASS
from train.tasks import batches

from . import schedule

READERS: Mapping[str, frozenset[str]] = {
    **OF_A_PASS,
    "initialisation": init.OBEYS,
    "noise": noise.OBEYS,
    "batches": batches.OBEYS,
    "filters": filters.OBEYS,
    "optimiser": optimizer.OBEYS,
    "schedule": schedule.OBEYS,
    "streams": streams.OBEYS,
}
"""Settings by the part that obeys them, as each part declares."""


def pass_of(config: RunConfig, device: torch.device, dtype: torch.dtype = torch.float32) -> Choice:
    """The pass of a run, or of a stack of runs like it.

    Raises:
        UndeclaredSetting: a setting that nothing obeys.
    """
    check_declared(config)
    return choose(config, device, dtype)


def check_declared(config: RunConfig) -> None:
    """Refuse a setting that nothing obeys.

    Raises:
        UndeclaredSetting: a field that differs from its default is in no part's ``OBEYS``.
    """
    declared = frozenset().union(*READERS.values())
    for setting in settings(config):
        if setting.name not in declared and not setting.is_default:
            raise UndeclaredSetting(
                f"{setting} would change nothing: no part of the training declares that it obeys "
                f"{setting.name!r}; add it to the OBEYS of the part that does ({', '.join(READERS)})"
            )
