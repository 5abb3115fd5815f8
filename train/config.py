"""What determines a run's numbers: frozen dataclasses of choices, everything else derived by property.

Where a run is written, on which device and with how many threads are arguments of the command, never config.
"""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from .checks import check_choices, check_float, check_int
from .groups import parse_group
from .operations import Operation, find_operation
from .optim_config import OptimConfig

Split = Literal["stream", "torch", "python"]
Layout = Literal["a b =", "a op b =", "a b", "a op b", "eos a op b ="]
Arch = Literal["transformer", "mlp"]
Norm = Literal["none", "pre", "post"]
Positions = Literal["learned", "sinusoidal"]
Attention = Literal["causal", "bidirectional"]
Biases = Literal["none", "mlp", "all"]
Activation = Literal["relu", "gelu", "gelu_new", "silu", "tanh", "square"]
Outputs = Literal["answers", "tokens"]
Init = Literal["nanda", "zhong", "transformerlens", "pytorch"]


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
    split: Split = "stream"
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


@dataclass(frozen=True)
class ModelConfig:
    """Architecture and initialisation."""

    arch: Arch = "transformer"
    """A HookedTransformer, or a HookedMLP on the concatenated embeddings."""
    n_layers: int = 1
    """Transformer blocks, or hidden layers of an MLP."""
    d_model: int = 128
    """Width of the residual stream (of the embeddings, in an MLP)."""
    n_heads: int = 4
    """Attention heads."""
    d_head: int | None = None
    """Width of a head; d_model / n_heads where not given."""
    d_mlp: int | None = None
    """Hidden width of the MLP; 4 * d_model where not given."""
    attn_only: bool = False
    """Blocks of attention alone, without an MLP."""
    act_fn: Activation = "relu"
    """Activation function of the MLP; gelu_new is GELU's tanh approximation, as in GPT-2."""
    norm: Norm = "none"
    """Layer norm: none, before each sublayer (and a last one), or after each residual sum."""
    positions: Positions = "learned"
    """Position embeddings."""
    attention: Attention = "causal"
    """Attention mask."""
    attn_rate: float = 1.0
    """Attention is attn_rate * softmax + (1 - attn_rate) * ones (Zhong et al. 2023)."""
    biases: Biases = "mlp"
    """Which b_* are trained; the others stay zero."""
    outputs: Outputs = "tokens"
    """Logits over the answers alone, or over every token, "=" included, as in Nanda et al. 2023."""
    init: Init = "nanda"
    """Initialisation scheme."""
    init_scale: float = 1.0
    """All initial weights are multiplied by this, layer norms aside (Liu et al. 2022)."""
    output_scale: float = 1.0
    """Logits are multiplied by this: large is lazy (Kumar et al. 2023)."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("n_layers", "d_model", "n_heads", "d_head", "d_mlp"):
            check_int(self, name, 1, 1_000_000)
        if self.arch == "transformer" and self.d_head is None and self.d_model % self.n_heads:
            raise ValueError(
                f"d_model = {self.d_model} is not divisible by n_heads = {self.n_heads}: change one, or give --d-head"
            )
        if self.attn_only:
            self._check_attn_only()
        check_float(self, "attn_rate", 0.0, 1.0)
        check_float(self, "init_scale", 1e-6, 1e6)
        check_float(self, "output_scale", 1e-6, 1e6)

    def _check_attn_only(self) -> None:
        """Refuse settings of the MLP that such a model has not."""
        if self.arch == "mlp":
            raise ValueError("attn_only is of transformers; an mlp has no attention: leave out one of the two")
        for name, default in (("d_mlp", None), ("act_fn", "relu")):
            if getattr(self, name) != default:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r} is of the MLP, which an attention-only model has not: leave out "
                    f"{name}, or attn_only"
                )

    @property
    def head_width(self) -> int:
        """d_head as used."""
        return self.d_model // self.n_heads if self.d_head is None else self.d_head

    @property
    def mlp_width(self) -> int:
        """d_mlp as used; 0 where there is no MLP."""
        if self.attn_only:
            return 0
        return 4 * self.d_model if self.d_mlp is None else self.d_mlp


@dataclass(frozen=True)
class ScheduleConfig:
    """How long to train and when to save."""

    steps: int = 15_000
    """Optimiser steps in all; not part of a run's identity: ask for more to extend it."""
    per_decade: int = 16
    """Snapshots per factor of ten in steps, besides those added where the test loss moves."""

    def __post_init__(self) -> None:
        check_int(self, "steps", 1, 10**9)
        check_int(self, "per_decade", 1, 1000)


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run's numbers."""

    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    seed: int = 0
    """Seed of initialisation, batches and (unless --split-seed is given) the split."""

    def __post_init__(self) -> None:
        check_int(self, "seed", 0, 2**63 - 1)
        if self.model.arch == "mlp" and self.task.layout != "a b":
            raise ValueError(f"an mlp reads the layout 'a b'; got {self.task.layout!r}: add --layout 'a b'")
        self._check_rows()
        if self.model.arch == "mlp" and self.optim.dropout > 0:
            raise ValueError("dropout is of what is added to a residual stream; an mlp has none: leave out dropout")
        window = self.optim.grokfast_window
        if window is not None and window > self.schedule.steps:
            raise ValueError(
                f"grokfast_window = {window} is longer than the run's {self.schedule.steps} steps, so it would never "
                "act: lower it, or raise --steps"
            )

    def _check_rows(self) -> None:
        n, n_train, size = self.task.n_defined, self.task.n_train, self.optim.batch_size
        if n_train < 1:
            raise ValueError(f"train_frac = {self.task.train_frac} of {n} rows leaves nothing to train on; raise it")
        if self.task.outliers > n_train:
            raise ValueError(f"outliers = {self.task.outliers} is more than the {n_train} training rows; lower it")
        if isinstance(size, int) and size > n_train:
            raise ValueError(
                f"batch_size = {size} is more than the {n_train} training rows; lower it, or leave it out to train on "
                "all of them at every step"
            )

    @property
    def split_seed(self) -> int:
        """Seed of the split as used."""
        return self.seed if self.task.split_seed is None else self.task.split_seed

    @property
    def batch_rows(self) -> int | None:
        """Rows per update; None where all training rows are taken. Power et al. 2022's code rounds halves up."""
        size = self.optim.batch_size
        return min(512, -(-self.task.n_train // 2)) if size == "power" else size

    @property
    def d_vocab_out(self) -> int:
        """Number of logits."""
        return self.task.n_elements if self.model.outputs == "answers" else self.task.d_vocab

    @property
    def run_id(self) -> str:
        """Directory name: task, seed and 8 hex digits of the identity's SHA-256."""
        return f"{self.task.label}-s{self.seed}-{hashlib.sha256(self.identity.encode()).hexdigest()[:8]}"

    @property
    def identity(self) -> str:
        """Canonical JSON of what sets this run apart; two runs with one identity are the same run.

        Fields at their defaults are left out, so that a field added later renames no run; the number of
        steps is left out, so that a run can be extended.
        """
        return json.dumps(_differences(self), sort_keys=True, separators=(",", ":"))

    def to_json(self) -> dict[str, Any]:
        """Nested dictionary of every field."""
        return dataclasses.asdict(self)


def _differences(config: Any) -> dict[str, Any]:
    """Fields (nested) whose value is not the default, except the number of steps."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            inner = _differences(value)
            if inner:
                found[f.name] = inner
        elif value != f.default and f.name != "steps":
            found[f.name] = value
    return found
