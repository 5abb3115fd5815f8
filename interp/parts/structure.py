"""The cyclic structure of a task: the order in which its elements form a cycle, and the law of its answers there."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from interp.maths.characters import discrete_log_order
from train.algebra.groups import group
from train.algebra.operations import OPERATIONS, is_prime
from train.tasks.task import NO_TABLE, Task

from .memo import Unavailable


@dataclass(frozen=True)
class Cycle:
    """The elements of a task, or all but 0, as Z_n: element ``order[j]`` is j in Z_n."""

    name: str
    """Name of the cycle's characters, for captions."""
    order: Int64[Tensor, " n"]
    apart: tuple[int, ...]
    """Elements outside the cycle: 0 in a multiplicative cycle."""

    @property
    def n(self) -> int:
        """Length of the cycle."""
        return len(self.order)

    @property
    def is_multiplicative(self) -> bool:
        """Whether places in the cycle are discrete logarithms."""
        return bool(self.apart)


@dataclass(frozen=True)
class Law:
    """An operation that adds or subtracts along a cycle: x(answer) = x(a) + sign x(b), x being the place in the cycle.

    Each index matrix holds rows of the task, as n lines of n pairs. Pairs with an element outside the cycle (0 in
    ``mul`` and ``div``) lie on no line.
    """

    cycle: Cycle
    sign: int
    """1 for a sum, -1 for a difference."""
    by_a: Int64[Tensor, "n n"]
    by_b: Int64[Tensor, "n n"]
    by_answer: Int64[Tensor, "n n"]
    """Line t holds the pairs whose answer is element ``cycle.order[t]``."""
    by_difference: Int64[Tensor, "n n"]
    """Line d holds the pairs with x(a) - sign x(b) = d; the answer does not depend on d."""

    @property
    def n(self) -> int:
        """Length of the cycle."""
        return self.cycle.n


def find_law(task: Task) -> Law | Unavailable:
    """The law of the task's operation, found by trying both signs on its table, or the reason why there is none."""
    cycle = find_cycle(task)
    if isinstance(cycle, Unavailable):
        return cycle
    table = task.table
    assert table is not None
    x = torch.arange(cycle.n)
    answers = table.values[cycle.order][:, cycle.order]
    for sign in (1, -1):
        t = (x[:, None] + sign * x) % cycle.n
        if torch.equal(answers, cycle.order[t]):
            rows = cycle.order[:, None] * table.n + cycle.order
            d = (x[:, None] - sign * x) % cycle.n
            return Law(cycle, sign, rows, rows.T.contiguous(), _lines(rows, t), _lines(rows, d))
    return Unavailable(f"the answers of {table.op} are no sum or difference along the {cycle.name}")


def _lines(rows: Int64[Tensor, "n n"], line: Int64[Tensor, "n n"]) -> Int64[Tensor, "n n"]:
    """Rows grouped by their line number: row t of the result holds the rows on line t."""
    return rows.flatten()[line.flatten().argsort(stable=True)].view_as(rows)


def find_cycle(task: Task) -> Cycle | Unavailable:
    """The cycle of the task's operation, or the reason why there is none.

    Residues under addition for most operations; the powers of a generator for a cyclic group; discrete logarithms for
    ``mul`` and ``div``, which are diagonal in multiplicative characters (Doshi et al. 2024).
    """
    table = task.table
    if table is None:
        return Unavailable(NO_TABLE)
    if isinstance(table.structure, str):
        return _group_cycle(table.structure)
    if OPERATIONS[table.op].basis == "additive":
        return Cycle(f"additive characters of Z_{table.n}", torch.arange(table.n), ())
    if not is_prime(table.n):
        return Unavailable(f"{table.op} mod {table.n} has no cycle of discrete logarithms: {table.n} is not prime")
    if table.n < 3:
        return Unavailable(f"{table.op} mod {table.n}: only one residue has a discrete logarithm")
    return Cycle(f"multiplicative characters of Z_{table.n}^*", discrete_log_order(table.n), (0,))


def element_orders(structure: str) -> Int64[Tensor, " n"]:
    """Order of each element of a group: the smallest positive exponent at which its power is the identity."""
    table = group(structure).table
    power, orders = torch.arange(len(table)), torch.zeros(len(table), dtype=torch.long)
    for exponent in range(1, len(table) + 1):
        orders[(power == 0) & (orders == 0)] = exponent
        power = table[power, torch.arange(len(table))]
    return orders


def _group_cycle(structure: str) -> Cycle | Unavailable:
    """The powers of the first generator of a cyclic group (1 in C<n>), or the reason why there is none."""
    table, orders = group(structure).table, element_orders(structure)
    generators = (orders == len(table)).nonzero().flatten().tolist()
    if not generators:
        return Unavailable(f"{structure} is not cyclic, so its elements have no frequencies")
    powers = [0]
    for _ in range(len(table) - 1):
        powers.append(int(table[powers[-1], generators[0]]))
    return Cycle(f"additive characters of {structure}", torch.tensor(powers), ())
