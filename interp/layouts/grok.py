"""openai/grok's transformer (Power et al. 2022): post-norm, no biases, sinusoidal positions, rows that begin with eos.

Its 239 tokens serve all its tasks: eos, "=", 20 operators in order of their text, the residues mod 97, the
permutations of five things in lexicographic order. Those of one task are picked; logits of the others, which training
drives down together, are left out, so losses are a little lower than theirs. Its sinusoids are ours.
"""

from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from train.errors import DataError, UsageError

from .common import Given, Imported, Weights, add_split, convert, count_blocks, need, refuse_rest, snapshots_of
from .nanda import sizes

P = 97
OPERATORS = {
    "div_or_sub": "(x._value//y)if(y._value%2==1)else(x-y)_mod_97",
    "mul": "*",
    "(square of a) + b": "**2+",
    "(cube of a) + b": "**3+",
    "add": "+",
    "add or multiply": "+*",
    "add or subtract": "+-",
    "sub": "-",
    "div": "/",
    "copy a list": "copy",
    "reverse a list": "reverse",
    "compose": "s5",
    "sandwich": "s5aba",
    "conjugate": "s5conj",
    "sort a list": "sort",
    "x2_xy_y2_x": "x**2+y**2+x*y+x_mod_97",
    "x2_xy_y2": "x**2+y**2+x*y_mod_97",
    "x2_y2": "x**2+y**2_mod_97",
    "x3_xy2_y": "x**3+x*y**2+y_mod_97",
    "x3_xy": "x**3+x*y_mod_97",
}
"""Their operators' text by our operation, or by what they do where it is none of ours."""
N_TOKENS = 2 + len(OPERATORS) + P + 120
IGNORED = ("position_encoding", "self_attn_mask")


def read(raw: Any, given: Given) -> Imported:
    """The operation must be given: the weights serve all of them.

    Raises:
        UsageError: no operation, or one that the vocabulary does not have.
        DataError: the file is not of this layout.
    """
    if given.op not in OPERATORS or " " in given.op:
        ours = ", ".join(name for name in OPERATORS if " " not in name)
        raise UsageError(f"--op {given.op} is not among this vocabulary's operators; give --op, one of {ours}")
    is_s5 = given.op in ("compose", "conjugate", "sandwich")
    if (given.group not in (None, "S5")) or (given.p not in (None, P)):
        raise UsageError(f"this vocabulary has the residues mod {P} and S5 alone; leave out --p and --group")
    snapshots = {step: _named(weights) for step, weights in snapshots_of(raw, given).items()}
    tokens = token_numbers(given.op, is_s5)
    made = convert(snapshots, lambda weights: _weights(weights, tokens))
    task = {"op": given.op, **({"p": None, "group": "S5"} if is_s5 else {"p": P}), "layout": "eos a op b ="}
    act = given.config.get("non_linearity", "relu")
    if act not in ("relu", "gelu"):
        raise UsageError(f"non_linearity = {act!r} cannot be imported; allowed are relu, gelu")
    model = {
        **sizes(next(iter(made.values()))),
        "norm": "post",
        "positions": "sinusoidal",
        "attention": "causal",
        "biases": "none",
        "act_fn": act,
        "outputs": "tokens",
    }
    note = f"Logits of the {N_TOKENS - len(tokens)} tokens that {given.op} never uses are left out."
    return Imported({"task": task, "model": model}, made, add_split(task, given), (note,))


def token_numbers(op: str, is_s5: bool) -> Int64[Tensor, " d_vocab"]:
    """Their numbers of our tokens: the elements, "=", the operator, eos."""
    operators = sorted(OPERATORS.values())
    first = 2 + len(operators) + (P if is_s5 else 0)
    elements = torch.arange(first, first + (120 if is_s5 else P))
    return torch.cat([elements, torch.tensor([1, 2 + operators.index(OPERATORS[op]), 0])])


def _named(weights: Weights) -> Weights:
    """Names without the trainer's prefix, buffers left out."""
    short = {name.removeprefix("transformer."): tensor for name, tensor in weights.items()}
    return {name: tensor for name, tensor in short.items() if name not in IGNORED}


def _weights(weights: Weights, tokens: Int64[Tensor, " d_vocab"]) -> dict[str, Tensor]:
    W_E = need(weights, "embedding.weight", 2)
    if len(W_E) != N_TOKENS:
        raise DataError(f"embedding.weight has {len(W_E)} tokens; this vocabulary has {N_TOKENS}")
    made = {"embed.W_E": W_E[tokens], "unembed.W_U": need(weights, "linear.weight", 2)[tokens].T}
    used = {"embedding.weight", "linear.weight"}
    for i in range(count_blocks(weights, r"decoder\.blocks\.(\d+)\.")):
        theirs, block = f"decoder.blocks.{i}", f"blocks.{i}"
        n_heads = count_blocks(weights, rf"decoder\.blocks\.{i}\.self_attn\.attn_heads\.(\d+)\.")
        for letter in "QKV":
            names = [f"{theirs}.self_attn.attn_heads.{h}.W{letter.lower()}.weight" for h in range(n_heads)]
            made[f"{block}.attn.W_{letter}"] = torch.stack([need(weights, name, 2).T for name in names])
            used |= set(names)
        plain = {
            f"{theirs}.self_attn.Wo.weight": f"{block}.attn.W_O",
            f"{theirs}.ffn.ffn.0.weight": f"{block}.mlp.W_in",
            f"{theirs}.ffn.ffn.2.weight": f"{block}.mlp.W_out",
        }
        made |= {ours: need(weights, name, 2).T for name, ours in plain.items()}
        made[f"{block}.attn.W_O"] = made[f"{block}.attn.W_O"].unflatten(0, (n_heads, -1))
        norms = {f"{theirs}.self_attn_norm": f"{block}.ln1", f"{theirs}.ffn_norm": f"{block}.ln2"}
        for name, ours in norms.items():
            made |= {f"{ours}.w": need(weights, f"{name}.weight", 1), f"{ours}.b": need(weights, f"{name}.bias", 1)}
            used |= {f"{name}.weight", f"{name}.bias"}
        used |= set(plain)
    refuse_rest(weights, used)
    return made
