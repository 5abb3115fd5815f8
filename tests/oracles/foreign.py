"""Forward passes in other people's conventions, straight from their weights: the oracle of the importers.

Each takes a state dict and tokens [rows, n_ctx] and gives logits [rows, d_vocab_out] at the last position, float64.
"""

import math

import torch
import torch.nn.functional as F


def doubled(weights):
    return {name: t.double() for name, t in weights.items()}


def nanda_logits(weights, tokens, causal=True, attn_rate=1.0, act=F.relu):
    """progress-measures-paper and pizza: einsums over their own shapes."""
    w = doubled(weights)
    x = w["embed.W_E"].T[tokens] + w["pos_embed.W_pos"]
    n_layers = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks"))
    for i in range(n_layers):
        a = f"blocks.{i}.attn"
        q, k, v = (torch.einsum("ihd,bpd->biph", w[f"{a}.W_{letter}"], x) for letter in "QKV")
        scores = torch.einsum("biph,biqh->biqp", k, q) / math.sqrt(k.shape[-1])
        if causal:
            scores = scores.masked_fill(w[f"{a}.mask"] == 0, -torch.inf)
        pattern = scores.softmax(dim=-1) * attn_rate + (1 - attn_rate)
        z = torch.einsum("biph,biqp->biqh", v, pattern).permute(0, 2, 1, 3).flatten(2)
        x = x + torch.einsum("df,bqf->bqd", w[f"{a}.W_O"], z)
        m = f"blocks.{i}.mlp"
        post = act(torch.einsum("md,bpd->bpm", w[f"{m}.W_in"], x) + w[f"{m}.b_in"])
        x = x + torch.einsum("dm,bpm->bpd", w[f"{m}.W_out"], post) + w[f"{m}.b_out"]
    return x[:, -1] @ w["unembed.W_U"]


def transformerlens_logits(weights, tokens):
    """One layer of a TransformerLens HookedTransformer without layer norm, causal."""
    w = doubled(weights)
    x = w["embed.W_E"][tokens] + w["pos_embed.W_pos"]
    a = "blocks.0.attn"
    q, k, v = (torch.einsum("bpd,idh->bpih", x, w[f"{a}.W_{c}"]) + w[f"{a}.b_{c}"] for c in "QKV")
    scores = torch.einsum("bqih,bpih->biqp", q, k) / math.sqrt(q.shape[-1])
    pattern = scores.masked_fill(~w[f"{a}.mask"].bool(), -torch.inf).softmax(dim=-1)
    z = torch.einsum("biqp,bpih->bqih", pattern, v)
    x = x + torch.einsum("bqih,ihd->bqd", z, w[f"{a}.W_O"]) + w[f"{a}.b_O"]
    post = F.relu(x @ w["blocks.0.mlp.W_in"] + w["blocks.0.mlp.b_in"])
    x = x + post @ w["blocks.0.mlp.W_out"] + w["blocks.0.mlp.b_out"]
    return x[:, -1] @ w["unembed.W_U"] + w["unembed.b_U"]


def linear_logits(weights, tokens, kind):
    """pizza's linear models, by their letter."""
    w = doubled(weights)
    first, second = (w[name if name in w else "embed.weight"] for name in ("embed1.weight", "embed2.weight"))
    a, b = first[tokens[:, 0]], second[tokens[:, 1]]

    def l1(x):
        return x @ w["l1.weight"].T + w["l1.bias"]

    x = l1(torch.cat([a, b], dim=1)) if kind == "D" else l1(a) + l1(b) if kind == "C" else l1(a + b)
    x = F.relu(x)
    if kind in "BC":
        x = F.relu(x @ w["l2.weight"].T + w["l2.bias"])
    return x @ w["unembed.weight"].T


def linearformer_logits(weights, tokens):
    """The linear model of pizza's transformer script: embeddings side by side, padded with a zero."""
    w = doubled(weights)
    x = w["embed.W_E"].T[tokens].flatten(1)
    x = F.pad(x, (0, w["blocks.0.W_in"].shape[1] - x.shape[1]))
    return F.relu(x @ w["blocks.0.W_in"].T + w["blocks.0.b_in"]) @ w["unembed.W_U"]


def reptheory_mlp_logits(weights, tokens):
    """OneLayerMLP."""
    w = doubled(weights)
    x = torch.hstack([w["W_x"][tokens[:, 0]], w["W_y"][tokens[:, 1]]])
    return F.relu(x @ w["W"]) @ w["W_U"]


def grok_logits(weights, tokens):
    """openai/grok: post-norm decoder blocks, all 239 logits."""
    w = {name.removeprefix("transformer."): t.double() for name, t in weights.items()}
    d_model, n_ctx = w["embedding.weight"].shape[1], tokens.shape[1]
    place = [
        [
            math.sin(pos / 10000 ** (i / d_model)) if i % 2 == 0 else math.cos(pos / 10000 ** ((i - 1) / d_model))
            for i in range(d_model)
        ]
        for pos in range(n_ctx)
    ]
    x = w["embedding.weight"][tokens] + torch.tensor(place, dtype=torch.float64)
    mask = torch.ones(n_ctx, n_ctx).tril()
    for i in range(2):
        b = f"decoder.blocks.{i}"
        heads = []
        for h in range(2):
            q, k, v = (F.linear(x, w[f"{b}.self_attn.attn_heads.{h}.W{c}.weight"]) for c in "qkv")
            scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(mask == 0, -torch.inf)
            heads.append(scores.softmax(dim=-1) @ v)
        x = norm(x + F.linear(torch.cat(heads, dim=-1), w[f"{b}.self_attn.Wo.weight"]), w, f"{b}.self_attn_norm")
        hidden = F.relu(F.linear(x, w[f"{b}.ffn.ffn.0.weight"]))
        x = norm(x + F.linear(hidden, w[f"{b}.ffn.ffn.2.weight"]), w, f"{b}.ffn_norm")
    return F.linear(x[:, -1], w["linear.weight"])


def norm(x, w, name):
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])
