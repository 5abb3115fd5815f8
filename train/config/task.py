"""The task of a run: an operation, its all-pairs table, and the split into training and test rows."""

import math
from dataclasses import dataclass
from typing import Literal

from train.algebra.groups import parse_group
from train.algebra.operations import Operation, find_operation

from .checks import check_choices, check_float, check_int

Split = Literal["stream", "torch", "python"]


Layout = Literal["a b =", "a op b =", "a b", "a op b", "eos a op b ="]


@dataclass(frozen=True)
class TaskConfig:
    """The operation, its all-pairs table, and the split into training and test rows."""

    op: str = "add"
    """Operation to learn."""
    p: int | None = 113
    """Modulus of an operation on residues."""
    group: str | None = None
    """Group of compose, conjugate or sandwich: C<n>, D<n>, S<n> or A<n>."""
    train_frac: float = 0.3
    """Share of the defined rows that is trained on; the rest is the test set."""
    split: Split = "python"
    """How rows are drawn: our own generator stream, torch.randperm, or Python's random.shuffle (published splits)."""
    split_seed: int | None = None
    """Seed of the split alone; the run's seed where not given."""
    layout: Layout = "a b ="
    """Token layout of a row."""
    shared_vocabulary: bool = True
    """Whether both operands have the same tokens; otherwise those of b come after those of a."""
    outliers: int = 0
    """Training rows whose answer is replaced by that of another training row (Power et al. 2022, A.4)."""

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
        if self.group is not None:
            return parse_group(self.group).order
        assert self.p is not None
        return self.p

    @property
    def n_defined(self) -> int:
        """Number of defined entries of the operation's table."""
        return self.n_elements * (self.n_elements - self.operation.undefined_columns)

    @property
    def n_train(self) -> int:
        """Number of training rows."""
        return int(self.train_frac * self.n_defined)

    @property
    def d_vocab(self) -> int:
        """Number of tokens: the elements (of a, then of b, where they are not shared), then the marks."""
        return self.n_elements * (1 if self.shared_vocabulary else 2) + len(self.marks)

    @property
    def marks(self) -> tuple[str, ...]:
        """The layout's tokens that are no element, in the order of their numbers: "=", the operator, "eos"."""
        return tuple(mark for mark in ("=", "op", "eos") if mark in self.layout.split())

    def vocabulary(self, elements: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the tokens; the second operand's are primed where they are its own."""
        of_b = () if self.shared_vocabulary else tuple(f"{name}'" for name in elements)
        return elements + of_b + self.marks

    @property
    def n_ctx(self) -> int:
        """Tokens per row."""
        return len(self.layout.split())

    @property
    def label(self) -> str:
        """Short name such as add-p113 or compose-s5."""
        return f"{self.op}-p{self.p}" if self.group is None else f"{self.op}-{self.group.lower()}"
