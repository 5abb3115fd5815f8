"""The part of the training code that obeys each setting of a run; a setting that no part obeys is refused by name."""

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
"""Settings by the part that obeys them, as declared in each part's ``OBEYS``."""


def pass_of(config: RunConfig, device: torch.device, dtype: torch.dtype = torch.float32) -> Choice:
    """The pass that trains a run, or a stack of runs of one shape.

    Raises:
        UndeclaredSetting: no part of the training obeys a setting of the run.
    """
    check_declared(config)
    return choose(config, device, dtype)


def check_declared(config: RunConfig) -> None:
    """Refuse settings that no part of the training obeys.

    Raises:
        UndeclaredSetting: a field that is not at its reference value is in no part's ``OBEYS``, or a field has no
            reference value.
    """
    declared = frozenset().union(*READERS.values())
    for setting in settings(config):
        if setting.name not in declared and not setting.is_neutral:
            raise UndeclaredSetting(
                f"{setting} would change nothing: no part of the training declares that it obeys "
                f"{setting.name!r}; add it to the OBEYS of the part that does ({', '.join(READERS)})"
            )
