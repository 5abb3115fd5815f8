"""The models' forward passes as plain loops, and small random models to test them on."""

import itertools
import math
from typing import Any

import numpy as np
import torch

from train.config.model import ModelConfig
from train.config.run import RunConfig
from train.config.task import TaskConfig
from train.model import build_model

EPS = torch.finfo(torch.float64).eps


def small(layout: Any = "a b =", p=5, seed=3, **choices: Any) -> Any:
    """A small float64 model in which every parameter, biases and norms included, is random."""
    choices = {"n_layers": 2, "d_model": 8, "n_heads": 2, "d_mlp": 12, "biases": "all"} | choices
    model = build_model(RunConfig(task=TaskConfig(p=p, layout=layout), model=ModelConfig(**choices), seed=seed))
    model = model.double().eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def rows(p=5, n_ctx=3):
    pairs = torch.tensor(list(itertools.product(range(p), repeat=2)))
    special = torch.arange(p, p + n_ctx - 2).expand(len(pairs), -1)
    return torch.cat([pairs, special], dim=1)


# ---- the oracle: one row, one head, one position at a time --------------------------------------------


def layer_norm(x, w, b):
    return (x - x.mean()) / math.sqrt(((x - x.mean()) ** 2).mean() + 1e-5) * w + b


def activate(x, act_fn):
    if act_fn == "relu":
        return np.array([max(v, 0.0) for v in x])
    if act_fn == "gelu_new":
        return np.array([v * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in x])
    return np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])


def attend(weights, name, stream, causal, rate):
    n_heads, _, d_head = weights[f"{name}.W_Q"].shape
    out = [weights[f"{name}.b_O"].copy() for _ in stream]
    for h in range(n_heads):
        q, k, v = ([x @ weights[f"{name}.W_{c}"][h] + weights[f"{name}.b_{c}"][h] for x in stream] for c in "QKV")
        for i in range(len(stream)):
            allowed = range(i + 1) if causal else range(len(stream))
            score = {j: math.exp(float(q[i] @ k[j]) / math.sqrt(d_head)) for j in allowed}
            for j in allowed:
                pattern = rate * score[j] / sum(score.values()) + (1 - rate)
                out[i] += pattern * v[j] @ weights[f"{name}.W_O"][h]
    return out


def oracle(weights, tokens, *, norm="none", causal=True, rate=1.0, act_fn="relu", n_layers=2, attn_only=False):
    """Logits [pos, d_vocab_out] of one row, by plain loops."""

    def normed(part, x):
        return layer_norm(x, weights[f"{part}.w"], weights[f"{part}.b"])

    stream = [weights["embed.W_E"][t] + weights["pos_embed.W_pos"][i] for i, t in enumerate(tokens)]
    for block in (f"blocks.{i}" for i in range(n_layers)):
        read = [normed(f"{block}.ln1", x) for x in stream] if norm == "pre" else stream
        wrote = attend(weights, f"{block}.attn", read, causal, rate)
        stream = [x + y for x, y in zip(stream, wrote, strict=True)]
        if norm == "post":
            stream = [normed(f"{block}.ln1", x) for x in stream]
        for i, x in enumerate([] if attn_only else stream):
            read_x = normed(f"{block}.ln2", x) if norm == "pre" else x
            hidden = activate(read_x @ weights[f"{block}.mlp.W_in"] + weights[f"{block}.mlp.b_in"], act_fn)
            stream[i] = x + hidden @ weights[f"{block}.mlp.W_out"] + weights[f"{block}.mlp.b_out"]
            if norm == "post":
                stream[i] = normed(f"{block}.ln2", stream[i])
    if norm == "pre":
        stream = [normed("ln_final", x) for x in stream]
    return np.array([x @ weights["unembed.W_U"] + weights["unembed.b_U"] for x in stream])


def oracle_batch(model, tokens, **choices):
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return torch.tensor(np.array([oracle(weights, row.tolist(), **choices) for row in tokens]))


def assert_close(got, want, n_terms=8 * 12 * 2):
    """Assert equality up to rounding: every logit is a sum of about ``n_terms`` products."""
    assert (got - want).abs().max() <= n_terms * EPS * want.abs().max()
