"""Parts of a run: the irreps of the group that its operation composes in; on a cycle they are the frequencies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from interp.maths.fourier import frequencies, real_basis
from interp.maths.irreps import isotypic_bases
from interp.runs.run import Run
from train.algebra.groups import group

from .memo import NotApplicable, part
from .rows import has_law, law_of, rows_of, table_of

Name = int | str
"""A frequency k on a cycle, else the irrep's degree and a number, such as "4.2"."""


@dataclass(frozen=True)
class Irreps:
    """The irreps of a group, by name, without the trivial one; its elements in one order, and its pairs by answer."""

    order: Int64[Tensor, " n"]
    """Elements of the task in the order of the group's own numbering."""
    by_answer: Int64[Tensor, "n n"]
    """Line t holds the task's rows whose answer is element ``order[t]``."""
    bases: Mapping[Name, Float[Tensor, "dim n"]]
    """Orthonormal functions on the group that span the matrix coefficients of each irrep: cos and sin on a cycle."""

    def part(self, M: Float[Tensor, "n d"], names: Iterable[Name]) -> Float[Tensor, "n d"]:
        """The part of M, as functions on the group down its first axis, in the matrix coefficients of these irreps."""
        basis = torch.cat([self.bases[name] for name in names])
        return basis.T @ (basis @ M)

    def shares(self, M: Float[Tensor, "n d"], total: Float[Tensor, ""]) -> dict[Name, float]:
        """Share of ``total`` that is the squared norm of M's part in each irrep's matrix coefficients; NaN where 0."""
        return {name: float((basis @ M).square().sum() / total) for name, basis in self.bases.items()}

    def along_characters(self, M: Float[Tensor, "n n"]) -> dict[Name, float]:
        """Coefficient of M along chi(t c^-1) scaled to unit norm over t and c, for each irrep's character chi.

        P[t, c], proportional to chi(t c^-1), is the projector on the irrep's matrix coefficients, of norm sqrt(dim).
        """
        return {name: float(((B @ M) * B).sum() / len(B) ** 0.5) for name, B in self.bases.items()}


@part
def irreps_of(run: Run) -> Irreps:
    """Irreps of the group that the run's operation composes in: frequencies, where the operation has a law.

    Raises:
        NotApplicable: the operation neither adds along a cycle nor composes in a group.
    """
    table = table_of(run)
    if has_law(run):
        law, basis = law_of(run), real_basis(law_of(run).n)
        bases: dict[Name, Tensor] = {k: basis[2 * k - 1 : 2 * k + 1] for k in frequencies(law.n)}
        return Irreps(law.cycle.order, law.by_answer, bases)
    if not isinstance(table.structure, str) or table.op != "compose":
        raise NotApplicable(f"irreps are for composition in a group, not for {table.op}")
    by_answer = table.values.flatten().argsort(stable=True).view(table.n, table.n)
    return Irreps(torch.arange(table.n), by_answer, {**isotypic_bases(group(table.structure).table)})


def has_irreps(run: Run) -> bool:
    """Whether the run's operation has irreps, so that ``irreps_of`` does not raise."""
    try:
        irreps_of(run)
    except NotApplicable:
        return False
    return True


@part
def line_of(run: Run) -> Int64[Tensor, " rows"]:
    """The line of each row by its answer, -1 for rows outside the law's cycle."""
    by_answer = irreps_of(run).by_answer
    line = torch.full((len(run.task.labels),), -1)
    line[by_answer.flatten()] = torch.arange(len(by_answer)).repeat_interleave(len(by_answer))
    return line


@part
def rows_on_lines(run: Run, subset: str) -> tuple[Int64[Tensor, " chosen"], Int64[Tensor, " chosen"]]:
    """Defined rows of "train", "test" or "all" that lie on the group's lines, and the line of each.

    Raises:
        NotApplicable: there are none.
    """
    rows = rows_of(run, subset)
    line = line_of(run)[rows]
    if not bool((line >= 0).any()):
        raise NotApplicable(f"no {subset} row lies on the cycle")
    return rows[line >= 0], line[line >= 0]
