"""Circles of the neuron-logit map, or of the output layer: the answers on cos and sin of each key frequency."""

from interp.html.blocks import Block, Figure, Text
from interp.parts.memo import NotApplicable
from interp.parts.readouts import readouts
from interp.parts.rows import table_of
from interp.runs.run import Run
from interp.story.circles import circles_of
from interp.story.standing import over_run
from interp.story.words import READOUTS

FIGURES = {"output": "the neuron-logit map, or the output layer, on cos and sin of each key frequency"}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """One figure of small circles of the last matrix before the logits; the embedding's are on the first screen."""
    try:
        matrix = readouts(run, table_of(run))[-1]
        circles = circles_of(run, [matrix])
    except NotApplicable as reason:
        return [Text(f"Not shown: {reason}.")]
    intro = (
        "The circles of the embedding are [on the first screen](#story). A network that computes with circles shows "
        "the same frequencies here, one point an answer."
    )
    return [
        Text(intro),
        Figure(
            id="output",
            heading=f"Circles of the {READOUTS[matrix.name]}",
            takeaway=over_run(run, circles.claim),
            source=f"{circles.chosen} Rows of {matrix.name}, the {matrix.meaning}, one an answer, less their mean, "
            "along the directions in which the last snapshot carries cos and sin of k rounds; "
            "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217).",
            alt=f"Small scatter plots of the answers, one for each of {circles.n_panels} circles.",
            **circles.drawing,
        ),
    ]
