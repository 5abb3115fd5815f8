"""A model's configuration under TransformerLens's names, with every value resolved.

``HookedTransformerConfig`` carries the fields that TransformerLens's tools read from ``model.cfg``. It is
mutable, because those tools switch the ``use_*`` flags.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from train.config.model import Activation, Attention, Biases, Init, ModelConfig
from train.config.run import RunConfig
from train.errors import UsageError
from train.hints import nearest

Normalization = Literal["LN", "LNPost"]
NORMALIZATION: dict[str, Normalization | None] = {"none": None, "pre": "LN", "post": "LNPost"}
"""``ModelConfig.norm`` in TransformerLens's terms; LNPost (after each residual sum) is our addition."""
POSITIONS: dict[str, Literal["standard", "sinusoidal"]] = {"learned": "standard", "sinusoidal": "sinusoidal"}


@dataclass
class HookedTransformerConfig:
    """Configuration of a HookedTransformer (d_mlp is 0 where attn_only) or a HookedMLP (n_heads and d_head are 0).

    A field with the name of a field of ``ModelConfig`` takes its value, and the modules of this folder obey it.
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_head: int
    d_mlp: int
    n_ctx: int
    d_vocab: int
    d_vocab_out: int
    attn_only: bool = False
    """Whether blocks have attention only, without an MLP."""
    act_fn: Activation = "relu"
    normalization_type: Normalization | None = None
    positional_embedding_type: Literal["standard", "sinusoidal"] = "standard"
    attention_dir: Attention = "causal"
    attn_rate: float = 1.0
    """The pattern is attn_rate * softmax + (1 - attn_rate) * ones (Zhong et al. 2023)."""
    output_scale: float = 1.0
    """Factor on the logits x W_U + b_U."""
    biases: Biases = "mlp"
    """Which b_* are trained: none, b_in and b_out, or all."""
    init_mode: Init = "nanda"
    init_scale: float = 1.0
    """Factor on all initial weights except those of layer norms."""
    seed: int | None = None
    vocabulary: tuple[str, ...] = ()
    """Printable names of the tokens; by default the numbers 0, 1, ..."""
    operator: str | None = None
    """The operation's infix symbol, such as "+", if there is one; ``to_tokens`` accepts the symbol."""
    model_name: str = "groklens"
    eps: float = 1e-5
    """Constant added to the variance in layer norms."""
    device: str = "cpu"
    dtype: torch.dtype = torch.float32

    use_attn_result: bool = field(default=False, init=False)
    use_split_qkv_input: bool = field(default=False, init=False)
    use_attn_in: bool = field(default=False, init=False)
    use_hook_mlp_in: bool = field(default=False, init=False)

    # Constants that TransformerLens's tools read.
    gated_mlp: bool = field(default=False, init=False)
    parallel_attn_mlp: bool = field(default=False, init=False)
    final_rms: bool = field(default=False, init=False)
    n_key_value_heads: int | None = field(default=None, init=False)
    use_attn_scale: bool = field(default=True, init=False)
    default_prepend_bos: bool = field(default=False, init=False)
    tokenizer_name: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.vocabulary = self.vocabulary or tuple(map(str, range(self.d_vocab)))
        if len(self.vocabulary) != self.d_vocab:
            raise ValueError(f"{len(self.vocabulary)} token names for d_vocab = {self.d_vocab}: give one each")

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, as in TransformerLens's config."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any]) -> "HookedTransformerConfig":
        """Inverse of ``to_dict``; omitted fields take their defaults.

        Raises:
            UsageError: a field is unknown, or a required one is missing.
        """
        fields = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(set(config_dict) - set(fields))
        if unknown:
            raise UsageError(f"unknown field {unknown[0]!r}{nearest(unknown[0], fields)} of a model's configuration")
        try:
            cfg = cls(**{name: value for name, value in config_dict.items() if fields[name].init})
        except TypeError as error:
            raise UsageError(f"no model's configuration: {error}") from error
        for name, value in config_dict.items():
            if not fields[name].init:
                setattr(cfg, name, value)
        return cfg

    @property
    def attn_scale(self) -> float:
        """Divisor of the attention scores."""
        return math.sqrt(self.d_head)

    @property
    def initializer_range(self) -> float:
        """TransformerLens's standard deviation of initial weights."""
        return 0.8 / math.sqrt(self.d_model)


_OURS = {f.name for f in dataclasses.fields(HookedTransformerConfig) if f.init}
SAME = tuple(f.name for f in dataclasses.fields(ModelConfig) if f.name in _OURS)
"""Fields of ``ModelConfig`` that ``HookedTransformerConfig`` has under the same name."""
OBEYS = frozenset(
    f"model.{name}" for name in (*SAME, "arch", "norm", "positions", "attention", "outputs") if name != "init_scale"
)
"""Settings that the modules of this folder obey, through ``hooked_config``.

A field in both configs is an architecture option: a run with a value that no fast pass implements takes the plain pass.
"""


def hooked_config(run_config: RunConfig) -> HookedTransformerConfig:
    """The configuration of a run's model."""
    model, task = run_config.model, run_config.task
    has_heads = model.arch == "transformer"
    symbol = task.operation.symbol.split()
    fields: dict[str, Any] = {name: getattr(model, name) for name in SAME}
    fields |= {
        "n_heads": model.n_heads if has_heads else 0,
        "d_head": model.head_width if has_heads else 0,
        "d_mlp": model.mlp_width,
        "n_ctx": task.n_ctx,
        "d_vocab": task.d_vocab,
        "d_vocab_out": run_config.d_vocab_out,
        "normalization_type": NORMALIZATION[model.norm] if has_heads else None,
        "positional_embedding_type": POSITIONS[model.positions],
        "attention_dir": model.attention,
        "init_mode": model.init,
        "seed": run_config.seed,
        "vocabulary": task.vocabulary,
        "operator": symbol[1] if len(symbol) == 3 and symbol[::2] == ["a", "b"] else None,
        "model_name": task.label,
    }
    return HookedTransformerConfig(**fields)
