"""The all-pairs task: rows, tokens, answers, published splits, and the random streams behind them."""

import dataclasses
import itertools
import random
import re
import subprocess
import sys

import pytest
import torch

from tests.oracles.operations import UNDEFINED, div, elements


def make(seed=0, **task):
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.tasks.task import make_task

    return make_task(RunConfig(task=TaskConfig(**task), seed=seed))


def chosen(task, subset):
    """The pairs of a subset as tuples, in row order."""
    return [tuple(pair) for pair in task.pairs[task.rows(subset)].tolist()]


# ---- rows, tokens, answers --------------------------------------------------------------------------------


def test_rows_are_all_pairs_a_major():
    task = make(op="sub", p=5)
    assert task.pairs.tolist() == [[a, b] for a in range(5) for b in range(5)]
    assert task.labels.tolist() == [[(a - b) % 5] for a in range(5) for b in range(5)]
    assert task.labels.view(5, 5)[1, 3] == 3 and task.labels.view(5, 5)[3, 1] == 2
    assert task.is_defined.all()


@pytest.mark.parametrize(
    ("layout", "row", "extra"),
    [
        ("a b", [3, 4], ()),
        ("a b =", [3, 4, 7], ("=",)),
        ("a op b =", [3, 8, 4, 7], ("=", "op")),
        ("eos a op b =", [9, 3, 8, 4, 7], ("=", "op", "eos")),
    ],
)
def test_token_layouts(layout, row, extra):
    task = make(op="add", p=7, layout=layout)
    assert task.tokens[3 * 7 + 4].tolist() == row
    assert task.tokens.shape == (49, len(row))
    assert task.answer_positions == (len(row) - 1,)
    assert task.vocabulary == ("0", "1", "2", "3", "4", "5", "6", *extra)
    said = [task.vocabulary[token] for token in task.tokens[0 * 7 + 6].tolist()]
    assert said == [{"a": "0", "b": "6"}.get(word, word) for word in layout.split()]


def test_two_vocabularies():
    task = make(op="add", p=3, layout="a op b =", shared_vocabulary=False)
    assert task.tokens[1 * 3 + 2].tolist() == [1, 7, 3 + 2, 6]
    assert task.vocabulary == ("0", "1", "2", "0'", "1'", "2'", "=", "op")
    assert int(task.labels.max()) == 2


@pytest.mark.parametrize("layout", ["a b", "a b =", "a op b =", "eos a op b ="])
def test_vocabulary_agrees_with_the_config(layout):
    from train.config.task import TaskConfig

    config = TaskConfig(op="add", p=7, layout=layout)
    task = make(op="add", p=7, layout=layout)
    assert (len(task.vocabulary), task.tokens.shape[1]) == (config.d_vocab, config.n_ctx)
    assert int(task.tokens.max()) == config.d_vocab - 1


def test_group_tasks_are_named_by_their_elements():
    task = make(op="compose", p=None, group="S4", train_frac=0.5)
    names = list(elements("S4"))
    assert task.vocabulary == (*names, "=")
    assert task.table is not None
    assert (task.table.op, task.table.structure, task.table.n) == ("compose", "S4", 24)
    a, b = names.index("1023"), names.index("0132")
    assert task.vocabulary[int(task.labels[24 * a + b, 0])] == "1032"
    assert task.table.values[a, b] == task.labels[24 * a + b, 0]


@pytest.mark.parametrize("layout", ["a b", "a b =", "a op b =", "a op b", "eos a op b ="])
def test_operands_and_grids_by_hand(layout):
    from train.errors import UsageError

    task = make(op="sub", p=5, layout=layout, shared_vocabulary=False)
    a, b = ([*map(str, layout.split())].index(operand) for operand in "ab")
    assert (task.operand_position("a"), task.operand_position("b")) == (a, b)
    grid, array = task.as_grid(task.labels[:, 0]), task.as_grid(task.tokens.numpy())
    assert array.shape == (5, 5, len(layout.split()))
    for x in range(5):
        for y in range(5):
            assert int(grid[x, y]) == (x - y) % 5
            assert (array[x, y, a], array[x, y, b]) == (x, y + 5)
    with pytest.raises(UsageError, match="unknown operand 'c'; choose 'a' or 'b'"):
        task.operand_position("c")
    with pytest.raises(UsageError, match="24 values for the 25 rows of the table: give one a row"):
        task.as_grid(task.labels[:24])


def test_undefined_rows_are_kept_and_belong_to_no_subset():
    task = make(op="div", p=7, train_frac=0.5)
    assert task.labels[:, 0].tolist() == [div(a, b, 7) for a in range(7) for b in range(7)]
    undefined = [row for row in range(49) if row % 7 == 0]
    assert (~task.is_defined).nonzero().flatten().tolist() == undefined
    assert task.labels[undefined, 0].tolist() == [UNDEFINED] * 7
    assert task.is_train is not None and not task.is_train[undefined].any()
    for subset, n in (("all", 42), ("train", 21), ("test", 21)):
        assert len(task.rows(subset)) == n and not set(task.rows(subset).tolist()) & set(undefined)


