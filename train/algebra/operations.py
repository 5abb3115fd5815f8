"""The binary operations a model can be trained on, as (partial) tables; -1 marks an undefined entry.

The twelve operations of Power et al. 2022 (arXiv 2201.02177, appendix A.1.1), and multiplication.
A new operation is one decorated function, whose name and first docstring line name and describe the operation.
Torch is imported only where a table is built, which keeps ``--help`` fast.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from train import hints
from train.errors import shown
from train.hints import nearest

from .groups import Group, group, parse_group

if TYPE_CHECKING:
    from torch import Tensor

Domain = Literal["residues", "group"]
Basis = Literal["additive", "multiplicative"]

MAX_MODULUS = 5_000
"""Largest modulus of the all-pairs task, which keeps p^2 rows."""


@dataclass(frozen=True)
class Operation:
    """A binary operation on the residues mod p or on a finite group."""

    name: str
    symbol: str
    """The operation in symbols of a and b."""
    doc: str
    domain: Domain
    needs_prime: bool
    basis: Basis
    """Characters that diagonalise the operation, where known: of (Z_p, +) or of (Z_p^*, x)."""
    entries: "Callable[..., Tensor]"
    undefined_columns: int = 0
    """Number of second operands for which the operation is undefined."""

    def n_elements(self, structure: int | str) -> int:
        """Number of elements of the structure, without building its table."""
        return structure if isinstance(structure, int) else parse_group(structure).order

    def check(self, structure: int | str | None) -> None:
        """Raise ValueError unless the operation is defined on ``structure`` (a modulus p or a group's name)."""
        if self.domain == "group":
            if not isinstance(structure, str):
                raise ValueError(
                    f"operation {self.name!r} works on a group; got p = {structure}: give --group, such as S5"
                )
            parse_group(structure)
            return
        if isinstance(structure, str):
            parse_group(structure)
        if not isinstance(structure, int) or isinstance(structure, bool):
            raise ValueError(
                f"operation {self.name!r} works on the residues mod p; got group {structure!r}: give --p, or "
                f"choose one of {', '.join(o.name for o in OPERATIONS.values() if o.domain == 'group')}"
            )
        if not 2 <= structure <= MAX_MODULUS:
            raise ValueError(f"p = {shown(structure)} is out of range; p must be from 2 to {MAX_MODULUS}")
        if self.needs_prime and not is_prime(structure):
            raise ValueError(
                f"operation {self.name!r} needs a prime p; got p = {structure} (try {_prime_near(structure)})"
            )

    def table(self, structure: int | str) -> "Tensor":
        """The operation's table.

        Args:
            structure: the modulus p, or the group's name for group operations.

        Returns:
            [n, n] int64, first operand down the rows, -1 where undefined.

        Raises:
            ValueError: the operation is not defined on that structure.
        """
        self.check(structure)
        return self.entries(structure if isinstance(structure, int) else group(structure))


OPERATIONS: dict[str, Operation] = {}
"""Every operation by name."""


def find_operation(name: str) -> Operation:
    """The operation called ``name``.

    Raises:
        ValueError: there is no such operation; the message suggests the nearest name.
    """
    if name not in OPERATIONS:
        hint = _operation_meant(name)
        raise ValueError(f"unknown operation {name!r}{hint}; allowed are {', '.join(OPERATIONS)}")
    return OPERATIONS[name]


def _operation_meant(name: str) -> str:
    """A suggestion for an unknown operation name; a group's name suggests composition in that group."""
    try:
        return f"; did you mean 'compose' with group {str(parse_group(name.upper()))!r}?"
    except ValueError:
        return nearest(name, OPERATIONS, hints.OPERATIONS)


def operation(
    symbol: str,
    *,
    domain: Domain = "residues",
    needs_prime: bool = False,
    basis: Basis = "additive",
    undefined_columns: int = 0,
) -> Callable[["Callable[..., Tensor]"], "Callable[..., Tensor]"]:
    """Register a function (p or Group -> table) in ``OPERATIONS`` under its own name."""

    def register(entries: "Callable[..., Tensor]") -> "Callable[..., Tensor]":
        doc = (entries.__doc__ or "").strip().splitlines()[0]
        OPERATIONS[entries.__name__] = Operation(
            entries.__name__, symbol, doc, domain, needs_prime, basis, entries, undefined_columns
        )
        return entries

    return register


# ---- helpers ---------------------------------------------------------------------------------------


def is_prime(n: int) -> bool:
    """Whether n is prime, by trial division."""
    return n >= 2 and all(n % d for d in range(2, int(n**0.5) + 1))


def next_prime(n: int) -> int:
    """The smallest prime greater than n."""
    return next(m for m in range(n + 1, 2 * n + 3) if is_prime(m))


def _prime_near(n: int) -> int:
    """The next prime, or the largest allowed one if the next is too large."""
    after = next_prime(n)
    return after if after <= MAX_MODULUS else next(m for m in range(MAX_MODULUS, 1, -1) if is_prime(m))


def residues(p: int) -> "tuple[Tensor, Tensor]":
    """The residues 0..p-1 as a column [p, 1] and as a row [1, p], which broadcast to a table."""
    import torch

    r = torch.arange(p)
    return r[:, None], r[None, :]


def inverse(x: "Tensor", p: int) -> "Tensor":
    """Inverses mod the prime p, elementwise; 0 stands in for the missing inverse of 0."""
    import torch

    table = torch.tensor([0] + [pow(i, -1, p) for i in range(1, p)])
    return table[x]


def where_defined(is_defined: "Tensor", values: "Tensor") -> "Tensor":
    """``values`` where ``is_defined``, -1 elsewhere (the arguments broadcast)."""
    import torch

    return torch.where(is_defined, values, -1)


# ---- operations on the residues mod p ---------------------------------------------------------------


@operation(symbol="a + b")
def add(p: int) -> "Tensor":
    """a + b mod p."""
    a, b = residues(p)
    return (a + b) % p


@operation(symbol="a - b")
def sub(p: int) -> "Tensor":
    """a - b mod p."""
    a, b = residues(p)
    return (a - b) % p


@operation(symbol="a * b", basis="multiplicative")
def mul(p: int) -> "Tensor":
    """a * b mod p."""
    a, b = residues(p)
    return a * b % p


@operation(symbol="a / b", needs_prime=True, basis="multiplicative", undefined_columns=1)
def div(p: int) -> "Tensor":
    """a / b mod p, undefined at b = 0."""
    a, b = residues(p)
    return where_defined(b != 0, a * inverse(b, p) % p)


@operation(symbol="a / b if b odd else a - b", needs_prime=True)
def div_or_sub(p: int) -> "Tensor":
    """a / b mod p if b is odd, else a - b mod p."""
    import torch

    a, b = residues(p)
    return torch.where(b % 2 == 1, a * inverse(b, p) % p, (a - b) % p)


@operation(symbol="a^2 + b^2")
def x2_y2(p: int) -> "Tensor":
    """a^2 + b^2 mod p."""
    a, b = residues(p)
    return (a**2 + b**2) % p


@operation(symbol="a^2 + ab + b^2")
def x2_xy_y2(p: int) -> "Tensor":
    """a^2 + ab + b^2 mod p."""
    a, b = residues(p)
    return (a**2 + a * b + b**2) % p


@operation(symbol="a^2 + ab + b^2 + a")
def x2_xy_y2_x(p: int) -> "Tensor":
    """a^2 + ab + b^2 + a mod p."""
    a, b = residues(p)
    return (a**2 + a * b + b**2 + a) % p


@operation(symbol="a^3 + ab")
def x3_xy(p: int) -> "Tensor":
    """a^3 + ab mod p."""
    a, b = residues(p)
    return (a**3 + a * b) % p


@operation(symbol="a^3 + ab^2 + b")
def x3_xy2_y(p: int) -> "Tensor":
    """a^3 + ab^2 + b mod p."""
    a, b = residues(p)
    return (a**3 + a * b**2 + b) % p


# ---- operations on a finite group -------------------------------------------------------------------


@operation(symbol="ab", domain="group")
def compose(g: Group) -> "Tensor":
    """ab in a group, a acting first."""
    return g.table


@operation(symbol="aba^-1", domain="group")
def conjugate(g: Group) -> "Tensor":
    """aba^-1 in a group, a acting first."""
    return g.table[g.table, g.inverse[:, None]]


@operation(symbol="aba", domain="group")
def sandwich(g: Group) -> "Tensor":
    """aba in a group, a acting first."""
    import torch

    return g.table[g.table, torch.arange(g.order)[:, None]]
