"""The verdict on a run: which circuit computes the sum, with the evidence and its baselines.

Sources. Zhong et al. 2023 (2306.17844) tell two circuits apart by two scores: a clock multiplies the operands' circles
in its attention, so the two operands' gradients differ (low gradient symmetricity) and the right answer's logit does
not depend on a - b (high distance irrelevance); a pizza adds them and takes absolute values, so gradients agree and the
right logit varies with a - b. Their exemplars score 0.994 and 0.17 (Model A, pizza) and 0.334 and 0.85 (Model B,
clock); medians over 1,044 of their runs (result/1l_fixedwidth.csv; circularity above 0.995) are at least 0.969 and at
most 0.39 up to attention rate 0.5, between 0.762 and 0.561, and 0.62 and 0.77, from 0.6 to 0.8, and 0.446 and 0.83
above. They give no thresholds: the ones below lie between these groups and are ours.

Limits. Every circuit for addition produces logits of the form cos w(a+b-c), so the form of the logits decides nothing.
A model without attention that depends on the operands (an attention rate of 0, an MLP) cannot multiply them: it is
never called a clock, and where its gradients agree it is a pizza whatever its distance irrelevance, which reaches 0.6
at attention rate 0 where the embedding is less circular. Untrained models can have any gradient symmetricity (1.00 for
the preset "quick", 0.44 for "zhong") and a distance irrelevance near 1: neither score means anything until the model
has learned the operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from interp.html.numbers import fixed, percent
from interp.measures import measure_snapshot
from interp.parts.memo import NotApplicable, part
from interp.parts.rows import law_of
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot

from .claims import Claim, frequencies, is_there, listed
from .standing import Standing, at, memorising_step, standing_of, untrained_step
from .transition import LEARNED, logged

SYMMETRIC, ASYMMETRIC = 0.9, 0.5
"""Gradient symmetricity from which the operands count as treated alike, and up to which as treated differently."""
IRRELEVANT = 0.6
"""Distance irrelevance from which the right logit does not depend on a - b."""
CIRCULAR = 0.5
"""Smallest circularity at which one frequency holds most of each leading component of the embedding."""
SUFFICIENT = 0.95
"""Share of all rows that the key frequencies' part of the logits must answer alone."""
CLOSE = 0.9
"""Score (2 x correlation - 1) from which a single circle's logits have a closed form."""
SCORES = ("gradient_symmetricity", "distance_irrelevance", "circularity", "restricted_acc_logit2d_all")
FORMS = {"circle_clock_fve": "clock", "circle_pizza_fve": "pizza"}
PUBLISHED = {
    "gradient_symmetricity": (0.994, 0.334),
    "distance_irrelevance": (0.172, 0.848),
    "circularity": (0.998, None),
}
"""Zhong et al.'s exemplars: Model A, a pizza, and Model B, a clock."""
ZHONG_CIRCULARITY = 0.995
"""Circularity from which Zhong et al. count a run."""


@dataclass(frozen=True)
class Verdict:
    """The circuit that computes the answers at the last snapshot, with the evidence.

    Attributes:
        kind: "clock", "pizza", "mixed" (signs of both), "undecided" (the evidence contradicts itself or does not
            apply) or "none" (no circuit to name: the model does not generalise, or the operation is not a sum).
        reason: the reason, as a clause that can follow "because".
        standing: how well the last snapshot answers.
        scores: the evidence at the last snapshot, by measure; undefined scores are left out.
        untrained, memorising: scores at the untrained snapshot, and at the first one that had fitted its training rows
            but not its test rows; empty where the run has no such snapshot.
        circles: by frequency, the closed form that a single circle's logits follow; circles that follow none are left
            out.
        has_law: whether the operation is a sum or a difference along a cycle at all.
    """

    kind: str
    reason: str
    standing: Standing
    scores: Mapping[str, float] = field(default_factory=dict)
    untrained: Mapping[str, float] = field(default_factory=dict)
    memorising: Mapping[str, float] = field(default_factory=dict)
    circles: Mapping[int, str] = field(default_factory=dict)
    has_law: bool = True


