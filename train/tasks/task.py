"""Tasks: which token rows a model sees, where it answers, and what is right.

``Task`` is general: rows of tokens, one or several answer positions, a mask for the split. The all-pairs
table is one way to make one; what needs the table says so by asking for ``task.table``.
"""

import random
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from train.algebra.groups import group
from train.config.run import RunConfig
from train.config.task import Split, TaskConfig
from train.streams import stream

OBEYS = frozenset(
    f"task.{name}"
    for name in (
        *("op", "p", "group", "train_frac", "split", "split_seed"),
        *("layout", "shared_vocabulary", "outliers"),
    )
)
"""Settings that are obeyed here."""


@dataclass(frozen=True)
class Table:
    """The all-pairs table behind a task: row a * n + b of the task is the pair (a, b)."""

    op: str
    structure: int | str
    """Modulus, or the group's name."""
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

    ``labels`` has one column per answer position; rows that are not defined hold -1 there. The test rows
    are the defined rows that are not trained on; where ``is_train`` is None the split is unknown.
    """

    pairs: Int[Tensor, "rows 2"]
    tokens: Int[Tensor, "rows n_ctx"]
    labels: Int[Tensor, "rows n_answers"]
    answer_positions: tuple[int, ...]
    is_defined: Bool[Tensor, " rows"]
    is_train: Bool[Tensor, " rows"] | None
    vocabulary: tuple[str, ...]
    table: Table | None = None

    def rows(self, subset: str) -> Int[Tensor, " chosen"]:
        """Row numbers of ``subset``: "train", "test" or "all" (all defined rows).

        Raises:
            ValueError: another name, or a train/test subset where the split is unknown.
        """
        if subset == "all":
            return self.is_defined.nonzero().flatten()
        if subset not in ("train", "test"):
            raise ValueError(f"unknown subset {subset!r}; choose train, test or all")
        if self.is_train is None:
            raise ValueError(f"the {subset} rows are not known: this task's split is unknown; use 'all'")
        mask = self.is_train if subset == "train" else ~self.is_train
        return (mask & self.is_defined).nonzero().flatten()


def make_task(config: RunConfig) -> Task:
    """The all-pairs task of a run, with its split."""
    task = all_pairs_task(config.task)
    is_train = split_mask(task.is_defined, config.task.n_train, config.task.split, config.split_seed)
    task = with_split(task, is_train)
    return task if config.task.outliers == 0 else with_outliers(task, config.task.outliers, config.split_seed)


def make_table(op: str, structure: int | str, values: Int[Tensor, "n n"]) -> Table:
    """A table with its elements' printable names."""
    n = values.shape[0]
    elements = group(structure).elements if isinstance(structure, str) else tuple(map(str, range(n)))
    return Table(op, structure, elements, values)


def all_pairs_task(config: TaskConfig) -> Task:
    """All n^2 rows of the operation's table in a-major order, without a split.

    Tokens: 0..n-1 the elements (then n..2n-1, those of b, where they are not shared), then the layout's marks; the
    answer is read at the last position.
    """
    assert config.structure is not None
    table = make_table(config.op, config.structure, config.operation.table(config.structure))
    n = table.n
    a, b = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
    first_mark = config.d_vocab - len(config.marks)
    column = {"a": a, "b": b if config.shared_vocabulary else b + n}
    column |= {mark: torch.full_like(a, first_mark + i) for i, mark in enumerate(config.marks)}
    words = config.layout.split()
    labels = table.values.reshape(-1, 1).long()
    return Task(
        pairs=torch.stack([a, b], dim=1),
        tokens=torch.stack([column[word] for word in words], dim=1),
        labels=labels,
        answer_positions=(len(words) - 1,),
        is_defined=labels[:, 0] >= 0,
        is_train=None,
        vocabulary=config.vocabulary(table.elements),
        table=table,
    )


def with_split(task: Task, is_train: Bool[Tensor, " rows"]) -> Task:
    """The same task with a split."""
    return replace(task, is_train=is_train & task.is_defined)


def with_outliers(task: Task, k: int, seed: int) -> Task:
    """The same task with the answers of ``k`` training rows replaced by those of other training rows.

    Rows and donors are drawn at random, a row's donor never itself; donors' answers may be the same by chance. Power et
    al. 2022 (2201.02177), A.4. ``task.table`` keeps what is right.
    """
    rows, generator = task.rows("train"), stream(seed, "outliers")
    order = torch.randperm(len(rows), generator=generator)
    chosen, shift = order[:k], torch.randint(1, max(2, len(rows)), (k,), generator=generator)
    labels = task.labels.clone()
    labels[rows[chosen]] = task.labels[rows[(chosen + shift) % len(rows)]]
    return replace(task, labels=labels)


def split_mask(is_defined: Bool[Tensor, " rows"], n_train: int, scheme: Split, seed: int) -> Bool[Tensor, " rows"]:
    """Training rows: the first ``n_train`` of the shuffled defined rows.

    Schemes: ``torch`` is ``torch.manual_seed(seed); torch.randperm(n)`` (TransformerLens' demo,
    rep-theory), ``python`` is ``random.seed(seed); random.shuffle(list)`` (Nanda et al. 2023), ``stream``
    is a generator of our own, independent of every other use of the seed.
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
