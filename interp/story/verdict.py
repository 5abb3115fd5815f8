"""Which circuit adds: one verdict a run, with its evidence and what that is measured against.

Sources. Zhong et al. 2023 (2306.17844) tell two circuits apart by two scores: a clock multiplies the operands' circles
in its attention, so the two operands' gradients differ (low gradient symmetricity) and the right answer's logit does
not depend on a - b (high distance irrelevance); a pizza adds them and takes absolute values, so gradients agree and the
right logit varies with a - b. Their exemplars score 0.994 and 0.17 (Model A, pizza) and 0.334 and 0.85 (Model B,
clock); medians over 1,044 of their runs (result/1l_fixedwidth.csv; circularity above 0.995) are at least 0.969 and at
most 0.39 up to attention rate 0.5, between 0.762 and 0.561, and 0.62 and 0.77, from 0.6 to 0.8, and 0.446 and 0.83
above. They give no thresholds: the ones below lie between these groups and are ours.

What cannot tell them apart. cos w(a+b-c) is what every circuit for addition puts out, so the form of the logits decides
nothing. Nor can a model multiply operands without attention that depends on them (an attention rate of 0, an MLP): it
is never called a clock, and where its gradients agree it is a pizza whatever its distance irrelevance, which comes to
0.6 at attention rate 0 where the embedding is less circular. Untrained models have any gradient symmetricity (1.00 for
the preset "quick", 0.44 for "zhong") and a distance irrelevance near 1: neither score means anything before the model
answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from interp.measures import measure_snapshot
from interp.parts.memo import NotApplicable, part
from interp.parts.rows import law_of
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot

from .claims import Claim, frequencies, is_there, listed
from .standing import Standing, at, memorising_step, standing_of, untrained_step
from .transition import logged

SYMMETRIC, ASYMMETRIC = 0.9, 0.5
"""Gradient symmetricity from which operands are treated alike, and up to which they are not."""
IRRELEVANT = 0.6
"""Distance irrelevance from which the right logit does not depend on a - b."""
CIRCULAR = 0.5
"""Least circularity: one frequency then holds most of each leading component of the embedding."""
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
    """What computes the answers at the last snapshot.

    Attributes:
        kind: "clock", "pizza", "mixed" (signs of both), "undecided" (the evidence contradicts itself or does not
            apply) or "none" (no circuit to name: the model does not answer rows it was not trained on, or what it
            computes is no sum).
        reason: why, as a clause that follows "because".
        scores: the evidence by measure at the last snapshot; those that exist.
        untrained, memorising: the same at the untrained snapshot and at the first one that had fitted its training
            rows and not its test rows; empty where the run has none.
        circles: the closed form that the logits of single circles of the embedding follow, by frequency; those that
            follow one.
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
    """The verdict on a run's last snapshot; the first precondition that fails decides, then the scores do."""
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
    before = {"untrained": untrained_step(run), "memorising": memorising_step(run)}
    found = {name: {} if step is None else scores_of(run[step]) for name, step in before.items()}
    return Verdict(kind, reason, standing, scores, found["untrained"], found["memorising"], circles)


def _no_circuit(standing: Standing) -> str:
    """Why a model that does not answer has no circuit."""
    why = {
        "memorises": f"the model memorised its training rows: it {standing.answers}",
        "between": f"the model {standing.answers}, which is more than memory gives and short of 99%",
        "unfitted": f"the model has not learned the operation: it {standing.answers}",
        "unknown": "no accuracy says that the model answers",
    }
    return why[standing.kind]


def scores_of(snap: Snapshot) -> dict[str, float]:
    """The evidence at a snapshot, where it exists: ``SCORES``."""
    return {name: value for name, value in measure_snapshot(snap, SCORES).items() if is_there(value)}


def circles_of(snap: Snapshot) -> dict[int, str]:
    """Frequencies of which a single circle's logits follow a closed form, and the nearer one: "clock" or "pizza"."""
    found: dict[int, dict[str, float]] = {}
    for name, value in measure_snapshot(snap, FORMS).items():
        if isinstance(value, dict):
            for k, score in value.items():
                found.setdefault(k, {})[FORMS[name]] = score
    best = {k: max(forms, key=lambda form: forms[form]) for k, forms in found.items()}
    return {k: form for k, form in sorted(best.items()) if found[k][form] >= CLOSE}


