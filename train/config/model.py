"""The model of a run: architecture and initialisation."""

from dataclasses import dataclass
from typing import Literal

from .checks import check_choices, check_float, check_int

Arch = Literal["transformer", "mlp"]


Norm = Literal["none", "pre", "post"]


Positions = Literal["learned", "sinusoidal"]


Attention = Literal["causal", "bidirectional"]


Biases = Literal["none", "mlp", "all"]


Activation = Literal["relu", "gelu", "gelu_new", "silu", "tanh", "square"]


Outputs = Literal["answers", "tokens"]


Init = Literal["nanda", "zhong", "transformerlens", "pytorch"]


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
    """Width of a head; by default d_model / n_heads."""
    d_mlp: int | None = None
    """Hidden width of the MLP; by default 4 * d_model."""
    attn_only: bool = False
    """Attention-only blocks, without an MLP."""
    act_fn: Activation = "relu"
    """Activation function of the MLP; gelu_new is GELU's tanh approximation, as in GPT-2."""
    norm: Norm = "none"
    """Layer norm: none, before each sublayer and the unembedding, or after each residual sum."""
    positions: Positions = "learned"
    """Position embeddings."""
    attention: Attention = "causal"
    """Attention mask."""
    attn_rate: float = 1.0
    """Attention is attn_rate * softmax + (1 - attn_rate) * ones (Zhong et al. 2023)."""
    biases: Biases = "mlp"
    """Biases that are trained; the others stay zero."""
    outputs: Outputs = "tokens"
    """Logits over the answers only, or over every token, "=" included, as in Nanda et al. 2023."""
    init: Init = "nanda"
    """Initialisation scheme."""
    init_scale: float = 1.0
    """Factor on all initial weights except those of layer norms (Liu et al. 2022)."""
    output_scale: float = 1.0
    """Factor on the logits; large factors lead to lazy training (Kumar et al. 2023)."""

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
        """Refuse settings of the MLP, which an attention-only model does not have."""
        if self.arch == "mlp":
            raise ValueError("attn_only needs arch transformer; an mlp has no attention: leave out one of the two")
        for name, default in (("d_mlp", None), ("act_fn", "relu")):
            if getattr(self, name) != default:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r} belongs to the MLP, and attn_only leaves the MLP out: leave out "
                    f"{name}, or attn_only"
                )

    @property
    def head_width(self) -> int:
        """Width of a head, with the default resolved."""
        return self.d_model // self.n_heads if self.d_head is None else self.d_head

    @property
    def mlp_width(self) -> int:
        """Hidden width of the MLP, with the default resolved; 0 without an MLP."""
        if self.attn_only:
            return 0
        return 4 * self.d_model if self.d_mlp is None else self.d_mlp
