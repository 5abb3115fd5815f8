"""Checks that a formula holds for the settings of a run's model and task."""

from interp.runs.run import Run
from train.config.knows import Knows, unknown
from train.passes.frugal import KNOWS
from train.passes.scope import NOT_OF_A_PASS

from .memo import NotApplicable

NO_NEURONS = "an attention-only model has no neurons"
MATRICES: Knows = {**KNOWS, "model.norm": {"none"}}
"""Settings under which the papers' products of weight matrices map embeddings to neurons, and neurons to logits."""
FORWARD = ("task", "model")
"""Parts of the config that a model's forward pass may depend on."""
NOT_OF_A_FORWARD = NOT_OF_A_PASS | {f"task.{name}" for name in ("train_frac", "split", "split_seed", "outliers")}
"""Settings in ``FORWARD`` without effect on a forward pass: initialisation, labels, and the split."""


def require(run: Run, knows: Knows, what: str) -> None:
    """Refuse a run with a setting of the model or the task for which a formula was not written.

    Args:
        run: the run.
        knows: values of settings for which the formula holds.
        what: name of the formula in the reason.

    Raises:
        NotApplicable: a setting has another value.
    """
    setting = unknown(knows, run.config, FORWARD, NOT_OF_A_FORWARD)
    if setting is not None:
        raise NotApplicable(f"{what} is not defined for {setting}")
