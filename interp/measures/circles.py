"""Circles of the embedding, one at a time: the logits of the model with one circle alone, against closed forms.

Zhong et al. 2023 (2306.17844) keep one pair of neighbouring principal components of W_E (a circle) and the mean of
W_E, and ask which closed form the logits then follow.
"""

from jaxtyping import Float
from torch import Tensor

from interp.maths.fourier import frequency_energy
from interp.maths.pizzas import Form, accompanying_pizza, clock, explained, four_neuron_pizza, pizza
from interp.parts.activations import forward, weights_of
from interp.parts.embeddings import element_tokens, embedding_axes, embedding_components, embedding_rows
from interp.parts.memo import NotApplicable, part
from interp.parts.rows import law_of, table_of
from interp.runs.snapshot import Snapshot

from .registry import measure

COMPONENTS = 20
"""Number of leading principal components searched for circles, as in the source."""
ISOLATION = "Zhong et al. 2023 (2306.17844), section 4.3 and their notebook: both sides scaled, not fitted"


@part
def circle_planes(snap: Snapshot, operand: str = "a") -> dict[int, tuple[int, int]]:
    """Neighbouring principal components (2i, 2i + 1) with the same strongest frequency, by this frequency."""
    components = embedding_components(snap, operand)[:, :COMPONENTS]
    strongest = (frequency_energy(components.T[..., None]).argmax(dim=1) + 1).tolist()
    planes: dict[int, tuple[int, int]] = {}
    for i in range(0, len(strongest) - 1, 2):
        if strongest[i] == strongest[i + 1]:
            planes.setdefault(strongest[i], (i, i + 1))
    if not planes:
        raise NotApplicable("no two neighbouring principal components of W_E share their strongest frequency")
    return planes


@part
def isolated_logits(snap: Snapshot, k: int) -> Float[Tensor, "n n n"]:
    """Logits [a, b, c] along the cycle of the model with the circle of frequency k as its only embedding."""
    law, weights = law_of(snap.run), weights_of(snap)
    W_E = weights["embed.W_E"].clone()
    for operand in _operands(snap):
        plane = list(circle_planes(snap, operand)[k])
        alone = embedding_components(snap, operand)[:, plane] @ embedding_axes(snap, operand)[plane]
        mean = embedding_rows(snap, operand).mean(dim=0)
        W_E[element_tokens(snap.run, operand)] = (alone + mean).to(W_E.dtype)
    logits = forward(snap, weights | {"embed.W_E": W_E})[0][:, : table_of(snap.run).n]
    return logits[law.by_a][..., law.cycle.order]


def _operands(snap: Snapshot) -> tuple[str, ...]:
    """Operands that have an embedding of their own."""
    return ("a",) if snap.run.config.task.shared_vocabulary else ("a", "b")


def _compare(snap: Snapshot, form: Form) -> dict[int, float]:
    law = law_of(snap.run)
    if law.sign != 1:
        raise NotApplicable("the closed forms hold for a sum, not for a difference or quotient")
    circles = [k for k in circle_planes(snap) if all(k in circle_planes(snap, operand) for operand in _operands(snap))]
    return {k: explained(isolated_logits(snap, k), form(law.n, k)) for k in circles}


@measure("share of variance", ISOLATION)
def circle_clock_fve(snap: Snapshot) -> dict[int, float]:
    """Share of the logits of one circle of W_E alone that cos w(a+b-c) explains, by the circle's frequency."""
    return _compare(snap, clock)


@measure("share of variance", ISOLATION)
def circle_pizza_fve(snap: Snapshot) -> dict[int, float]:
    """Share of the logits of one circle of W_E alone that the closed form of a pizza explains.

    The form is |cos(wc/2) X + sin(wc/2) Y| - |cos(wc/2) Y - sin(wc/2) X|, X = cos wa + cos wb, Y = sin wa + sin wb.
    """
    return _compare(snap, pizza)


@measure("share of variance", ISOLATION)
def circle_four_neuron_pizza_fve(snap: Snapshot) -> dict[int, float]:
    """Share of the logits of one circle of W_E alone that the closed form of a pizza of four phases explains.

    The form is (|X| - |Y|) cos wc + (|X + Y| - |X - Y|) sin wc / sqrt 2, X = cos wa + cos wb, Y = sin wa + sin wb.
    """
    return _compare(snap, four_neuron_pizza)


@measure("share of variance", ISOLATION)
def circle_accompanying_pizza_fve(snap: Snapshot) -> dict[int, float]:
    """Share of the logits of one circle of W_E alone that the closed form of an accompanying pizza explains.

    The form is -(cos wc (cos 2wa + cos 2wb) + sin wc (sin 2wa + sin 2wb)), 2w being the circle's frequency.
    """
    if law_of(snap.run).n % 2 == 0:
        raise NotApplicable("a frequency of an even cycle has no half")
    return _compare(snap, accompanying_pizza)
