"""Finite groups as composition tables: cyclic, dihedral, symmetric, alternating.

Everywhere in this package a product ``ab`` means *the first argument acts first*: for permutations
``(ab)[i] = b[a[i]]``, the convention of Power et al. 2022 and Chughtai et al. 2023.
"""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MAX_ORDER = 5_040
"""Largest group order (S7): the all-pairs task keeps order^2 rows."""

GROUP_FORMS = "C<n> (cyclic), D<n> (dihedral, 2n elements), S<n> (symmetric), A<n> (alternating), such as S5"


@dataclass(frozen=True)
class GroupName:
    """A parsed group name such as S5: the family letter and the number."""

    family: str
    n: int

    @property
    def order(self) -> int:
        """Number of elements, computed without building the group."""
        return _ORDERS[self.family](self.n)

    @property
    def is_allowed(self) -> bool:
        """Whether the group has at least 2 and at most ``MAX_ORDER`` elements."""
        return self.n <= MAX_ORDER and 2 <= self.order <= MAX_ORDER

    def __str__(self) -> str:
        return f"{self.family}{self.n}"


_ORDERS: dict[str, Callable[[int], int]] = {
    "C": lambda n: n,
    "D": lambda n: 2 * n,
    "S": lambda n: math.factorial(n) if n else 0,
    "A": lambda n: max(1, math.factorial(n) // 2) if n else 0,
}


def parse_group(name: str) -> GroupName:
    """Parse ``C113``, ``D59``, ``S5`` or ``A5``.

    Raises:
        ValueError: ``name`` has another form, or the group has fewer than 2 or more than ``MAX_ORDER`` elements.
    """
    match = re.fullmatch(r"([CDSA])(0|[1-9][0-9]*)", name)
    if match is None:
        raise ValueError(f"unknown group {name!r}{_hint(name)}; allowed are {GROUP_FORMS}")
    group = GroupName(match[1], int(match[2][:9]))
    if not group.is_allowed:
        size = group.order if group.n <= 20 or group.family in "CD" else f"more than {MAX_ORDER}"
        raise ValueError(f"group {name} has {size} elements; allowed are 2 to {MAX_ORDER}")
    return group


def _hint(name: str) -> str:
    """A suggestion of the allowed name that was probably meant: upper case, no leading zeros, Z<n> read as C<n>."""
    match = re.fullmatch(r"([CDSAZ])0*([1-9][0-9]{0,8})", name.upper())
    if match is None:
        return ""
    near = GroupName(match[1].replace("Z", "C"), int(match[2]))
    return f"; did you mean '{near}'?" if near.is_allowed else ""


@dataclass(frozen=True)
class Group:
    """A finite group on the indices 0..order-1; index 0 is the identity."""

    name: str
    elements: tuple[str, ...]
    """Printable names in index order: residues, r^i s^j, or permutations in line notation."""
    table: "Tensor"
    """[order, order] int64: ``table[a, b]`` is ab, a acting first."""

    @property
    def order(self) -> int:
        """Number of elements."""
        return len(self.elements)

    @property
    def inverse(self) -> "Tensor":
        """[order] int64: index of each element's inverse."""
        return (self.table == 0).long().argmax(dim=1)


def element_names(name: str) -> tuple[str, ...]:
    """Printable names of a group's elements, in the order of their indices, without building the group's table.

    Raises:
        ValueError: see ``parse_group``.
    """
    parsed = parse_group(name)
    return _NAMES[parsed.family](parsed.n)


def group(name: str) -> Group:
    """Build the group called ``name``; element 0 is the identity.

    Raises:
        ValueError: see ``parse_group``.
    """
    parsed = parse_group(name)
    tables = {"C": _cyclic, "D": _dihedral, "S": _symmetric, "A": _alternating}
    return Group(str(parsed), element_names(name), tables[parsed.family](parsed.n))


# ---- names -----------------------------------------------------------------------------------------


def _cyclic_names(n: int) -> tuple[str, ...]:
    return tuple(map(str, range(n)))


def _dihedral_names(n: int) -> tuple[str, ...]:
    return tuple(f"r{k}" for k in range(n)) + tuple(f"r{k}s" for k in range(n))


def _line_notation(permutations: list[tuple[int, ...]]) -> tuple[str, ...]:
    return tuple("".join(map(str, p)) for p in permutations)


def _all_permutations(n: int) -> list[tuple[int, ...]]:
    return list(itertools.permutations(range(n)))


def _even_permutations(n: int) -> list[tuple[int, ...]]:
    return [p for p in _all_permutations(n) if _is_even(p)]


def _is_even(permutation: tuple[int, ...]) -> bool:
    pairs = itertools.combinations(permutation, 2)
    return sum(x > y for x, y in pairs) % 2 == 0


_NAMES: dict[str, Callable[[int], tuple[str, ...]]] = {
    "C": _cyclic_names,
    "D": _dihedral_names,
    "S": lambda n: _line_notation(_all_permutations(n)),
    "A": lambda n: _line_notation(_even_permutations(n)),
}


# ---- tables ----------------------------------------------------------------------------------------


def _cyclic(n: int) -> "Tensor":
    import torch

    i = torch.arange(n)
    return (i[:, None] + i) % n


def _dihedral(n: int) -> "Tensor":
    """Elements r^i s^j at index i + n j, with s r = r^-1 s; the product is the word read left to right."""
    import torch

    index = torch.arange(2 * n)
    i, j = index % n, index // n
    turn = (i[:, None] + torch.where(j[:, None] == 1, -i, i)) % n
    flip = (j[:, None] + j) % 2
    return turn + n * flip


def _symmetric(n: int) -> "Tensor":
    return _permutation_table(_all_permutations(n))


def _alternating(n: int) -> "Tensor":
    return _permutation_table(_even_permutations(n))


def _permutation_table(permutations: list[tuple[int, ...]]) -> "Tensor":
    """Products of permutations in lexicographic order: codes in base n increase, so bisection finds a product."""
    import torch

    perms = torch.tensor(permutations)
    degree = perms.shape[1]
    weights = degree ** torch.arange(degree - 1, -1, -1)
    codes = perms @ weights
    rows = [torch.searchsorted(codes, perms[:, perm] @ weights) for perm in perms]
    return torch.stack(rows)
