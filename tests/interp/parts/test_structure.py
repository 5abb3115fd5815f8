"""The tasks whose elements form a cycle, and the order of the elements along it."""

import dataclasses

import pytest
import torch

RESIDUE_SUMS = ["add", "sub", "div_or_sub", "x2_y2", "x2_xy_y2", "x2_xy_y2_x", "x3_xy", "x3_xy2_y"]


def task_of(**fields):
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.tasks.task import make_task

    return make_task(RunConfig(task=TaskConfig(train_frac=0.5, **fields)))


def cycle_of(**fields):
    from interp.parts.structure import Cycle, find_cycle

    found = find_cycle(task_of(**fields))
    assert isinstance(found, Cycle), found
    return found


def reason(**fields):
    from interp.parts.memo import Unavailable
    from interp.parts.structure import find_cycle

    found = find_cycle(task_of(**fields))
    assert isinstance(found, Unavailable), found
    return found.reason


@pytest.mark.parametrize("op", RESIDUE_SUMS)
def test_residues_run_in_their_own_order(op):
    cycle = cycle_of(op=op, p=7)
    assert cycle.order.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert (cycle.n, cycle.apart, cycle.is_multiplicative) == (7, (), False)
    assert "additive" in cycle.name and "Z_7" in cycle.name


@pytest.mark.parametrize("p", [2, 6])
def test_addition_is_cyclic_for_any_modulus(p):
    assert cycle_of(op="add", p=p).order.tolist() == list(range(p))


@pytest.mark.parametrize(("op", "p"), [("mul", 3), ("mul", 7), ("div", 7), ("mul", 97), ("div", 113)])
def test_products_run_in_the_order_of_powers(op, p):
    """Nonzero residues are ordered as powers: each is the one before times a constant, back to 1 at the end."""
    cycle = cycle_of(op=op, p=p)
    order = cycle.order.tolist()
    assert sorted(order) == list(range(1, p)) and order[0] == 1
    assert all(order[i] == order[i - 1] * order[1] % p for i in range(p - 1))
    assert (cycle.n, cycle.apart, cycle.is_multiplicative) == (p - 1, (0,), True)
    assert "multiplicative" in cycle.name


@pytest.mark.parametrize(
    ("fields", "sign"),
    [
        ({"op": "add", "p": 6}, 1),
        ({"op": "sub", "p": 7}, -1),
        ({"op": "mul", "p": 7}, 1),
        ({"op": "div", "p": 11}, -1),
        ({"op": "compose", "p": None, "group": "C8"}, 1),
    ],
)
def test_around_the_cycle_the_task_is_addition_or_subtraction(fields, sign):
    """Reordered along its cycle, the table of an operation is i + j or i - j mod n."""
    task, cycle = task_of(**fields), cycle_of(**fields)
    order, n = cycle.order, cycle.n
    assert task.table is not None
    answers = task.table.values[order][:, order]
    assert answers.tolist() == [[int(order[(i + sign * j) % n]) for j in range(n)] for i in range(n)]
    raw = task.table.values[1 : n + 1, 1 : n + 1]
    if cycle.is_multiplicative:  # the control: without the reordering it is not
        plain = torch.arange(n)
        assert (raw - 1).tolist() != ((plain[:, None] + sign * plain) % n).tolist()


@pytest.mark.parametrize("op", ["compose", "conjugate", "sandwich"])
def test_cyclic_groups_are_cyclic(op):
    cycle = cycle_of(op=op, p=None, group="C9")
    assert cycle.order.tolist() == list(range(9)) and cycle.apart == ()
    assert "C9" in cycle.name


@pytest.mark.parametrize("group", ["D4", "S4", "A4", "S5"])
def test_other_groups_say_why_not(group):
    said = reason(op="compose", p=None, group=group)
    assert group in said and "not cyclic" in said


@pytest.mark.parametrize("group", ["A3", "S2", "D1"])
def test_nothing_false_is_said_of_small_groups_that_are_cyclic(group):
    """For A3 = C3 and S2 = D1 = C2 the answer is a cycle or a refusal, never "not cyclic"."""
    from interp.parts.structure import Cycle, find_cycle

    found = find_cycle(task_of(op="compose", p=None, group=group))
    assert isinstance(found, Cycle) or "not cyclic" not in found.reason


@pytest.mark.parametrize("p", [4, 9, 6])
def test_products_mod_a_composite_say_why_not(p):
    said = reason(op="mul", p=p)
    assert f"mod {p}" in said and "not prime" in said


@pytest.mark.parametrize("op", ["mul", "div"])
def test_products_mod_2_say_why_not(op):
    assert "only one residue" in reason(op=op, p=2)


def test_a_task_without_a_table_has_no_cycle():
    from interp.parts.memo import Unavailable
    from interp.parts.structure import find_cycle

    found = find_cycle(dataclasses.replace(task_of(op="add", p=5), table=None))
    assert found == Unavailable("this task has no all-pairs table")


def on(structure):
    return {"p": structure} if isinstance(structure, int) else {"p": None, "group": structure}


@pytest.mark.parametrize(
    ("op", "structure", "sign"),
    [("add", 7, 1), ("sub", 7, -1), ("mul", 7, 1), ("div", 7, -1), ("compose", "C6", 1), ("add", 8, 1)],
)
def test_law_lines_hold_the_pairs_with_one_answer_and_one_difference(op, structure, sign):
    from interp.parts.structure import Law, find_law

    task = task_of(op=op, **on(structure))
    law = find_law(task)
    assert isinstance(law, Law)
    assert law.sign == sign
    place = {element: i for i, element in enumerate(law.cycle.order.tolist())}
    for t in range(law.n):
        assert task.labels[law.by_answer[t], 0].tolist() == [law.cycle.order[t].item()] * law.n
        pairs = task.pairs[law.by_difference[t]].tolist()
        assert {(place[a] - sign * place[b]) % law.n for a, b in pairs} == {t}
        assert {place[a] for a, _ in task.pairs[law.by_a[t]].tolist()} == {t}
        assert {place[b] for _, b in task.pairs[law.by_b[t]].tolist()} == {t}
    assert sorted(law.by_difference.flatten().tolist()) == sorted(law.by_answer.flatten().tolist())


@pytest.mark.parametrize(
    ("op", "structure"), [("x2_y2", 7), ("div_or_sub", 7), ("sandwich", "C6"), ("conjugate", "C6"), ("x3_xy", 5)]
)
def test_operations_without_a_law_say_so(op, structure):
    from interp.parts.memo import Unavailable
    from interp.parts.structure import find_law

    law = find_law(task_of(op=op, **on(structure)))
    assert isinstance(law, Unavailable)
    assert "no sum or difference" in law.reason
