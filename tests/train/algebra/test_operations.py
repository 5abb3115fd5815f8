"""Every operation against its plain-Python oracle, and the errors for structures that an operation cannot take."""

import subprocess
import sys

import pytest

from tests.oracles.operations import GROUP_ORACLES, ORACLES, RESIDUE_ORACLES, UNDEFINED, oracle_table

NEED_A_PRIME = {"div", "div_or_sub"}


def operation_named(name):
    from train.algebra.operations import OPERATIONS

    return OPERATIONS[name]


def missing_oracles(names):
    """The messages for operations that have no oracle."""
    return [
        f"add a plain-Python oracle for {name!r} to tests/oracles/operations.py"
        for name in names
        if name not in ORACLES
    ]


def test_every_operation_has_an_oracle():
    from train.algebra.operations import OPERATIONS

    assert not missing_oracles(OPERATIONS), missing_oracles(OPERATIONS)[0]
    assert set(ORACLES) == set(OPERATIONS)  # and no oracle outlives its operation
    assert missing_oracles(["add", "cube"]) == ["add a plain-Python oracle for 'cube' to tests/oracles/operations.py"]


@pytest.mark.parametrize("p", [2, 5, 6, 7, 12])
@pytest.mark.parametrize("name", RESIDUE_ORACLES)
def test_table_equals_the_oracle(name, p):
    operation = operation_named(name)
    if name in NEED_A_PRIME and p in (6, 12):
        with pytest.raises(ValueError, match=f"'{name}' needs a prime p; got p = {p} "):
            operation.table(p)
        return
    assert operation.table(p).tolist() == oracle_table(name, p)


def test_tables_are_told_apart():
    """At p = 7 no two operations share a table (the control), so no oracle passes for another."""
    tables = [str(operation_named(name).table(7).tolist()) for name in RESIDUE_ORACLES]
    assert len(set(tables)) == len(tables)


@pytest.mark.parametrize("name", RESIDUE_ORACLES)
def test_published_table_sizes_mod_97(name):
    table = operation_named(name).table(97)
    assert table.shape == (97, 97) and not table.is_floating_point()
    assert int((table >= 0).sum()) == (9_312 if name == "div" else 9_409)
    assert int(table.max()) < 97 and int(table.min()) >= UNDEFINED
    spots = [(0, 0), (0, 1), (1, 0), (96, 96), (96, 95), (13, 57), (58, 14), (95, 1)]
    for a, b in spots:
        assert table[a, b] == RESIDUE_ORACLES[name](a, b, 97)


@pytest.mark.parametrize("group", ["C2", "C4", "D1", "D2", "D3", "D4", "S2", "S3", "S4", "A3", "A4"])
@pytest.mark.parametrize("name", GROUP_ORACLES)
def test_group_table_equals_the_oracle(name, group):
    assert operation_named(name).table(group).tolist() == oracle_table(name, group)


@pytest.mark.parametrize("name", GROUP_ORACLES)
def test_all_14_400_entries_of_s5(name):
    table = operation_named(name).table("S5")
    assert int((table >= 0).sum()) == 14_400
    assert table.tolist() == oracle_table(name, "S5")


def test_first_operand_is_down_the_rows():
    table = operation_named("sub").table(7)
    assert (int(table[5, 1]), int(table[1, 5])) == (4, 3)


def test_division_is_undefined_by_zero_alone():
    table = operation_named("div").table(7)
    assert (table[:, 0] == UNDEFINED).all() and (table[:, 1:] >= 0).all()
    assert operation_named("div").table(2).tolist() == [[-1, 0], [-1, 1]]
    assert (operation_named("div_or_sub").table(7) >= 0).all()  # 0 is even, so nothing is divided by it


def test_large_moduli_do_not_overflow():
    p = 4_999
    row = operation_named("x3_xy2_y").table(p)[p - 1]
    assert [int(row[b]) for b in (0, 1, p - 1)] == [(-1 - b * b + b) % p for b in (0, 1, p - 1)]