def test_an_undefined_row_is_never_trained_on_whatever_the_mask():
    from train.tasks.task import with_split

    task = make(op="div", p=5)
    forced = with_split(task, torch.ones(25, dtype=torch.bool))
    assert chosen(forced, "train") == [(a, b) for a in range(5) for b in range(1, 5)]
    assert chosen(forced, "test") == []
    assert forced.is_train is not None and not (forced.is_train & ~forced.is_defined).any()


# ---- splits -----------------------------------------------------------------------------------------------

SCHEMES = ("stream", "torch", "python")


@pytest.mark.parametrize(
    ("task", "n_train", "n_defined"),
    [
        ({"p": 113, "train_frac": 0.3}, 3_830, 12_769),
        ({"op": "div", "p": 97, "train_frac": 0.5}, 4_656, 9_312),
        ({"p": 5, "train_frac": 0.999}, 24, 25),
        ({"p": 2, "train_frac": 0.25}, 1, 4),
        ({"p": 6, "train_frac": 0.5}, 18, 36),
    ],
)
@pytest.mark.parametrize("split", SCHEMES)
def test_subsets_share_out_the_defined_rows(split, task, n_train, n_defined):
    made = make(split=split, **task)
    train, test, every = (made.rows(subset).tolist() for subset in ("train", "test", "all"))
    assert (len(train), len(every)) == (n_train, n_defined)
    assert sorted(train + test) == every == sorted(set(every))


def test_torch_split_is_transformerlens_demo():
    """The split at seed 598 is the Grokking_Demo's: its first five training rows and test rows."""
    train = [(21, 31), (30, 98), (47, 10), (86, 21), (99, 83)]
    test = [(43, 40), (31, 42), (39, 63), (35, 61), (112, 102)]
    task = make(p=113, split="torch", split_seed=598, seed=999)
    assert set(train) <= set(chosen(task, "train")) and set(test) <= set(chosen(task, "test"))
    with torch.random.fork_rng(devices=[]):  # their code, literally
        torch.manual_seed(598)
        indices = torch.randperm(113 * 113)
    theirs = [divmod(i, 113) for i in indices.tolist()]
    assert theirs[:5] == train and theirs[3_830:3_835] == test
    assert set(chosen(task, "train")) == set(theirs[:3_830])
    other = chosen(make(p=113, split="torch", split_seed=599, seed=999), "train")
    assert not set(train) <= set(other)  # the control


@pytest.mark.parametrize("seed", [0, 1])
def test_python_split_is_nandas(seed):
    pairs = [(a, b) for a in range(113) for b in range(113)]
    before = random.getstate()
    random.seed(seed)
    random.shuffle(pairs)
    random.setstate(before)
    task = make(p=113, split="python", seed=seed)
    assert set(chosen(task, "train")) == set(pairs[:3_830])
    assert set(chosen(task, "test")) == set(pairs[3_830:])
    assert set(chosen(make(p=113, split="python", seed=2), "train")) != set(pairs[:3_830])


def test_published_splits_of_a_partial_table_shuffle_its_defined_rows():
    defined = [(a, b) for a in range(7) for b in range(1, 7)]
    shuffled = list(defined)
    random.Random(3).shuffle(shuffled)
    assert set(chosen(make(op="div", p=7, split="python", seed=3), "train")) == set(shuffled[:12])
    order = torch.randperm(42, generator=torch.Generator().manual_seed(3)).tolist()
    assert chosen(make(op="div", p=7, split="torch", seed=3), "train") == sorted(defined[i] for i in order[:12])


@pytest.mark.parametrize("split", SCHEMES)
def test_splits_nest_as_train_frac_grows(split):
    small, large = (set(chosen(make(p=13, split=split, train_frac=f), "train")) for f in (0.3, 0.5))
    assert small < large


@pytest.mark.parametrize("split", SCHEMES)
def test_a_split_is_reproducible_and_set_by_its_seed(split):
    def train_rows(**task):
        return make(p=13, split=split, **task).rows("train").tolist()

    assert train_rows(seed=4) == train_rows(seed=4) != train_rows(seed=5)
    assert train_rows(seed=5, split_seed=4) == train_rows(seed=4)
    assert train_rows(seed=5, split_seed=0) == train_rows(seed=0) != train_rows(seed=5)  # 0 is a seed


def test_schemes_differ():
    splits = [make(p=13, split=split).rows("train").tolist() for split in SCHEMES]
    assert all(a != b for a, b in itertools.combinations(splits, 2))


