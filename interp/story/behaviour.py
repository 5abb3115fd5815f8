"""Claims about the model's behaviour: logits, single circles, ablations, patching, the table of answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from interp.html.numbers import fixed, number, percent
from interp.parts.rows import law_of
from interp.runs.run import Run

from .circuit import knows_step
from .claims import Claim, changed, is_there
from .standing import at, at_end, standing_of
from .transition import LEARNED

PARTS = ("clock_share", "junk_share", "defect_share", "certified_share")
"""Measures of the logits' decomposition; clock_share does not tell a clock from other circuits for addition."""


def profile_claim(run: Run, values: Mapping[str, Any], untrained: Mapping[str, Any]) -> Claim:
    """How much of the logits depends only on the distance from the right answer."""
    if not all(is_there(values[name]) for name in PARTS):
        return Claim("logits.none", f"{at_end(run)} all logits are zero.")
    form, junk, defect, certified = (values[name] for name in PARTS)
    text = (
        f"{at_end(run)} {percent(form)} of the logits' sum of squares is a function of the distance from the right "
        f"answer alone, {percent(junk)} is the same for all answers, and {percent(defect)} is neither; the first part "
        f"alone guarantees the right answer for {percent(certified)} of the pairs, whatever the rest is."
    )
    numbers = {name: values[name] for name in PARTS}
    if untrained and is_there(untrained["clock_share"]):
        numbers["untrained clock_share"] = untrained["clock_share"]
        text += f" Before any update the first part was {percent(untrained['clock_share'])}."
    return Claim("logits.profile", text, numbers, "the untrained snapshot")


def by_answer_claim(run: Run, steps: Sequence[int], right: Sequence[float]) -> Claim:
    """The share of answers whose own logit has the largest mean."""
    subject = "The share of answers that have the largest mean logit over their own pairs"
    chance = 1 / law_of(run).n
    claim = changed("logits.by_answer", subject, steps, right, percent, "chance", knows_step(run))
    assert claim is not None
    return Claim(claim.id, f"{claim.text} Chance is {percent(chance)}.", {**claim.numbers, "chance": chance}, "chance")


def coefficient_claim(values: Mapping[int, float]) -> Claim:
    """The largest coefficient of the key frequencies at the last snapshot, and the smallest."""
    ranked = sorted(values, key=lambda k: -abs(values[k]))
    text = f"Frequency {ranked[0]} ends with the largest coefficient, {number(values[ranked[0]])} logits"
    if len(ranked) > 1:
        text += f", and {ranked[-1]} with the smallest of the key ones, {number(values[ranked[-1]])}"
    numbers = {f"k = {k}": values[k] for k in values}
    return Claim("logits.coefficients", f"{text}.", numbers, "0, no part along that form")


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
            f"frequency {row.k}: {FORM_WORDS[row.form]} (correlation {fixed((row.value + 1) / 2, 3)})"
            for row in near.itertuples()
        )
        text = f"{at_end(run)} the logits of single circles follow closed forms: {each}."
    else:
        text = (
            f"{at_end(run)} no single circle's logits follow a closed form; the nearest is "
            f"{FORM_WORDS[str(best['form'])]} at frequency {best['k']} (correlation {fixed(correlation)})."
        )
    return Claim("pizza.circles", text, numbers, f"correlation {fixed((close + 1) / 2)}")


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
    loss, accuracy = number(whole["loss_nats"]), percent(whole["accuracy"])
    if not worst["loss_change_nats"] > 0:
        usual = f"which is {loss} nats (accuracy {accuracy}) without ablation"
        return Claim("ablations.none", f"{at(run, step)} no ablation raises the loss, {usual}.", numbers, "chance")
    text = (
        f"{at(run, step)} the ablation that raises the loss most is {worst['label']} ({worst['how']}): from {loss} to "
        f"{number(worst['loss_nats'])} nats, with accuracy changing from {accuracy} to {percent(worst['accuracy'])} "
        f"(chance: {percent(numbers['chance'])})."
    )
    return Claim("ablations.worst", text, numbers, "the model without ablation; chance")


def ablations_claim(run: Run, frame: Any) -> Claim:
    """The claim on the last snapshot's ablations in words that hold for the whole run, without its accuracies."""
    claim, worst = ablation_claim(run, run.last.step, frame), frame.loc[frame["loss_change_nats"].idxmax()]
    if claim.id == "ablations.none":
        return Claim(claim.id, f"{at_end(run)} no ablation raises the loss.", claim.numbers, claim.against)
    text = (
        f"{at_end(run)} the model depends most on {worst['label']}: its ablation multiplies the loss by "
        f"{number(worst['loss_nats'] / frame.iloc[0]['loss_nats'])}."
        if frame.iloc[0]["loss_nats"] > 0
        else f"{at_end(run)} the model depends most on {worst['label']}."
    )
    return Claim(claim.id, text, claim.numbers, claim.against)


def clean_claim(run: Run, rows: Sequence[int]) -> Claim:
    """How many of the clean pairs the model answers right: patching cannot restore any others."""
    logits, labels = run.last.logits[list(rows)], run.task.labels[list(rows), 0]
    right, count = int((logits.argmax(dim=1) == labels).sum()), len(rows)
    text = f"{at(run, run.last.step)} the model answers {right} of the {count} clean pairs right"
    poor = "" if 2 * right >= count else ", so patches have little to restore"
    return Claim("patching.clean", f"{text}{poor}.", {"right": right, "pairs": count}, "all pairs")


def swap_claim(early: int, late: int, is_fitted: bool) -> Claim:
    """The two snapshots whose activations are exchanged."""
    which = f"the snapshot nearest to the first {LEARNED} train accuracy" if is_fitted else "the first snapshot"
    text = (
        f"Between snapshots, on the same inputs: activations of step {early:,} ({which}) are patched into the "
        f"model of step {late:,}, and the reverse."
    )
    return Claim("patching.snapshots", text, {"early": early, "late": late})


def grid_claim(run: Run, first: Mapping[str, int], last: Mapping[str, int]) -> Claim:
    """How the number of right cells of the table changed; the numbers are those of the last snapshot, by state."""
    before, right = (sum(count for name, count in c.items() if "right" in name) for c in (first, last))
    wrong = sum(count for name, count in last.items() if "wrong" in name)
    text = f"{right:,} of {right + wrong:,} cells are right"
    if len(run.steps) > 1:
        change = (
            f"goes from {before:,} to {right:,}" if before != right else f"is {right:,} at the start and at the end"
        )
        text = f"The number of right cells {change}, of {right + wrong:,}"
    return Claim("grid.cells", f"{text}.", {**last, "chance": standing_of(run).chance}, "chance")
