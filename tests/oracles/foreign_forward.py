"""Plain forward passes in the conventions of the layouts that others save: logits at the last position."""

from typing import Any

import torch
import torch.nn.functional as F

S4 = (
    "0123 1230 2301 3120 0231 1302 2013 3201 0312 1023 2130 3012 "
    "0132 1203 2310 3102 0213 1320 2031 3210 0321 1032 2103 3021"
).split()
"""rep-theory's order of the elements of S_4, as sympy 1.14 printed it."""


def pairs(n: int) -> Any:
    """All pairs (a, b), a-major."""
    return torch.cartesian_prod(torch.arange(n), torch.arange(n))


def nanda(w: Any, tokens: Any, act: Any = F.relu, rate: float | None = None) -> Any:
    """Logits of Nanda et al.'s transformer: embeddings are columns, W_x [head, d_head, d_model], W_O [d_model, heads].

    With ``rate`` (pizza) the attention is bidirectional, rate * softmax + (1 - rate); otherwise causal.
    """
    x = torch.einsum("mbp->bpm", w["embed.W_E"][:, tokens]) + w["pos_embed.W_pos"]
    for i in range(sum(name.endswith("attn.W_Q") for name in w)):
        attn, mlp = f"blocks.{i}.attn.", f"blocks.{i}.mlp."
        q, k, v = (torch.einsum("ihm,bpm->biph", w[f"{attn}W_{name}"], x) for name in "QKV")
        scores = torch.einsum("biqh,biph->biqp", q, k) / w[f"{attn}W_Q"].shape[1] ** 0.5
        if rate is None:
            scores = scores - 1e10 * (1 - w[f"{attn}mask"])
        pattern = scores.softmax(-1) if rate is None else rate * scores.softmax(-1) + (1 - rate)
        z = torch.einsum("biqp,biph->bqih", pattern, v)
        x = x + torch.einsum("mf,bqf->bqm", w[f"{attn}W_O"], z.flatten(2))
        hidden = act(torch.einsum("nm,bpm->bpn", w[f"{mlp}W_in"], x) + w[f"{mlp}b_in"])
        x = x + torch.einsum("mn,bpn->bpm", w[f"{mlp}W_out"], hidden) + w[f"{mlp}b_out"]
    return x[:, -1] @ w["unembed.W_U"]


def linear(w: Any, ab: Any, kind: str) -> Any:
    """Logits of pizza's linear models A, B, C, D and X."""
    first, second = ("embed1", "embed2") if kind == "X" else ("embed", "embed")
    a, b = w[f"{first}.weight"][ab[:, 0]], w[f"{second}.weight"][ab[:, 1]]
    l1 = (w["l1.weight"], w["l1.bias"])
    if kind == "D":
        x = F.linear(torch.cat([a, b], dim=1), *l1)
    else:
        x = F.linear(a, *l1) + F.linear(b, *l1) if kind == "C" else F.linear(a + b, *l1)
    x = F.relu(x)
    if kind in "BC":
        x = F.relu(F.linear(x, w["l2.weight"], w["l2.bias"]))
    return x @ w["unembed.weight"].t()


def linearformer(w: Any, tokens: Any) -> Any:
    """Logits of pizza's model without attention."""
    x = w["embed.W_E"].t()[tokens].flatten(1)
    x = F.pad(x, (0, w["unembed.W_U"].shape[0] - x.shape[1]))
    for i in range(sum(name.endswith(".W_in") for name in w)):
        x = F.relu(torch.einsum("mn,bn->bm", w[f"blocks.{i}.W_in"], x) + w[f"blocks.{i}.b_in"])
    return x @ w["unembed.W_U"]


def transformerlens(w: Any, tokens: Any, act: Any = F.relu) -> Any:
    """Logits of a causal HookedTransformer, with layer norms if the state dict has them."""

    def norm(x: Any, name: str) -> Any:
        if f"{name}.w" not in w:
            return x
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.w"], w[f"{name}.b"], 1e-5)

    x = w["embed.W_E"][tokens] + w["pos_embed.W_pos"]
    for i in range(sum(name.endswith("attn.W_Q") for name in w)):
        attn, mlp, y = f"blocks.{i}.attn.", f"blocks.{i}.mlp.", norm(x, f"blocks.{i}.ln1")
        q, k, v = (torch.einsum("bpm,imh->bpih", y, w[f"{attn}W_{n}"]) + w[f"{attn}b_{n}"] for n in "QKV")
        scores = torch.einsum("bqih,bpih->biqp", q, k) / w[f"{attn}W_Q"].shape[2] ** 0.5
        pattern = torch.where(w[f"{attn}mask"], scores, w[f"{attn}IGNORE"]).softmax(-1)
        x = x + torch.einsum("biqp,bpih,ihm->bqm", pattern, v, w[f"{attn}W_O"]) + w[f"{attn}b_O"]
        y = norm(x, f"blocks.{i}.ln2")
        x = x + act(y @ w[f"{mlp}W_in"] + w[f"{mlp}b_in"]) @ w[f"{mlp}W_out"] + w[f"{mlp}b_out"]
    return norm(x, "ln_final")[:, -1] @ w["unembed.W_U"] + w["unembed.b_U"]


def one_layer_mlp(w: Any, ab: Any) -> Any:
    """Logits of rep-theory's MLP."""
    stacked = torch.hstack((w["W_x"][ab[:, 0]], w["W_y"][ab[:, 1]]))
    return F.relu(stacked @ w["W"]) @ w["W_U"]


def grok(w: Any, tokens: Any) -> Any:
    """Logits of openai/grok's decoder: a norm after each sum, concatenated heads into Wo."""
    w = {name.removeprefix("transformer."): t for name, t in w.items()}
    length = tokens.shape[1]
    x = w["embedding.weight"][tokens] + w["position_encoding"][:length]
    for i in range(sum(name.endswith("Wo.weight") for name in w)):
        at, heads = f"decoder.blocks.{i}.", []
        for h in range(sum(name.startswith(f"{at}self_attn") and name.endswith("Wq.weight") for name in w)):
            q, k, v = (F.linear(x, w[f"{at}self_attn.attn_heads.{h}.W{n}.weight"]) for n in "qkv")
            scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
            scores = scores.masked_fill(w["self_attn_mask"][:length, :length] == 0, -torch.inf)
            heads.append(scores.softmax(-1) @ v)
        out = F.linear(torch.cat(heads, dim=-1), w[f"{at}self_attn.Wo.weight"])
        names = [f"{at}{part}_norm.{n}" for part in ("self_attn", "ffn") for n in ("weight", "bias")]
        x = F.layer_norm(x + out, x.shape[-1:], w[names[0]], w[names[1]])
        hidden = F.linear(F.relu(F.linear(x, w[f"{at}ffn.ffn.0.weight"])), w[f"{at}ffn.ffn.2.weight"])
        x = F.layer_norm(x + hidden, x.shape[-1:], w[names[2]], w[names[3]])
    return F.linear(x[:, -1], w["linear.weight"])
