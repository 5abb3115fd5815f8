"""The task of a run: an operation, the token layout of its rows, and the split into training and test rows."""

import math
from dataclasses import dataclass
from typing import Literal

from train.algebra.operations import Operation, find_operation
from train.algebra.shape import Layout, Request, Shape, shape_of

from .checks import check_choices, check_float, check_int

Split = Literal["stream", "torch", "python"]


@dataclass(frozen=True)
class TaskConfig:
    """An operation, the token layout of its rows, and the split into training and test rows."""

    op: str = "add"
    """Operation to learn."""
    p: int | None = 113
    """Modulus of an operation on residues."""
    group: str | None = None
    """Group of compose, conjugate or sandwich: C<n>, D<n>, S<n> or A<n>."""
    train_frac: float = 0.3
    """Fraction of the defined rows in the training set; the rest is the test set."""
    split: Split = "python"
    """Shuffle of the rows: a dedicated random stream, or torch.randperm or random.shuffle as in published splits."""
    split_seed: int | None = None
    """Seed of the split; by default the run's seed."""
    layout: Layout = "a b ="
    """Token layout of a row."""
    shared_vocabulary: bool = True
    """Whether both operands share tokens; otherwise b has separate tokens, numbered after those of a."""
    outliers: int = 0
    """Number of training rows whose answer is replaced by another training row's (Power et al. 2022, A.4)."""

    def __post_init__(self) -> None:
        check_choices(self)
        operation = find_operation(self.op)
        if self.p is not None and self.group is not None:
            raise ValueError(
                f"got both p = {self.p} and group {self.group!r}: give one (p for residues, group for groups)"
            )
        operation.check(self.structure)
        check_float(self, "train_frac", -math.inf, math.inf)
        if not 0 < self.train_frac < 1:
            raise ValueError(
                f"train_frac = {self.train_frac} is out of range; it must lie between 0 and 1, both excluded"
            )
        check_int(self, "split_seed", 0, 2**63 - 1)
        check_int(self, "outliers", 0, 10**9)
        _ = self.shape  # refuses a layout that does not suit the operation

    @property
    def shape(self) -> Shape:
        """Rows, tokens, answers and names."""
        assert self.structure is not None
        return shape_of(Request(self.operation, self.structure, self.layout, self.shared_vocabulary))

    @property
    def operation(self) -> Operation:
        """The operation itself."""
        return find_operation(self.op)

    @property
    def structure(self) -> int | str | None:
        """The modulus, or the group's name."""
        return self.p if self.group is None else self.group

    @property
    def n_elements(self) -> int:
        """Number of residues or group elements."""
        return len(self.shape.elements)

    @property
    def n_defined(self) -> int:
        """Number of rows that have an answer."""
        return self.shape.n_defined

    @property
    def n_train(self) -> int:
        """Number of training rows."""
        return int(self.train_frac * self.n_defined)

    @property
    def d_vocab(self) -> int:
        """Number of tokens."""
        return self.shape.d_vocab

    @property
    def marks(self) -> tuple[str, ...]:
        """Names of the tokens that are not elements, in the order of their token numbers."""
        return self.shape.marks

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Printable name of every token."""
        return self.shape.vocabulary

    @property
    def n_ctx(self) -> int:
        """Tokens per row."""
        return self.shape.n_ctx

    @property
    def label(self) -> str:
        """Short name such as add-p113 or compose-s5."""
        return f"{self.op}-p{self.p}" if self.group is None else f"{self.op}-{self.group.lower()}"
