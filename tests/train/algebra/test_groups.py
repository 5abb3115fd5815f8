"""Group tables: the axioms, the published conventions, and the errors for names that are not groups."""

import itertools
import math

import pytest

from tests.oracles.operations import elements, n_swaps

NAMES = ["C2", "C4", "C7", "D1", "D2", "D3", "D4", "S2", "S3", "S4", "A3", "A4"]


def group_named(name):
    from train.algebra.groups import group

    return group(name)


# ---- axioms -----------------------------------------------------------------------------------------------


def is_associative(table):
    every = range(len(table))
    return all(table[table[a][b]][c] == table[a][table[b][c]] for a in every for b in every for c in every)


def is_latin(table):
    every = set(range(len(table)))
    return all(set(line) == every for line in itertools.chain(table, zip(*table, strict=True)))


def identities(table):
    every = range(len(table))
    return [e for e in every if all(table[e][a] == a == table[a][e] for a in every)]


def commutes(table):
    return all(table[a][b] == table[b][a] for a, b in itertools.combinations(range(len(table)), 2))


@pytest.mark.parametrize("name", NAMES)
def test_axioms(name):
    g = group_named(name)
    table, inverse = g.table.tolist(), g.inverse.tolist()
    assert is_associative(table) and is_latin(table)
    assert identities(table) == [0]
    assert all(table[a][inverse[a]] == 0 == table[inverse[a]][a] for a in range(g.order))


def test_the_axiom_checks_can_fail():
    subtraction = [[(a - b) % 5 for b in range(5)] for a in range(5)]
    assert is_latin(subtraction) and not is_associative(subtraction) and identities(subtraction) == []
    product = [[a * b % 5 for b in range(5)] for a in range(5)]
    assert is_associative(product) and not is_latin(product) and identities(product) == [1]


@pytest.mark.parametrize(
    ("family", "order"),
    [
        ("C", lambda n: n),
        ("D", lambda n: 2 * n),
        ("S", math.factorial),
        ("A", lambda n: math.factorial(n) // 2),
    ],
)
def test_orders(family, order):
    from train.algebra.groups import parse_group

    for n in range(3, 6):
        g = group_named(f"{family}{n}")
        assert g.order == len(set(g.elements)) == len(g.table) == order(n)
        assert parse_group(f"{family}{n}").order == order(n)


@pytest.mark.parametrize("name", NAMES)
def test_elements_are_named_in_the_documented_order(name):
    assert group_named(name).elements == tuple(elements(name))


def test_which_groups_commute():
    commuting = [name for name in NAMES if commutes(group_named(name).table.tolist())]
    assert commuting == ["C2", "C4", "C7", "D1", "D2", "S2", "A3"]


def test_squares_tell_c4_from_d2():
    squares = {name: group_named(name).table.diagonal().tolist() for name in ("C4", "D2")}
    assert squares == {"C4": [0, 2, 0, 2], "D2": [0, 0, 0, 0]}


# ---- conventions ------------------------------------------------------------------------------------------


def product(g, *names):
    """The name of a product of named elements, read left to right."""
    at = g.elements.index(names[0])
    for name in names[1:]:
        at = int(g.table[at, g.elements.index(name)])
    return g.elements[at]


def test_the_first_argument_acts_first():
    """With a swapping the first two of three and b the last two, a then b sends 0 to 2, 1 to 0 and 2 to 1."""
    s3 = group_named("S3")
    assert product(s3, "102", "021") == "201"
    assert product(s3, "021", "102") == "120"


def test_a_word_in_turns_and_flips_reads_left_to_right():
    d5 = group_named("D5")
    assert product(d5, "r1", "r0s") == "r1s"
    assert product(d5, "r0s", "r1") == "r4s"  # s r = r^-1 s
    assert product(d5, "r2s", "r2s") == "r0"
    assert product(d5, "r3", "r4") == "r2"


def test_alternating_groups_hold_the_even_permutations():
    assert all(n_swaps(tuple(map(int, way))) % 2 == 0 for way in group_named("A5").elements)
    assert "10234" in group_named("S5").elements and "10234" not in group_named("A5").elements


# ---- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["S5", "C113", "D59", "A4"])
def test_a_name_survives_parsing(name):
    from train.algebra.groups import parse_group

    parsed = parse_group(name)
    assert (str(parsed), parsed.family, parsed.n) == (name, name[0], int(name[1:]))


@pytest.mark.parametrize("name", ["", "S", "5", "Q8", "S-3", "S5 ", "S5\n", "S5x", "S2.5", "Sfive", "S５"])
def test_unknown_groups_name_what_is_allowed(name):
    with pytest.raises(ValueError, match="unknown group") as error:
        group_named(name)
    assert repr(name) in str(error.value)
    assert all(form in str(error.value) for form in ("C<n>", "D<n>", "S<n>", "A<n>"))


def test_lower_case_is_answered_with_the_name_meant():
    with pytest.raises(ValueError, match="unknown group 's5'; did you mean 'S5'?"):
        group_named("s5")


@pytest.mark.parametrize(
    ("name", "n_elements"),
    [("C0", 0), ("C1", 1), ("D0", 0), ("S0", 0), ("S1", 1), ("A0", 0), ("A1", 1), ("A2", 1)],
)
def test_groups_too_small(name, n_elements):
    with pytest.raises(ValueError, match=f"group {name} has {n_elements} elements; allowed are 2 to 5040"):
        group_named(name)


@pytest.mark.parametrize(("name", "n_elements"), [("C5041", 5041), ("D2521", 5042), ("S8", 40320), ("A8", 20160)])
def test_groups_too_large_are_refused_before_they_are_built(name, n_elements):
    with pytest.raises(ValueError, match=f"group {name} has {n_elements} elements; allowed are 2 to 5040"):
        group_named(name)


@pytest.mark.parametrize("name", ["C5040", "D2520", "S7", "A7"])
def test_the_largest_groups_are_allowed(name):
    from train.algebra.groups import parse_group

    assert parse_group(name).order <= 5040


def test_the_stated_size_is_true():
    """A group that is too large is refused with its true size or none, never with another group's."""
    with pytest.raises(ValueError) as error:
        group_named("S25")
    assert str(math.factorial(20)) not in str(error.value)


def test_a_suggested_group_is_allowed():
    with pytest.raises(ValueError) as error:
        group_named("c1")
    assert "did you mean" not in str(error.value)


@pytest.mark.parametrize("name", ["S05", "C007"])
def test_one_group_has_one_name(name):
    """A group has one spelling; two spellings would give one task two run ids."""
    with pytest.raises(ValueError, match="unknown group"):
        group_named(name)
