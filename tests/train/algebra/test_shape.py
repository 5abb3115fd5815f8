"""Shapes of tasks, by hand and without torch, and one row maker for every kind."""

import subprocess
import sys
from typing import get_args

import pytest

from tests.oracles.operations import elements

LAYOUTS = {
    "a b": ("a", "b"),
    "a b =": ("a", "b", "="),
    "a op b": ("a", "op", "b"),
    "a op b =": ("a", "op", "b", "="),
    "eos a op b =": ("eos", "a", "op", "b", "="),
}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_pairs_by_hand(layout, shared):
    from train.config.task import TaskConfig

    config = TaskConfig(op="div", p=5, layout=layout, shared_vocabulary=shared)
    shape, words = config.shape, LAYOUTS[layout]
    marks = tuple(mark for mark in ("=", "op", "eos") if mark in words)
    primed = () if shared else ("0'", "1'", "2'", "3'", "4'")
    assert (shape.words, shape.answer_positions, shape.marks) == (words, (len(words) - 1,), marks)
    assert shape.vocabulary == ("0", "1", "2", "3", "4", *primed, *marks)
    assert (shape.n_rows, shape.n_defined, shape.n_labels) == (25, 20, 5)
    assert (config.n_ctx, config.d_vocab, config.n_defined) == (len(words), len(shape.vocabulary), 20)
    assert not shape.feeds_answers


@pytest.mark.parametrize("name", ["C7", "D4", "S4", "A4"])
def test_names_of_elements_need_no_table(name):
    from train.algebra.groups import element_names, group
    from train.config.task import TaskConfig

    assert element_names(name) == group(name).elements == tuple(elements(name))
    assert TaskConfig(op="compose", p=None, group=name).shape.elements == tuple(elements(name))


def test_no_torch():
    script = (
        "import sys; from train.config.task import TaskConfig; "
        "assert TaskConfig().shape.d_vocab == 114; "
        "config = TaskConfig(op='compose', p=None, group='S5', layout='a op b ='); "
        "assert config.vocabulary[-3:] == ('43210', '=', 'op'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_layout_has_a_kind_and_every_kind_a_maker():
    """A layout added to the type alone, or to only one of the two lists, is noticed."""
    from train.algebra.shape import KINDS, Layout
    from train.config.task import TaskConfig
    from train.tasks.task import MAKERS

    assert set(KINDS) == set(get_args(Layout))
    assert {TaskConfig(p=5, layout=layout).shape.kind for layout in KINDS} == set(MAKERS)


def test_answers_among_the_words_are_fed():
    import dataclasses

    from train.config.task import TaskConfig

    shape = TaskConfig(p=5).shape
    assert dataclasses.replace(shape, words=("a", "b", "=", "c1"), answers=("c1", "c0")).feeds_answers
    assert not dataclasses.replace(shape, words=("a", "b", "=", "="), answers=("c1", "c0")).feeds_answers  # control
