"""The shape of a task, without torch: number of rows, tokens of a row, answer positions and printable names.

A layout belongs to one kind of task. A kind is a function in ``KINDS`` from a ``Request`` to its ``Shape``, and a
function of ``train.tasks.task`` that builds the tensors.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .groups import element_names
from .operations import Operation

Layout = Literal["a b =", "a op b =", "a b", "a op b", "eos a op b ="]
MARKS = ("=", "op", "eos")
"""Tokens of the all-pairs layouts that are not elements, in the order of their token numbers."""


@dataclass(frozen=True)
class Request:
    """The fields of a task's config that decide its shape."""

    operation: Operation
    structure: int | str
    """The modulus p, or a group's name."""
    layout: Layout
    shared_vocabulary: bool

    @property
    def elements(self) -> tuple[str, ...]:
        """Printable names of the structure's elements."""
        return element_names(self.structure if isinstance(self.structure, str) else f"C{self.structure}")


@dataclass(frozen=True)
class Shape:
    """Rows, tokens, answers and names of a task."""

    kind: str
    """Name of the kind of task, as in ``KINDS``."""
    n_rows: int
    n_defined: int
    """Number of rows that have an answer."""
    words: tuple[str, ...]
    """The content of each position of a row: an operand ("a"), a part of one ("a1") or a mark ("=")."""
    answers: tuple[str, ...]
    """The content of each answer; an answer that is also one of ``words`` is fed to the model as a token."""
    answer_positions: tuple[int, ...]
    """The position at which each answer is read."""
    elements: tuple[str, ...]
    """Printable names of the elements that the operation combines."""
    vocabulary: tuple[str, ...]
    """Printable name of every token, in the order of the token numbers."""
    n_labels: int
    """Number of possible answers: tokens 0 to n_labels - 1."""

    @property
    def n_ctx(self) -> int:
        """Tokens per row."""
        return len(self.words)

    @property
    def d_vocab(self) -> int:
        """Number of tokens."""
        return len(self.vocabulary)

    @property
    def marks(self) -> tuple[str, ...]:
        """Names of the tokens that are neither operands nor answers, in the order of the token numbers."""
        return tuple(name for name in self.vocabulary[self.n_labels :] if name in self.words)

    @property
    def feeds_answers(self) -> bool:
        """Whether the rows contain an answer as a token, so that attention must be causal."""
        return not set(self.answers).isdisjoint(self.words)


def all_pairs(request: Request) -> Shape:
    """One row for each pair of elements, a-major, with one token per operand and the answer at the last position.

    The vocabulary is the elements, then primed copies for b unless the vocabulary is shared, then the layout's marks.
    """
    elements, words = request.elements, tuple(request.layout.split())
    n = len(elements)
    of_b = () if request.shared_vocabulary else tuple(f"{name}'" for name in elements)
    return Shape(
        kind="all pairs",
        n_rows=n * n,
        n_defined=n * (n - request.operation.undefined_columns),
        words=words,
        answers=("answer",),
        answer_positions=(len(words) - 1,),
        elements=elements,
        vocabulary=elements + of_b + tuple(mark for mark in MARKS if mark in words),
        n_labels=n,
    )


KINDS: dict[Layout, Callable[[Request], Shape]] = {
    "a b =": all_pairs,
    "a op b =": all_pairs,
    "a b": all_pairs,
    "a op b": all_pairs,
    "eos a op b =": all_pairs,
}
"""The kind of task of each layout."""


@functools.lru_cache(maxsize=64)
def shape_of(request: Request) -> Shape:
    """The shape of a task.

    Raises:
        ValueError: the layout's kind of task does not exist for that operation or structure.
    """
    return KINDS[request.layout](request)
