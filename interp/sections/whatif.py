"""What-if: the network computes in the page, for a pair and a step that the reader chooses, with parts switched off."""

from pathlib import Path

import torch

from interp.figures.grids import COLOURS
from interp.html.blocks import Block, Text
from interp.html.numbers import percent
from interp.html.widgets import Widget, joined
from interp.measures.frequencies import FVE
from interp.parts.memo import NotApplicable
from interp.runs.run import Run
from interp.story.claims import Claim, said
from interp.story.network import Computed, computed_of
from interp.story.stages import stages_claim, stages_of

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("dom", "forward", "spectra", "model", "panels", "circles", "whatif")
NANDA = "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217)"


def build(run: Run) -> list[Block]:
    """One widget, or the reason why the page cannot compute this network."""
    try:
        computed = computed_of(run)
    except NotApplicable as reason:
        return [Text(f"Not shown: {reason}.")]
    return [
        Widget(
            id="network",
            heading="Try it: the network itself, in this page",
            takeaway=said(
                "Choose a pair and a step of training, and switch parts of the network off.",
                stages_claim(run, computed.stages, stages_of(run)),
                _rounding(computed),
            ),
            how=_how(computed),
            source=f"The excluded loss is that of {NANDA}; attention, neurons and logits are the model's own, at the "
            "position where the answer is read.",
            alt="Controls for the two operands, the step and the parts that are switched off; a table of all pairs, "
            "the angles of the operands, the attention of each head, the activations of the neurons and the logits.",
            name="whatif",
            script=joined(*(ASSETS / f"{name}.js" for name in SCRIPTS)),
            arrays=computed.arrays,
            options=_options(computed),
            still=said(*(_answer(run, computed, i) for i in range(len(computed.stages)))),
        )
    ]


def _options(computed: Computed) -> dict:
    has_split = computed.options["hasSplit"]
    marked = ", darker: training pairs" if has_split else ""
    return computed.options | {
        "states": list(COLOURS),
        "tableNote": f"Blue: right, orange: wrong{marked}.",
        "clusterNote": f"Activations for this pair. {_clusters(computed)}.",
    }


def _clusters(computed: Computed) -> str:
    """How the neurons are ordered."""
    if computed.no_clusters:
        return f"Not in clusters: {computed.no_clusters}"
    if computed.options["cycle"]:
        return "Clusters by frequency at the last snapshot; in a cluster the neurons are in the order of their phase"
    return "Clusters by irrep at the last snapshot"


def _rounding(computed: Computed) -> Claim:
    """How the page's logits differ from the run's."""
    if computed.network.precision == "float32":
        return Claim("whatif.rounding", "The weights are those of the run, in 32 bits.")
    most = max(computed.network.difference)
    change = f"no logit by more than {percent(most, 2)} of the largest" if most > 0 else "no logit"
    text = f"The weights are those of the run, rounded to 16 bits, which changes {change}."
    return Claim("whatif.rounding", text, {"difference": most}, "the largest logit")


def _how(computed: Computed) -> str:
    """What a switch does, and why some switches are missing."""
    parts = ["All of it is computed anew for each choice."]
    if computed.options["keys"]:
        what = "a frequency" if computed.options["cycle"] else "an irrep"
        at = "cos and sin of w(a+b)" if computed.options["cycle"] else "its matrix coefficients of ab"
        parts.append(
            f"Switching off {what} takes the parts of the logits at {at} away, over all pairs and after all other "
            "switches, as in the excluded loss."
        )
    elif computed.no_units:
        parts.append(f"There are no frequencies to switch off: {computed.no_units}.")
    if computed.options["heads"]:
        parts.append("A head that is off writes nothing to the residual stream.")
    if computed.options["neurons"]:
        parts.append("Neurons that are off are 0.")
        if not computed.no_clusters:
            parts.append(f"A neuron belongs to what explains more than {percent(FVE, 0)} of its variance.")
    return " ".join(parts)


def _answer(run: Run, computed: Computed, i: int) -> Claim:
    """The network's answer to the first pair at one stage, with its probability."""
    stage, (a, b) = computed.stages[i], computed.options["start"]
    row = a * computed.options["n"] + b
    probabilities = run[stage.step].logits[row].double().softmax(dim=-1)
    answer = int(torch.argmax(probabilities))
    elements, names = computed.options["elements"], computed.options["names"]
    right = int(run.task.table.values[a, b]) if run.task.table is not None else -1
    text = (
        f"{stage.when} the network answers {names[answer]} to a = {elements[a]}, b = {elements[b]}, with probability "
    )
    text += f"{percent(float(probabilities[answer]))}"
    text += ", which is right." if answer == right else f"; right is {elements[right]}." if right >= 0 else "."
    return Claim(f"whatif.answer_{i}", text, {"probability": float(probabilities[answer])}, "")
