"""A transformer whose weights are set by formula: it adds mod p for one order of tokens in a row, and for no other.

Axes of the residual stream: cos and sin of the operands (0, 1), of their sum (2, 3), of the answer (4, 5), what keys
and the last query say of places (6, 7), and one axis for each token (8, ...). Attention goes by places, with one weight
for both operands and another for each mark, and copies the operands' cos and sin to axes 2 and 3. A mark's own axis is
cancelled by the position embedding of the place where the row has it; elsewhere what is left of it throws the neurons
off. The neurons are those of ``handmade``.
"""

import math

import torch


def adder(row: str, d_vocab: int, p: int = 7, k: int = 1, n_phases: int = 16) -> dict[str, torch.Tensor]:
    """Weights of the model that reads ``row``, such as "a 8 b 7"; attention is bidirectional."""
    words = row.split()
    n_ctx, d_model, d_mlp = len(words), 8 + d_vocab, 2 * n_phases
    x = 2 * math.pi * k * torch.arange(p, dtype=torch.float64) / p
    W_E, W_pos = torch.zeros(d_vocab, d_model).double(), torch.zeros(n_ctx, d_model).double()
    W_E[:p, 0], W_E[:p, 1] = x.cos(), x.sin()
    scores = torch.tensor([0.0 if word in ("a", "b") else -0.5 * (i + 1) for i, word in enumerate(words)]).double()
    W_pos[:, 6], W_pos[-1, 7] = scores * d_model**0.5, 1.0
    for place, word in enumerate(words):
        if word not in ("a", "b"):
            W_E[int(word), 8 + int(word)] = 1.0
            W_pos[place, 8 + int(word)] = -1.0
    W_Q, W_K, W_V = (torch.zeros(1, d_model, d_model).double() for _ in range(3))
    W_O = torch.zeros(1, d_model, d_model).double()
    W_Q[0, 7, 0] = W_K[0, 6, 0] = 1.0
    weight = scores.softmax(0)[words.index("a")]
    for source, target in ((0, 2), (1, 3)):
        W_V[0, source, target], W_O[0, target, target] = 1 / weight, 1.0
    for axis in range(8, d_model):
        W_V[0, axis, axis] = W_O[0, axis, axis] = 1.0
    W_in, W_out = torch.zeros(d_model, d_mlp).double(), torch.zeros(d_mlp, d_model).double()
    W_in[8:] = 20 * torch.randn(d_vocab, d_mlp, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for phase in range(n_phases):
        f = math.pi * phase / n_phases
        for i, sign in ((2 * phase, 1), (2 * phase + 1, -1)):
            W_in[2, i], W_in[3, i] = sign * math.cos(f), -sign * math.sin(f)
            W_out[i, 4], W_out[i, 5] = math.cos(2 * f), -math.sin(2 * f)
    W_U = torch.zeros(d_model, d_vocab).double()
    W_U[4, :p], W_U[5, :p] = 5 * x.cos(), 5 * x.sin()
    weights = {
        "embed.W_E": W_E,
        "pos_embed.W_pos": W_pos,
        **{f"blocks.0.attn.W_{name}": W for name, W in zip("QKVO", (W_Q, W_K, W_V, W_O), strict=True)},
        **{f"blocks.0.attn.b_{name}": torch.zeros(1, d_model) for name in "QKV"},
        "blocks.0.attn.b_O": torch.zeros(d_model),
        "blocks.0.mlp.W_in": W_in,
        "blocks.0.mlp.b_in": torch.zeros(d_mlp),
        "blocks.0.mlp.W_out": W_out,
        "blocks.0.mlp.b_out": torch.zeros(d_model),
        "unembed.W_U": W_U,
        "unembed.b_U": torch.zeros(d_vocab),
    }
    return {name: tensor.float() for name, tensor in weights.items()}