@part
def verdict_of(run: Run) -> Verdict:
    """The verdict on a run's last snapshot: from the first precondition that fails, else from the scores."""
    standing = standing_of(run)
    try:
        law = law_of(run)
    except NotApplicable as reason:
        why = f"clock and pizza are circuits for a sum in a cyclic group, and {reason}"
        return Verdict("none", why, standing, has_law=False)
    if not standing.generalises:
        return Verdict("none", _no_circuit(standing), standing)
    if law.sign != 1:
        reason = "the scores are defined for a sum, and this operation is a difference or a quotient"
        return Verdict("undecided", reason, standing)
    scores = scores_of(run.last)
    circles = circles_of(run.last)
    kind, reason = decide(scores, circles, _can_multiply(run))
    steps = {"untrained": untrained_step(run), "memorising": memorising_step(run)}
    earlier = {name: {} if step is None else scores_of(run[step]) for name, step in steps.items()}
    return Verdict(kind, reason, standing, scores, earlier["untrained"], earlier["memorising"], circles)


def _no_circuit(standing: Standing) -> str:
    """The reason why a model that does not generalise has no circuit to name."""
    reasons = {
        "memorises": f"the model memorised its training rows: it {standing.answers}",
        "between": f"the model {standing.answers}, which is more than memorisation achieves but short of {LEARNED}",
        "unfitted": f"the model has not learned the operation: it {standing.answers}",
        "unknown": "this kind of task has no accuracy by which to judge the model",
    }
    return reasons[standing.kind]


def scores_of(snap: Snapshot) -> dict[str, float]:
    """The measures ``SCORES`` at a snapshot, without those that are undefined."""
    return {name: value for name, value in measure_snapshot(snap, SCORES).items() if is_there(value)}


def circles_of(snap: Snapshot) -> dict[int, str]:
    """The closed form that a single circle's logits follow, "clock" or "pizza", by the circle's frequency."""
    scores: dict[int, dict[str, float]] = {}
    for name, value in measure_snapshot(snap, FORMS).items():
        if isinstance(value, dict):
            for k, score in value.items():
                scores.setdefault(k, {})[FORMS[name]] = score
    best = {k: max(forms, key=lambda form: forms[form]) for k, forms in scores.items()}
    return {k: form for k, form in sorted(best.items()) if scores[k][form] >= CLOSE}


def decide(scores: Mapping[str, float], circles: Mapping[int, str], can_multiply: bool) -> tuple[str, str]:
    """Kind and reason, from the evidence alone: see ``Verdict``.

    Args:
        scores: as ``scores_of`` gives them.
        circles: as ``circles_of`` gives them.
        can_multiply: whether attention depends on the operands, without which nothing multiplies their circles.
    """
    if scores.get("restricted_acc_logit2d_all", 0.0) < SUFFICIENT:
        return "undecided", "the key frequencies alone do not reproduce the model's answers"
    symmetricity, irrelevance = scores.get("gradient_symmetricity"), scores.get("distance_irrelevance")
    if symmetricity is None or irrelevance is None:
        return "undecided", "gradient symmetricity or distance irrelevance is not defined for this model"
    if scores.get("circularity", 0.0) < CIRCULAR:
        return "undecided", "the scores presuppose an embedding made of circles, which this one is not"
    if len(set(circles.values())) == 2:
        named = [
            f"the circle{'s' * (len(ks) > 1)} at {frequencies(ks)} follow{'s' * (len(ks) == 1)} a {form}'s closed form"
            for form in ("clock", "pizza")
            if (ks := [k for k, other in circles.items() if other == form])
        ]
        return "mixed", listed(named)
    if ASYMMETRIC < symmetricity < SYMMETRIC:
        return "mixed", "the operands' gradients agree more than in the published clocks and less than in the pizzas"
    is_pizza, is_clock = symmetricity >= SYMMETRIC, irrelevance >= IRRELEVANT
    if is_pizza and not can_multiply:
        return "pizza", "the operands' gradients agree, and there is no attention that could multiply the operands"
    if is_pizza == is_clock:
        return "undecided", "gradient symmetricity and distance irrelevance point to different circuits"
    if is_pizza:
        return "pizza", "the operands' gradients agree and the right answer's logit depends on a - b"
    if not can_multiply:
        return "undecided", (
            "the scores are those of a clock, but a clock multiplies the operands by attention that depends on them, "
            "and this model has none"
        )
    return "clock", "the operands' gradients differ and the right answer's logit hardly depends on a - b"


