"""Characters: orthogonality, known tables, and projectors that add up."""

import math

import pytest
import torch

DEGREES = {
    "C5": [1] * 5,
    "D5": [1, 1, 2, 2],
    "D6": [1, 1, 1, 1, 2, 2],
    "S4": [1, 1, 2, 3, 3],
    "A5": [1, 3, 3, 4, 5],
    "S5": [1, 1, 4, 4, 5, 5, 6],
}


@pytest.mark.parametrize("name", DEGREES)
def test_rows_are_orthonormal_and_degrees_are_known(name):
    from interp.maths.irreps import characters
    from train.algebra.groups import group

    table = group(name).table
    found = characters(table)
    n = len(table)
    torch.testing.assert_close(found @ found.conj().T / n, torch.eye(len(found), dtype=found.dtype), atol=1e-9, rtol=0)
    assert [round(float(chi[0].real)) for chi in found] == DEGREES[name]
    assert sum(d**2 for d in DEGREES[name]) == n


def test_character_of_a5s_five_cycles_is_the_golden_ratio():
    """A5's two irreps of degree 3 take the values 3, -1, 0, golden ratio and 1 less it, as in any character table."""
    from interp.maths.irreps import characters
    from train.algebra.groups import group

    table = group("A5").table
    degree3 = characters(table)[1:3].real
    golden = (1 + math.sqrt(5)) / 2
    values = sorted({round(float(v), 9) for v in degree3.flatten()})
    assert values == pytest.approx(sorted([3, -1, 0, golden, 1 - golden]))


def test_characters_of_a_dihedral_group_are_cosines():
    from interp.maths.irreps import characters
    from train.algebra.groups import group

    table = group("D7").table
    rotation = next(g for g in range(14) if order(table, g) == 7)
    powers = [0]
    for _ in range(6):
        powers.append(int(table[powers[-1], rotation]))
    found = sorted(tuple(round(float(v), 9) for v in chi.real[powers]) for chi in characters(table)[2:])
    expected = sorted(tuple(round(2 * math.cos(2 * math.pi * k * j / 7), 9) for j in range(7)) for k in (1, 2, 3))
    assert len(found) == 3
    for chi, cosines in zip(found, expected, strict=True):
        assert chi == pytest.approx(cosines)


def order(table, g):
    count, power = 1, g
    while power != 0:
        count, power = count + 1, int(table[power, g])
    return count


@pytest.mark.parametrize("name", ["C6", "D5", "A4", "S4"])
def test_projectors_are_orthogonal_and_complete_and_commute_with_translations(name):
    from interp.maths.irreps import isotypic_projectors
    from train.algebra.groups import group

    table = group(name).table
    projectors = list(isotypic_projectors(table).values())
    torch.testing.assert_close(torch.stack(projectors).sum(dim=0), torch.eye(len(table), dtype=torch.float64))
    for i, P in enumerate(projectors):
        torch.testing.assert_close(P, P.T)
        for j, Q in enumerate(projectors):
            expected = P if i == j else torch.zeros_like(P)
            torch.testing.assert_close(P @ Q, expected, atol=1e-10, rtol=0)
    shift = torch.eye(len(table), dtype=torch.float64)[table[2]]
    for P in projectors:
        torch.testing.assert_close(shift @ P, P @ shift, atol=1e-10, rtol=0)


def test_complex_conjugates_count_as_one():
    from interp.maths.irreps import isotypic_projectors
    from train.algebra.groups import group

    found = isotypic_projectors(group("C7").table)
    assert list(found) == ["1.1", "1.2", "1.3", "1.4"]
    assert [round(float(P.trace())) for P in found.values()] == [1, 2, 2, 2]


def test_a_table_whose_identity_is_not_first_is_refused():
    from interp.maths.irreps import characters
    from train.algebra.groups import group

    with pytest.raises(ValueError, match="identity is element 0"):
        characters(group("C3").table.roll(1, dims=0))