def decide(scores: Mapping[str, float], circles: Mapping[int, str], can_multiply: bool) -> tuple[str, str]:
    """Kind and reason, from the evidence alone: see ``Verdict``.

    Args:
        scores: as ``scores_of`` gives them.
        circles: as ``circles_of`` gives them.
        can_multiply: whether attention depends on the operands, without which nothing multiplies their circles.
    """
    if scores.get("restricted_acc_logit2d_all", 0.0) < SUFFICIENT:
        return "undecided", "the key frequencies alone do not give the model's answers"
    symmetricity, irrelevance = scores.get("gradient_symmetricity"), scores.get("distance_irrelevance")
    if symmetricity is None or irrelevance is None:
        return "undecided", "one of the two scores does not exist for this model"
    if scores.get("circularity", 0.0) < CIRCULAR:
        return "undecided", "the embedding is not made of circles, which the scores presuppose"
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
        return "pizza", "the operands' gradients agree, and no attention depends on the operands to multiply them"
    if is_pizza == is_clock:
        return "undecided", "the two scores point to different circuits"
    if is_pizza:
        return "pizza", "the operands' gradients agree and the right answer's logit depends on a - b"
    if not can_multiply:
        return "undecided", (
            "the scores are a clock's, but this model has no attention that depends on the operands, with which a "
            "clock multiplies them"
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
    """The verdict in a sentence or three: the same in the overview and in "Clock or pizza"."""
    found = verdict_of(run)
    scores = {name: value for name, value in found.scores.items() if name in PUBLISHED}
    title = TITLES[found.kind] if found.has_law else "**There is no circuit to name** as a clock or a pizza."
    text = f"{title} {found.reason[:1].upper()}{found.reason[1:]}."
    if len(scores) >= 2 and found.kind != "none":
        quoted = [f"{_named(name)} {value:.2f}" for name, value in scores.items()]
        text += f" {at(run, run.last.step)}: {listed(quoted)}."
    numbers = {**found.standing.numbers, **found.scores}
    against = "99% accuracy and chance" if found.kind == "none" else "published pizza (Model A) and clock (Model B)"
    return Claim(f"verdict.{found.kind}", text, numbers, against)


def baseline_claims(run: Run) -> list[Claim]:
    """What the scores were before quoted was a circuit, and where they are used outside their range."""
    found, claims, name = verdict_of(run), [], "gradient_symmetricity"
    before = [
        *([f"{found.untrained[name]:.2f} before any update"] if name in found.untrained else []),
        *([f"{found.memorising[name]:.2f} {_memorising(run)}"] if name in found.memorising else []),
    ]
    if before and name in found.scores:
        numbers = {"untrained": found.untrained.get(name), "memorising": found.memorising.get(name)}
        text = f"For comparison, gradient symmetricity was {listed(before)}: alone it is no evidence of a circuit."
        quoted = {key: value for key, value in numbers.items() if value is not None} | {"last": found.scores[name]}
        claims.append(Claim("verdict.baseline", text, quoted, "untrained and memorising snapshots of the run"))
    circularity = found.scores.get("circularity")
    if found.kind in ("clock", "pizza", "mixed") and circularity is not None and circularity < ZHONG_CIRCULARITY:
        text = (
            f"Zhong et al. compare runs with circularity above {ZHONG_CIRCULARITY} only; here it is {circularity:.2f}, "
            "so the comparison with their values is approximate."
        )
        claims.append(Claim("verdict.circularity", text, {"circularity": circularity}, "0.995, Zhong et al.'s runs"))
    return claims


def _memorising(run: Run) -> str:
    step = memorising_step(run)
    assert step is not None
    test = logged(run, "test_acc")[step]
    return f"at step {step:,}, where the model answered its training rows and {test:.1%} of its test rows"


def _named(measure: str) -> str:
    return measure.replace("_", " ")