def _can_multiply(run: Run) -> bool:
    return run.config.model.arch == "transformer" and run.config.model.attn_rate > 0


# ---- claims ----------------------------------------------------------------------------------------

TITLES = {
    "clock": "**Clock.**",
    "pizza": "**Pizza.**",
    "mixed": "**Mixed**: signs of both a clock and a pizza.",
    "undecided": "**Undecided** between clock and pizza.",
    "none": "**There is no circuit to name.**",
}


def verdict_claim(run: Run) -> Claim:
    """The verdict in one to three sentences, which the overview and "Clock or pizza" share."""
    verdict = verdict_of(run)
    scores = {name: value for name, value in verdict.scores.items() if name in PUBLISHED}
    title = TITLES[verdict.kind] if verdict.has_law else "**There is no circuit to name** as a clock or a pizza."
    text = f"{title} {verdict.reason[:1].upper()}{verdict.reason[1:]}."
    if len(scores) >= 2 and verdict.kind != "none":
        quoted = [f"{_named(name)} is {fixed(value)}" for name, value in scores.items()]
        text += f" {at(run, run.last.step)}, {listed(quoted)}."
    numbers = {**verdict.standing.numbers, **verdict.scores}
    against = "99% accuracy and chance" if verdict.kind == "none" else "published pizza (Model A) and clock (Model B)"
    return Claim(f"verdict.{verdict.kind}", text, numbers, against)


def baseline_claims(run: Run) -> list[Claim]:
    """Gradient symmetricity before the model generalised, and a caveat if circularity is below the published range."""
    verdict, claims, name = verdict_of(run), [], "gradient_symmetricity"
    before = [
        *([f"{fixed(verdict.untrained[name])} before any update"] if name in verdict.untrained else []),
        *([f"{fixed(verdict.memorising[name])} {_memorising(run)}"] if name in verdict.memorising else []),
    ]
    if before and name in verdict.scores:
        numbers = {"untrained": verdict.untrained.get(name), "memorising": verdict.memorising.get(name)}
        text = (
            f"For comparison, gradient symmetricity was {listed(before)}, so this score alone is no evidence of a "
            "circuit."
        )
        quoted = {key: value for key, value in numbers.items() if value is not None} | {"last": verdict.scores[name]}
        claims.append(Claim("verdict.baseline", text, quoted, "untrained and memorising snapshots of the run"))
    circularity = verdict.scores.get("circularity")
    if verdict.kind in ("clock", "pizza", "mixed") and circularity is not None and circularity < ZHONG_CIRCULARITY:
        text = (
            f"Zhong et al. compare runs above circularity {ZHONG_CIRCULARITY}; here it is {fixed(circularity)}, so "
            "the comparison with their values is approximate."
        )
        claims.append(Claim("verdict.circularity", text, {"circularity": circularity}, "0.995, Zhong et al.'s runs"))
    return claims


def _memorising(run: Run) -> str:
    step = memorising_step(run)
    assert step is not None
    test = logged(run, "test_acc")[step]
    return f"at step {step:,}, where the model answered its training rows and {percent(test)} of its test rows"


def _named(measure: str) -> str:
    return measure.replace("_", " ")
