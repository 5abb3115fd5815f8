"""Settings that a pass implements, and settings that no pass reads."""

from collections.abc import Mapping

from train.config.knows import settings
from train.config.run import RunConfig
from train.model import config as model
from train.model import init, precision
from train.tasks import task

from . import dropout, loss

OF_A_PASS: Mapping[str, frozenset[str]] = {
    "task": task.OBEYS,
    "model": model.OBEYS,
    "loss": loss.OBEYS,
    "dropout": dropout.OBEYS,
    "precision": precision.OBEYS,
}
"""Settings that a pass has to implement, by the part of the code that declares them."""


def _is_read(name: str) -> bool:
    """Whether passes read a setting; undeclared settings of task or model count as read, and are therefore refused."""
    if name.partition(".")[0] in ("task", "model"):
        return name not in init.OBEYS
    return any(name in names for names in OF_A_PASS.values())


NOT_OF_A_PASS = frozenset(s.name for s in settings(RunConfig()) if not _is_read(s.name))
"""Settings that no pass reads, such as the learning rate, and that do not affect the choice of the pass."""
