"""Tasks: rows of input tokens, answer positions, labels and the split.

``Task`` is general: rows of tokens, one or several answer positions, a mask for the split. The all-pairs table belongs
to one kind of task; code that needs the table uses ``task.table``, or reshapes values with ``as_grid``.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from train.algebra.shape import Shape
from train.config.run import RunConfig
from train.config.task import Split, TaskConfig
from train.errors import UsageError
from train.streams import stream

OBEYS = frozenset(
    f"task.{name}"
    for name in (
        *("op", "p", "group", "train_frac", "split", "split_seed"),
        *("layout", "shared_vocabulary", "outliers"),
    )
)
"""Settings that this file obeys."""
NO_TABLE = "this task has no all-pairs table"
"""Error message where an all-pairs table is needed and the task has none."""
Values = TypeVar("Values", Tensor, np.ndarray)


@dataclass(frozen=True)
class Table:
    """The all-pairs table behind a task: row a * n + b of the task is the pair (a, b)."""

    op: str
    structure: int | str
    """The modulus, or the group's name."""
    elements: tuple[str, ...]
    """Printable names of the n elements."""
    values: Int[Tensor, "n n"]
    """Answers, first operand down the rows, -1 where undefined."""

    @property
    def n(self) -> int:
        """Number of elements."""
        return len(self.elements)


@dataclass(frozen=True)
class Task:
    """Rows to train and test on.

    ``labels`` has one column per answer position, and -1 in rows that are not defined. The test rows are the defined
    rows that are not training rows; where ``is_train`` is None the split is unknown.
    """

    shape: Shape
    pairs: Int[Tensor, "rows 2"]
    tokens: Int[Tensor, "rows n_ctx"]
    labels: Int[Tensor, "rows n_answers"]
    is_defined: Bool[Tensor, " rows"]
    is_train: Bool[Tensor, " rows"] | None
    table: Table | None = None

    @property
    def answer_positions(self) -> tuple[int, ...]:
        """The position at which each answer is read."""
        return self.shape.answer_positions

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Printable name of every token."""
        return self.shape.vocabulary

    def rows(self, subset: str) -> Int[Tensor, " chosen"]:
        """Row numbers of ``subset``: "train", "test" or "all" (all defined rows).

        Raises:
            ValueError: ``subset`` is another name, or "train" or "test" where the split is unknown.
        """
        if subset == "all":
            return self.is_defined.nonzero().flatten()
        if subset not in ("train", "test"):
            raise ValueError(f"unknown subset {subset!r}; choose train, test or all")
        if self.is_train is None:
            raise ValueError(f"the {subset} rows are not known: this task's split is unknown; use 'all'")
        mask = self.is_train if subset == "train" else ~self.is_train
        return (mask & self.is_defined).nonzero().flatten()

    def operand_position(self, operand: str) -> int:
        """The position of the token of operand "a" or "b" in a row.

        Raises:
            UsageError: another operand, or a task without an all-pairs table, whose operands may take several tokens.
        """
        self._need_table()
        if operand not in ("a", "b"):
            raise UsageError(f"unknown operand {operand!r}; choose 'a' or 'b'")
        return self.shape.words.index(operand)

    def as_grid(self, values: Values) -> Values:
        """``values`` [rows, ...], a tensor or an array, reshaped to [n, n, ...]: operand a down, b to the right.

        Raises:
            UsageError: a task without an all-pairs table, or another number of rows than the task's.
        """
        n = self._need_table().n
        if len(values) != n * n:
            raise UsageError(f"{len(values)} values for the {n * n} rows of the table: give one a row")
        return values.reshape(n, n, *values.shape[1:])

    def _need_table(self) -> Table:
        if self.table is None:
            raise UsageError(NO_TABLE)
        return self.table


def make_task(config: RunConfig) -> Task:
    """The task of a run, with its split."""
    task = unsplit_task(config.task)
    is_train = split_mask(task.is_defined, config.task.n_train, config.task.split, config.split_seed)
    task = with_split(task, is_train)
    return task if config.task.outliers == 0 else with_outliers(task, config.task.outliers, config.split_seed)


def unsplit_task(config: TaskConfig) -> Task:
    """A task of any kind, without a split."""
    return MAKERS[config.shape.kind](config)


# ---- kinds of task ---------------------------------------------------------------------------------


def all_pairs_task(config: TaskConfig) -> Task:
    """All n^2 rows of the operation's table in a-major order, without a split: see ``algebra.shape.all_pairs``."""
    assert config.structure is not None
    shape, n = config.shape, config.n_elements
    table = Table(config.op, config.structure, shape.elements, config.operation.table(config.structure))
    a, b = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
    column = {"a": a, "b": b if config.shared_vocabulary else b + n}
    column |= {mark: torch.full_like(a, shape.vocabulary.index(mark)) for mark in shape.marks}
    labels = table.values.reshape(-1, 1).long()
    return Task(
        shape=shape,
        pairs=torch.stack([a, b], dim=1),
        tokens=torch.stack([column[word] for word in shape.words], dim=1),
        labels=labels,
        is_defined=labels[:, 0] >= 0,
        is_train=None,
        table=table,
    )


MAKERS: dict[str, Callable[[TaskConfig], Task]] = {"all pairs": all_pairs_task}
"""The function that builds each kind of task in ``train.algebra.shape.KINDS``, without a split."""


# ---- splits and outliers ---------------------------------------------------------------------------


def with_split(task: Task, is_train: Bool[Tensor, " rows"]) -> Task:
    """``task`` with the training rows ``is_train``; undefined rows belong to neither subset."""
    return replace(task, is_train=is_train & task.is_defined)


def with_outliers(task: Task, k: int, seed: int) -> Task:
    """``task`` with the answers of ``k`` random training rows replaced by those of other random training rows.

    A row is never its own donor, but the donor's answers may be equal by chance. ``task.table`` keeps the correct
    answers. Source: Power et al. 2022 (2201.02177), A.4.
    """
    rows, generator = task.rows("train"), stream(seed, "outliers")
    order = torch.randperm(len(rows), generator=generator)
    replaced, shift = order[:k], torch.randint(1, max(2, len(rows)), (k,), generator=generator)
    labels = task.labels.clone()
    labels[rows[replaced]] = task.labels[rows[(replaced + shift) % len(rows)]]
    return replace(task, labels=labels)


def split_mask(is_defined: Bool[Tensor, " rows"], n_train: int, scheme: Split, seed: int) -> Bool[Tensor, " rows"]:
    """Mask of the training rows: the first ``n_train`` of the shuffled defined rows.

    Schemes: ``torch`` is ``torch.manual_seed(seed); torch.randperm(n)`` (TransformerLens' demo,
    rep-theory), ``python`` is ``random.seed(seed); random.shuffle(list)`` (Nanda et al. 2023), ``stream``
    is a dedicated generator, independent of every other use of the seed.
    """
    defined = is_defined.nonzero().flatten()
    if scheme == "python":
        order = list(range(len(defined)))
        random.Random(seed).shuffle(order)
        permutation = torch.tensor(order)
    else:
        generator = torch.Generator().manual_seed(seed) if scheme == "torch" else stream(seed, "split")
        permutation = torch.randperm(len(defined), generator=generator)
    mask = torch.zeros_like(is_defined)
    mask[defined[permutation[:n_train]]] = True
    return mask
