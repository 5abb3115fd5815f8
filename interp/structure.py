"""Which characters suit a task: the order in which its elements are a cycle, where they are one."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from train.operations import OPERATIONS, is_prime
from train.tasks import Task

from .maths.characters import discrete_log_order


@dataclass(frozen=True)
class Unavailable:
    """What an analysis gives where it does not apply, with the reason."""

    reason: str


@dataclass(frozen=True)
class Cycle:
    """The elements of a task, or all but 0, as Z_n: element ``order[j]`` is j in Z_n."""

    name: str
    """Of the characters, for captions."""
    order: Int64[Tensor, " n"]
    apart: tuple[int, ...]
    """Elements outside the cycle: 0 in the multiplicative case."""

    @property
    def n(self) -> int:
        """Length of the cycle."""
        return len(self.order)

    @property
    def is_multiplicative(self) -> bool:
        """Whether the cycle runs over discrete logarithms."""
        return bool(self.apart)


def find_cycle(task: Task) -> Cycle | Unavailable:
    """The cycle that suits the task's operation.

    Residues under addition for most operations and for composition in C_n; discrete logarithms for
    ``mul`` and ``div`` (they are diagonal in multiplicative characters; papers: Doshi et al. 2024).
    """
    table = task.table
    if table is None:
        return Unavailable("this task has no all-pairs table")
    if isinstance(table.structure, str):
        if not table.structure.startswith("C"):
            return Unavailable(
                f"{table.structure} is not cyclic, and spectra over its irreps are not part of this version"
            )
        return Cycle(f"additive characters of {table.structure}", torch.arange(table.n), ())
    if OPERATIONS[table.op].basis == "additive":
        return Cycle(f"additive characters of Z_{table.n}", torch.arange(table.n), ())
    if not is_prime(table.n):
        return Unavailable(f"{table.op} mod {table.n} has no cycle of discrete logarithms: {table.n} is not prime")
    if table.n < 3:
        return Unavailable(f"{table.op} mod {table.n}: only one residue has a discrete logarithm")
    return Cycle(f"multiplicative characters of Z_{table.n}^*", discrete_log_order(table.n), (0,))
