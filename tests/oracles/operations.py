"""Plain-Python oracles for the operations: loops, searches and permutations; no torch, nothing of ours.

Residues: a function of (a, b, p). Groups: a function of two symmetries, each a tuple of where every point
goes, so that a product is found by following points. Undefined is -1.
"""

import itertools
from collections.abc import Callable

UNDEFINED = -1

Symmetry = tuple[int, ...]
OnResidues = Callable[[int, int, int], int]
OnSymmetries = Callable[[Symmetry, Symmetry], Symmetry]

RESIDUE_ORACLES: dict[str, OnResidues] = {}
"""Oracles of (a, b, p), by the operation's name."""
GROUP_ORACLES: dict[str, OnSymmetries] = {}
"""Oracles of two symmetries, by the operation's name."""
ORACLES: dict[str, Callable[..., object]] = {}
"""Oracles of all operations, by name."""


def on_residues(oracle: OnResidues) -> OnResidues:
    """Register the decorated function as the oracle of the operation of the same name."""
    RESIDUE_ORACLES[oracle.__name__] = ORACLES[oracle.__name__] = oracle
    return oracle


def on_symmetries(oracle: OnSymmetries) -> OnSymmetries:
    """Register the decorated function as the oracle of the group operation of the same name."""
    GROUP_ORACLES[oracle.__name__] = ORACLES[oracle.__name__] = oracle
    return oracle


# ---- residues -------------------------------------------------------------------------------------------


def quotient(a: int, b: int, p: int) -> int:
    """The c with c * b = a mod p, by search; -1 unless there is exactly one."""
    found = [c for c in range(p) if (c * b - a) % p == 0]
    return found[0] if len(found) == 1 else UNDEFINED


def power(x: int, exponent: int, p: int) -> int:
    result = 1 % p
    for _ in range(exponent):
        result = result * x % p
    return result


@on_residues
def add(a: int, b: int, p: int) -> int:
    for _ in range(b):
        a = a + 1 if a + 1 < p else 0
    return a


@on_residues
def sub(a: int, b: int, p: int) -> int:
    return next(c for c in range(p) if (c + b - a) % p == 0)


@on_residues
def mul(a: int, b: int, p: int) -> int:
    return sum(a for _ in range(b)) % p


@on_residues
def div(a: int, b: int, p: int) -> int:
    return quotient(a, b, p)


@on_residues
def div_or_sub(a: int, b: int, p: int) -> int:
    return quotient(a, b, p) if b in range(1, p, 2) else sub(a, b, p)


@on_residues
def x2_y2(a: int, b: int, p: int) -> int:
    return add(power(a, 2, p), power(b, 2, p), p)


@on_residues
def x2_xy_y2(a: int, b: int, p: int) -> int:
    return add(x2_y2(a, b, p), mul(a, b, p), p)


@on_residues
def x2_xy_y2_x(a: int, b: int, p: int) -> int:
    return add(x2_xy_y2(a, b, p), a, p)


@on_residues
def x3_xy(a: int, b: int, p: int) -> int:
    return add(power(a, 3, p), mul(a, b, p), p)


@on_residues
def x3_xy2_y(a: int, b: int, p: int) -> int:
    return add(add(power(a, 3, p), mul(a, power(b, 2, p), p), p), b, p)


# ---- groups: symmetries as tuples, the first argument acting first ----------------------------------------


def then(*symmetries: Symmetry) -> Symmetry:
    """Composition of symmetries, the first argument acting first: the image of each point."""
    after = []
    for point in range(len(symmetries[0])):
        for symmetry in symmetries:
            point = symmetry[point]
        after.append(point)
    return tuple(after)


def undo(symmetry: Symmetry) -> Symmetry:
    """Inverse of a symmetry: each image goes back to its point."""
    return tuple(symmetry.index(point) for point in range(len(symmetry)))


@on_symmetries
def compose(a: Symmetry, b: Symmetry) -> Symmetry:
    return then(a, b)


@on_symmetries
def conjugate(a: Symmetry, b: Symmetry) -> Symmetry:
    return then(a, b, undo(a))


@on_symmetries
def sandwich(a: Symmetry, b: Symmetry) -> Symmetry:
    return then(a, b, a)


def elements(name: str) -> dict[str, Symmetry]:
    """Symmetry of each printable name, in the order of the group's indices.

    C<n> turns the corners of a polygon. D<n> also turns it over: it acts on (corner, side facing up), so
    that D1 and D2 are told apart too; r<i>s is i turns, then over. S<n> and A<n> permute n things.
    """
    family, n = name[0], int(name[1:])
    if family == "C":
        return {str(i): tuple((corner + i) % n for corner in range(n)) for i in range(n)}
    if family == "D":
        turn = tuple((corner + 1) % n + n * side for side in (0, 1) for corner in range(n))
        over = tuple(-corner % n + n * (1 - side) for side in (0, 1) for corner in range(n))
        here = tuple(range(2 * n))
        turns = [then(here, *[turn] * i) for i in range(n)]
        return {f"r{i}": t for i, t in enumerate(turns)} | {f"r{i}s": then(t, over) for i, t in enumerate(turns)}
    ways = [way for way in itertools.product(range(n), repeat=n) if len(set(way)) == n]
    kept = ways if family == "S" else [way for way in ways if n_swaps(way) % 2 == 0]
    return {"".join(map(str, way)): way for way in kept}


def n_swaps(way: Symmetry) -> int:
    """Number of swaps that sort a permutation, one misplaced element at a time."""
    things, swaps = list(way), 0
    for place in range(len(things)):
        while things[place] != place:
            other = things[place]
            things[place], things[other] = things[other], things[place]
            swaps += 1
    return swaps


# ---- every oracle, and tables -----------------------------------------------------------------------------


def oracle_table(name: str, structure: int | str) -> list[list[int]]:
    """The table of an operation, first operand down the rows."""
    if isinstance(structure, int):
        answer = RESIDUE_ORACLES[name]
        return [[answer(a, b, structure) for b in range(structure)] for a in range(structure)]
    members = list(elements(structure).values())
    index = {member: i for i, member in enumerate(members)}
    act = GROUP_ORACLES[name]
    return [[index[act(a, b)] for b in members] for a in members]