GLOBAL_STATES = """
import random, torch
from train.config.run import RunConfig
from train.config.task import TaskConfig
from train.tasks.task import make_task
for split in ("stream", "torch", "python"):
    rows = set()
    for global_seed in (1, 2):
        random.seed(global_seed), torch.manual_seed(global_seed)
        before = torch.get_rng_state(), random.getstate()
        task = make_task(RunConfig(task=TaskConfig(p=13, split=split)))
        assert torch.equal(torch.get_rng_state(), before[0]), f"{split} moved torch's state"
        assert random.getstate() == before[1], f"{split} moved random's state"
        rows.add(tuple(task.rows("train").tolist()))
    assert len(rows) == 1, f"{split} reads a global state"
random.random(), torch.rand(1)
assert not torch.equal(torch.get_rng_state(), before[0]) and random.getstate() != before[1]  # the control
"""


def test_global_random_states_are_left_alone():
    """Making tasks changes no global random state, in a process without the type checks, which draw from ``random``."""
    done = subprocess.run([sys.executable, "-c", GLOBAL_STATES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_split_shows_no_favourite():
    """Over seeds each row is trained on in about train_frac of the splits: binomial, 5 standard deviations."""
    counts = torch.zeros(25)
    for seed in range(400):
        counts[make(p=5, train_frac=0.4, seed=seed).rows("train")] += 1
    spread = (400 * 0.4 * 0.6) ** 0.5
    assert (counts - 160).abs().max() < 5 * spread
    assert counts.std() > spread / 3  # the control: not the same number for each, as a fixed pattern gives


# ---- unknown splits and subsets ---------------------------------------------------------------------------


def test_subset_names_are_checked():
    with pytest.raises(ValueError, match="unknown subset 'validation'; choose train, test or all"):
        make(p=5).rows("validation")


def test_an_unknown_split_knows_its_defined_rows_alone():
    task = dataclasses.replace(make(op="div", p=5), is_train=None)
    assert len(task.rows("all")) == 20
    for subset in ("train", "test"):
        with pytest.raises(ValueError, match=re.escape(f"the {subset} rows are not known")) as error:
            task.rows(subset)
        assert "use 'all'" in str(error.value)
    with pytest.raises(ValueError, match="unknown subset"):
        task.rows("tset")


def test_a_task_need_not_be_a_table():
    """A task of sampled rows of digit tokens with two answers works without a modulus p."""
    from train.algebra.shape import Shape
    from train.errors import UsageError
    from train.tasks.task import Task

    shape = Shape(
        kind="digits",
        n_rows=3,
        n_defined=3,
        words=("a1", "a0", "b1", "b0", "=", "c1"),
        answers=("c1", "c0"),
        answer_positions=(4, 5),
        elements=tuple(map(str, range(100))),
        vocabulary=(*map(str, range(10)), "="),
        n_labels=10,
    )
    task = Task(
        shape=shape,
        pairs=torch.tensor([[12, 34], [55, 7], [90, 3]]),
        tokens=torch.tensor([[1, 2, 3, 4, 10, 4], [5, 5, 0, 7, 10, 6], [9, 0, 0, 3, 10, 9]]),
        labels=torch.tensor([[4, 6], [6, 2], [9, 3]]),
        is_defined=torch.tensor([True, True, True]),
        is_train=torch.tensor([True, False, True]),
    )
    assert task.table is None and (task.answer_positions, len(task.vocabulary)) == ((4, 5), 11)
    assert shape.feeds_answers and (shape.n_ctx, shape.d_vocab, shape.marks) == (6, 11, ("=",))
    for ask in (lambda: task.operand_position("a"), lambda: task.as_grid(task.labels)):
        with pytest.raises(UsageError, match="^this task has no all-pairs table$"):
            ask()
    assert [task.rows(subset).tolist() for subset in ("train", "test", "all")] == [[0, 2], [1], [0, 1, 2]]


# ---- streams ----------------------------------------------------------------------------------------------


def test_stream_seeds_are_pinned():
    """Seeds of streams are sha256sum's of "0:split" and "598:split": a change would redraw every split."""
    from train.streams import stream_seed

    assert stream_seed(0, "split") == 0x8191489326876928 - 2**63
    assert stream_seed(598, "split") == 0xD66254AD18801D27 - 2**63
    assert stream_seed(0, "init") == 0x63E1A981777FB7AF


def test_streams_are_independent_of_each_other():
    from train.streams import stream

    def draws(seed, name):
        return torch.randint(2**31, (8,), generator=stream(seed, name)).tolist()

    alone = draws(0, "split")
    torch.randn(100, generator=stream(0, "init"))
    assert draws(0, "split") == alone  # drawing from one moves no other
    plain = torch.randint(2**31, (8,), generator=torch.Generator().manual_seed(0)).tolist()
    named = [alone, draws(0, "init"), draws(0, "batch/0"), draws(0, "batch/1"), draws(1, "split"), plain]
    assert all(a != b for a, b in itertools.combinations(named, 2))
    assert stream(0, "split").device.type == "cpu"