def test_a_new_operation_is_one_function(monkeypatch):
    import train.algebra.operations as operations

    monkeypatch.setattr(operations, "OPERATIONS", dict(operations.OPERATIONS))

    @operations.operation(symbol="2a")
    def twice(p: int):
        """2a mod p.

        More about it.
        """
        a, b = operations.residues(p)
        return (2 * a + 0 * b) % p

    made = operations.find_operation("twice")
    assert (made.name, made.symbol, made.doc, made.needs_prime) == ("twice", "2a", "2a mod p.", False)
    assert made.table(3).tolist() == [[0, 0, 0], [2, 2, 2], [1, 1, 1]]
    assert twice(2).shape == (2, 2)  # the function itself stays callable


def test_each_operation_says_what_it_is():
    from train.algebra.operations import OPERATIONS

    for name, operation in OPERATIONS.items():
        assert operation.name == name and operation.symbol and operation.doc.endswith(".")
        assert operation.domain == ("group" if name in GROUP_ORACLES else "residues")
        assert operation.needs_prime == (name in NEED_A_PRIME)


@pytest.mark.parametrize(
    ("came", "nearest"), [("ad", "add"), ("divide", "div"), ("composes", "compose"), ("x2y2", "x2_y2")]
)
def test_unknown_operation_names_the_nearest(came, nearest):
    from train.algebra.operations import find_operation

    with pytest.raises(ValueError, match=f"unknown operation '{came}'; did you mean '{nearest}'\\?") as error:
        find_operation(came)
    assert all(name in str(error.value) for name in ORACLES)


def test_nothing_is_guessed_for_a_name_unlike_all_others():
    from train.algebra.operations import find_operation

    with pytest.raises(ValueError, match="unknown operation 'QQQ'; allowed are add"):
        find_operation("QQQ")


@pytest.mark.parametrize(
    ("name", "structure", "said"),
    [
        ("add", 1, ["p = 1 is out of range", "from 2 to"]),
        ("add", 0, ["p = 0 is out of range"]),
        ("add", -7, ["p = -7 is out of range"]),
        ("add", 1_000_003, ["p = 1000003 is out of range", "to 5000"]),
        ("div", 1, ["p = 1 is out of range"]),
        ("div", 9, ["'div' needs a prime p", "p = 9", "try 11"]),
        ("div_or_sub", 4, ["'div_or_sub' needs a prime p", "p = 4", "try 5"]),
        ("add", "S5", ["'add' works on the residues mod p", "'S5'", "--p", "compose"]),
        ("add", "Q8", ["unknown group 'Q8'", "C<n>"]),
        ("compose", 113, ["'compose' works on a group", "p = 113", "--group"]),
        ("sandwich", 7, ["'sandwich' works on a group", "p = 7"]),
        ("compose", "Q8", ["unknown group 'Q8'"]),
        ("conjugate", "S8", ["S8", "40320"]),
    ],
)
def test_unsuited_structures_are_refused(name, structure, said):
    with pytest.raises(ValueError) as error:
        operation_named(name).table(structure)
    assert all(phrase in str(error.value) for phrase in said), str(error.value)


def test_the_suggested_prime_is_itself_allowed():
    from train.algebra.operations import MAX_MODULUS

    with pytest.raises(ValueError, match="needs a prime") as error:
        operation_named("div").table(MAX_MODULUS)
    suggested = int(str(error.value).split("try ")[1].rstrip(")"))
    operation_named("div").check(suggested)


def test_primes_by_the_sieve():
    from train.algebra.operations import is_prime, next_prime

    composite = {a * b for a in range(2, 250) for b in range(2, 250)}
    primes = [n for n in range(2, 500) if n not in composite]
    assert [n for n in range(-3, 500) if is_prime(n)] == primes
    assert all(next_prime(n) == min(q for q in primes if q > n) for n in range(1, 400))


def test_number_of_elements_needs_no_table():
    assert operation_named("add").n_elements(113) == 113
    assert operation_named("compose").n_elements("S5") == 120


def test_no_torch_until_a_table_is_made():
    """Importing the operations does not import torch, so that --help stays quick."""
    script = (
        "import sys, train.config.run, train.config.presets, train.algebra.shape, train.curves; "
        "assert not {'torch', 'numpy', 'transformer_lens'} & set(sys.modules); "
        "from train.algebra.operations import OPERATIONS; OPERATIONS['compose'].check('S5'); "
        "assert 'torch' not in sys.modules; OPERATIONS['add'].table(2); assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
