"""Claims about the model's behaviour: logits, single circles, ablations, patching, the table of answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from interp.parts.rows import law_of
from interp.runs.run import Run

from .circuit import knows_step
from .claims import Claim, changed, is_there
from .standing import at, standing_of

PARTS = ("clock_share", "junk_share", "defect_share", "certified_share")
"""Measures of the logits' decomposition; clock_share does not tell a clock from other circuits for addition."""


def profile_claim(run: Run, values: Mapping[str, Any], untrained: Mapping[str, Any]) -> Claim:
    """How much of the logits depends only on the distance from the right answer."""
    if not all(is_there(values[name]) for name in PARTS):
        return Claim("logits.none", f"{at(run, run.last.step)} all logits are zero.")
    form, junk, defect, certified = (values[name] for name in PARTS)
    text = (
        f"{at(run, run.last.step)}, {form:.1%} of the logits' sum of squares is a function of c - (a+b) alone, "
        f"{junk:.1%} is the same for all answers c, and {defect:.1%} is neither; the first part alone guarantees the "
        f"right answer for {certified:.1%} of the pairs, whatever the rest is."
    )
    numbers = {name: values[name] for name in PARTS}
    if untrained and is_there(untrained["clock_share"]):
        numbers["untrained clock_share"] = untrained["clock_share"]
        text += f" Before any update the first part was {untrained['clock_share']:.1%}."
    return Claim("logits.profile", text, numbers, "the untrained snapshot")


def by_answer_claim(run: Run, steps: Sequence[int], right: Sequence[float]) -> Claim:
    """The share of answers whose own logit has the largest mean."""
    subject = "The share of answers that have the largest mean logit over their own pairs"
    chance = 1 / law_of(run).n
    claim = changed("logits.by_answer", subject, steps, right, ".1%", "chance", knows_step(run))
    assert claim is not None
    return Claim(claim.id, f"{claim.text} Chance is {chance:.1%}.", {**claim.numbers, "chance": chance}, "chance")


def coefficient_claim(run: Run, values: Mapping[str, float], text: str) -> Claim:
    """Coefficients of the key frequencies at the last snapshot."""
    return Claim("logits.coefficients", text, dict(values), "0, no part along that form")


FORM_WORDS = {
    "cos w(a+b-c)": "cos w(a+b-c)",
    "pizza": "the pizza form",
    "pizza, four phases": "the pizza form with four phases",
    "accompanying pizza": "the form of an accompanying pizza",
}
"""Names of the closed forms in sentences: cos w(a+b-c), which every circuit for addition produces, is no clock."""


def circles_claim(run: Run, rows: Any, close: float) -> Claim:
    """Whether single circles of the embedding follow a closed form, and the best of them. Columns k, form, value."""
    best = rows.loc[rows["value"].idxmax()]
    correlation = (best["value"] + 1) / 2
    near = rows.loc[rows.groupby("k")["value"].idxmax()]
    near = near[near["value"] >= close]
    numbers = {"best_k": int(best["k"]), "correlation": correlation, "close": len(near), "circles": rows["k"].nunique()}
    if len(near):
        each = "; ".join(
            f"k = {row.k}: {FORM_WORDS[row.form]} (correlation {(row.value + 1) / 2:.3f})" for row in near.itertuples()
        )
        text = f"{at(run, run.last.step)} the logits of single circles follow closed forms: {each}."
    else:
        text = (
            f"{at(run, run.last.step)} no single circle's logits follow a closed form; the nearest is "
            f"{FORM_WORDS[str(best['form'])]} at k = {best['k']} (correlation {correlation:.2f})."
        )
    return Claim("pizza.circles", text, numbers, f"correlation {(close + 1) / 2:.2f}")


# ---- interventions ---------------------------------------------------------------------------------


def ablation_claim(run: Run, step: int, frame: Any) -> Claim:
    """The ablation that raises the loss most, or that none raises it; the first row of ``frame`` has no ablation."""
    worst, whole = frame.loc[frame["loss_change_nats"].idxmax()], frame.iloc[0]
    numbers = {
        "loss": whole["loss_nats"],
        "accuracy": whole["accuracy"],
        "worst_loss": worst["loss_nats"],
        "worst_accuracy": worst["accuracy"],
        "chance": standing_of(run).chance,
    }
    loss, accuracy = f"{whole['loss_nats']:.3g}", f"{whole['accuracy']:.1%}"
    if not worst["loss_change_nats"] > 0:
        usual = f"which is {loss} nats (accuracy {accuracy}) without ablation"
        return Claim("ablations.none", f"{at(run, step)} no ablation raises the loss, {usual}.", numbers, "chance")
    text = (
        f"{at(run, step)} the ablation that raises the loss most is {worst['label']} ({worst['how']}): from {loss} to "
        f"{worst['loss_nats']:.3g} nats, with accuracy changing from {accuracy} to {worst['accuracy']:.1%} "
        f"(chance: {numbers['chance']:.1%})."
    )
    return Claim("ablations.worst", text, numbers, "the model without ablation; chance")


def clean_claim(run: Run, rows: Sequence[int]) -> Claim:
    """How many of the clean pairs the model answers right: patching cannot restore any others."""
    logits, labels = run.last.logits[list(rows)], run.task.labels[list(rows), 0]
    right, count = int((logits.argmax(dim=1) == labels).sum()), len(rows)
    text = f"{at(run, run.last.step)} the model answers {right} of the {count} clean pairs right"
    poor = "" if 2 * right >= count else ", so patches have little to restore"
    return Claim("patching.clean", f"{text}{poor}.", {"right": right, "pairs": count}, "all pairs")


def swap_claim(early: int, late: int, is_fitted: bool) -> Claim:
    """The two snapshots whose activations are exchanged."""
    which = "the snapshot nearest to the first 99% train accuracy" if is_fitted else "the first snapshot"
    text = (
        f"Between snapshots, on the same inputs: activations of step {early:,} ({which}) are patched into the "
        f"model of step {late:,}, and the reverse."
    )
    return Claim("patching.snapshots", text, {"early": early, "late": late})


def grid_claim(run: Run, counts: Mapping[str, int], text: str) -> Claim:
    """The numbers of cells of the table that are answered right and wrong, under the sentence ``text``."""
    return Claim("grid.cells", text, {**counts, "chance": standing_of(run).chance}, "chance")
