"""Which part of the training obeys each setting of a run; one that no part obeys is refused by name."""

from collections.abc import Mapping

from . import batches, dropout, filters, loss, noise, optim, precision, schedule, streams, tasks
from .config import RunConfig
from .errors import UndeclaredSetting
from .knows import settings
from .model import config as model
from .model import init

READERS: Mapping[str, frozenset[str]] = {
    "task": tasks.OBEYS,
    "model": model.OBEYS,
    "initialisation": init.OBEYS,
    "loss": loss.OBEYS,
    "dropout": dropout.OBEYS,
    "precision": precision.OBEYS,
    "noise": noise.OBEYS,
    "batches": batches.OBEYS,
    "filters": filters.OBEYS,
    "optimiser": optim.OBEYS,
    "schedule": schedule.OBEYS,
    "streams": streams.OBEYS,
}
"""Settings by the part that obeys them, as each part declares."""
OF_A_PASS = ("task", "model", "loss", "dropout", "precision")
"""Parts that a pass computes: it has to know their settings."""
NOT_OF_A_PASS = frozenset().union(*(names for part, names in READERS.items() if part not in OF_A_PASS))
"""Settings that no pass reads, such as the learning rate: they never decide the pass."""


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
