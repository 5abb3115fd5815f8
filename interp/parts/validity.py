"""Settings of the model and the task for which a formula holds."""

from interp.runs.run import Run
from train.config.knows import Knows, unknown
from train.passes.frugal import KNOWS
from train.passes.scope import NOT_OF_A_PASS

from .memo import NotApplicable

NO_NEURONS = "an attention-only model has no neurons"
MATRICES: Knows = {**KNOWS, "model.norm": {"none"}}
"""Settings for which matrices of weights join embeddings, neurons and logits as the papers multiply them."""
FORWARD = ("task", "model")
"""Parts of the config that a model's forward depends on."""
NOT_OF_A_FORWARD = NOT_OF_A_PASS | {f"task.{name}" for name in ("train_frac", "split", "split_seed", "outliers")}
"""Settings of these that it does not: initialisation, labels and the split, which may be unknown."""


def require(run: Run, knows: Knows, what: str) -> None:
    """Refuse a run whose model or task a formula was not written for.

    Args:
        knows: settings of the model and the task that the formula holds for.
        what: the formula, as the reason names it.

    Raises:
        NotApplicable: the run has a setting of another value.
    """
    setting = unknown(knows, run.config, FORWARD, NOT_OF_A_FORWARD)
    if setting is not None:
        raise NotApplicable(f"{what} is not defined for {setting}")
