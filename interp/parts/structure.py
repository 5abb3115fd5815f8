"""Which characters suit a task: the order in which its elements are a cycle, and the law its answers follow there."""

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


@dataclass(frozen=True)
class Law:
    """An operation that adds or subtracts along a cycle: x(answer) = x(a) + sign x(b), x being the place in the cycle.

    Lines are rows of the task, n lines of n pairs each. Pairs with an element outside the cycle (0 in ``mul`` and
    ``div``) are in none.
    """

    cycle: Cycle
    sign: int
    """1 or -1."""
    by_a: Int64[Tensor, "n n"]
    by_b: Int64[Tensor, "n n"]
    by_answer: Int64[Tensor, "n n"]
    """Line t holds the pairs whose answer is element ``cycle.order[t]``."""
    by_difference: Int64[Tensor, "n n"]
    """Line d holds the pairs with x(a) - sign x(b) = d, which the answer does not depend on."""

    @property
    def n(self) -> int:
        """Length of the cycle."""
        return self.cycle.n


def find_law(task: Task) -> Law | Unavailable:
    """The law of the task's operation, found by trying both signs on its table; with neither, the reason."""
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
    """Rows by the number of their line."""
    return rows.flatten()[line.flatten().argsort(stable=True)].view_as(rows)


def find_cycle(task: Task) -> Cycle | Unavailable:
    """The cycle that suits the task's operation.

    Residues under addition for most operations and for composition in C_n; discrete logarithms for
    ``mul`` and ``div`` (they are diagonal in multiplicative characters; papers: Doshi et al. 2024).
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
    """Order of each element of a group: the smallest exponent whose power is the identity."""
    table = group(structure).table
    power, orders = torch.arange(len(table)), torch.zeros(len(table), dtype=torch.long)
    for exponent in range(1, len(table) + 1):
        orders[(power == 0) & (orders == 0)] = exponent
        power = table[power, torch.arange(len(table))]
    return orders


def _group_cycle(structure: str) -> Cycle | Unavailable:
    """The powers of the first element that generates the group, 1 in C<n>."""
    table, orders = group(structure).table, element_orders(structure)
    generators = (orders == len(table)).nonzero().flatten().tolist()
    if not generators:
        return Unavailable(f"{structure} is not cyclic, so its elements have no frequencies")
    powers = [0]
    for _ in range(len(table) - 1):
        powers.append(int(table[powers[-1], generators[0]]))
    return Cycle(f"additive characters of {structure}", torch.tensor(powers), ())
