"""Power et al. 2022 (2201.02177, openai/grok): post-norm transformers on "<|eos|> a op b =".

All tasks share one vocabulary of 239 tokens, of which the operation's elements, "=", the operator and <|eos|> are kept.
Unless flags give a split it is that of their code: ``RandomState(0)`` shuffles the equations whatever the run's seed,
and the first round(train_frac * rows) are trained on.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from train.errors import DataError, UsageError
from train.model.components import sinusoids
from train.tasks.task import all_pairs_task

from .common import (
    Given,
    Imported,
    checked,
    make_config,
    n_blocks,
    refuse_rest,
    settle,
    split_heads,
    split_of,
    take,
    unknown_of,
)
from .names import short
from .nanda import activation
from .plain import plain_fields
from .unwrapping import Weights, converted, state_dicts

OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "(x._value//y)if(y._value%2==1)else(x-y)_mod_97": "div_or_sub",
    "x**2+y**2_mod_97": "x2_y2",
    "x**2+y**2+x*y_mod_97": "x2_xy_y2",
    "x**2+y**2+x*y+x_mod_97": "x2_xy_y2_x",
    "x**3+x*y_mod_97": "x3_xy",
    "x**3+x*y**2+y_mod_97": "x3_xy2_y",
    "s5": "compose",
    "s5conj": "conjugate",
    "s5aba": "sandwich",
}
"""Our names of operations by theirs, for those that both have."""
OTHERS = ("**2+", "**3+", "+*", "+-", "copy", "reverse", "sort")
"""Names of their other operations, which are tokens too."""
P, GROUP = 97, "S5"
N_POSITIONS = 5
EXACT = 1e-6
"""Largest difference of sinusoids from ours that float32 rounding explains."""


def vocabulary() -> list[str]:
    """Their 239 tokens."""
    numbers = list(map(str, range(P)))
    permutations = ["".join(map(str, each)) for each in itertools.permutations(range(5))]
    return ["<|eos|>", "=", *sorted((*OPERATORS, *OTHERS)), *numbers, *permutations]


def read(raw: Any, given: Given) -> Imported:
    """Read the model; a checkpoint or a JSON file may hold math_operator, train_data_pct and non_linearity."""
    settings = _hyper_parameters(raw) | given.config
    models = state_dicts(raw, given.step)
    task, tokens = _task(given, settings)
    model = _fields(next(iter(models.values()))) | {"act_fn": activation(settings.get("non_linearity", "relu"))}
    snapshots = converted(models, lambda weights: _convert(weights, tokens))
    W_pos = next(iter(snapshots.values()))["pos_embed.W_pos"]
    is_fixed = torch.allclose(W_pos, sinusoids(*W_pos.shape), rtol=0, atol=EXACT)
    model["positions"] = "sinusoidal" if is_fixed else "learned"
    config = make_config(given, task, model)
    left_out = len(vocabulary()) - len(tokens)
    notes = (f"embeddings and logits of {left_out} tokens that {task['op']} never uses were left out",)
    is_train = split_of(config)
    if is_train is None and "split" not in config["task"] and "train_frac" in config["task"]:
        is_train, notes = their_split(config), (*notes, "the split is openai/grok's: RandomState(0) shuffles equations")
    return Imported(config, snapshots, is_train, unknown_of(config), notes)


def _hyper_parameters(raw: Any) -> dict[str, Any]:
    return plain_fields(raw.get("hyper_parameters") if isinstance(raw, Mapping) else None)


def _task(given: Given, settings: Mapping[str, Any]) -> tuple[dict[str, Any], Int[Tensor, " d_vocab"]]:
    """The task, and their numbers of its tokens in our order."""
    theirs = settings.get("math_operator")
    if theirs is not None and theirs not in list(OPERATORS):
        raise DataError(f"its operator is {short(theirs)}; known are {', '.join(OPERATORS)}")
    op = settle("op", given.op, None if theirs is None else OPERATORS[theirs])
    if op is None:
        raise UsageError("the weights do not record the operation: give --op, such as --op add")
    symbol = next((symbol for symbol, name in OPERATORS.items() if name == op), None)
    if symbol is None:
        raise UsageError(f"--op {op} is not an operation of openai/grok; choose one of {', '.join(OPERATORS.values())}")
    names, on_group = vocabulary(), symbol.startswith("s5")
    if settle("group", given.group, GROUP if on_group else None) is None:
        settle("p", given.p, P)
    first, n = (names.index("01234"), 120) if on_group else (names.index("0"), P)
    if not on_group and given.group is not None or on_group and given.p is not None:
        where = f"group {GROUP}" if on_group else f"the residues mod {P}"
        raise UsageError(f"openai/grok's {op} is on {where}: leave --p and --group out")
    marks = [names.index("="), names.index(symbol), names.index("<|eos|>")]
    percent = settings.get("train_data_pct")
    task = {
        "op": op,
        **({"group": GROUP} if on_group else {"p": P}),
        "layout": "eos a op b =",
        "train_frac": percent / 100 if isinstance(percent, int | float) else None,
    }
    return task, torch.tensor([*range(first, first + n), *marks])


def _fields(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    heads = "decoder.blocks.0.self_attn.attn_heads."
    d_head, d_model = take(weights, f"{heads}0.Wq.weight", 2).shape
    return {
        "arch": "transformer",
        "n_layers": n_blocks(weights, "decoder.blocks."),
        "d_model": d_model,
        "n_heads": n_blocks(weights, heads),
        "d_head": d_head,
        "attn_only": False,
        "d_mlp": take(weights, "decoder.blocks.0.ffn.ffn.0.weight", 2).shape[0],
        "norm": "post",
        "attention": "causal",
        "attn_rate": 1.0,
        "biases": "none",
        "outputs": "tokens",
    }


def _convert(weights: Mapping[str, Tensor], tokens: Int[Tensor, " d_vocab"]) -> Weights:
    """Their tensors under our names and in our shapes; their Linear layers store [out, in]."""
    W_E, W_U = take(weights, "embedding.weight", 2), take(weights, "linear.weight", 2)
    for name, W in (("embedding.weight", W_E), ("linear.weight", W_U)):
        if W.shape[0] != len(vocabulary()):
            raise DataError(f"{name} has {W.shape[0]} tokens; openai/grok's vocabulary has {len(vocabulary())}")
    positions = take(weights, "position_encoding", 2)
    if positions.shape[0] < N_POSITIONS:
        raise DataError(f"position_encoding has {positions.shape[0]} positions; a row has {N_POSITIONS} tokens")
    ours = {
        "embed.W_E": W_E[tokens],
        "pos_embed.W_pos": positions[:N_POSITIONS],
        "unembed.W_U": W_U[tokens].T,
        "unembed.b_U": torch.zeros(len(tokens)),
    }
    used = {"embedding.weight", "linear.weight", "position_encoding"}
    for i in range(n_blocks(weights, "decoder.blocks.")):
        block, names = _block(weights, i)
        ours, used = ours | block, used | names
    refuse_rest(weights, used)
    return {name: tensor.contiguous() for name, tensor in ours.items()}


def _block(weights: Mapping[str, Tensor], i: int) -> tuple[Weights, set[str]]:
    """Tensors of block i under our names, and their names of the tensors read."""
    used: set[str] = set()

    def get(name: str, n_axes: int = 2) -> Tensor:
        used.add(f"decoder.blocks.{i}.{name}")
        return take(weights, f"decoder.blocks.{i}.{name}", n_axes)

    n_heads = n_blocks(weights, f"decoder.blocks.{i}.self_attn.attn_heads.")
    each = {x: [get(f"self_attn.attn_heads.{h}.W{x.lower()}.weight").T for h in range(n_heads)] for x in "QKV"}
    if not n_heads or len({W.shape for heads in each.values() for W in heads}) > 1:
        raise DataError(f"decoder.blocks.{i}.self_attn.attn_heads have no matrices, or matrices of different shapes")
    d_model, d_head = each["Q"][0].shape
    at = f"blocks.{i}."
    attn = {f"{at}attn.W_{x}": torch.stack(heads) for x, heads in each.items()}
    attn |= {f"{at}attn.b_{x}": torch.zeros(n_heads, d_head) for x in "QKV"}
    W_in = get("ffn.ffn.0.weight").T
    norms = {
        f"{at}{ln}.{ours}": get(f"{theirs}_norm.{what}", 1)
        for ln, theirs in (("ln1", "self_attn"), ("ln2", "ffn"))
        for ours, what in (("w", "weight"), ("b", "bias"))
    }
    return {
        **attn,
        **norms,
        f"{at}attn.W_O": split_heads(get("self_attn.Wo.weight"), n_heads, "self_attn.Wo.weight"),
        f"{at}attn.b_O": torch.zeros(d_model),
        f"{at}mlp.W_in": W_in,
        f"{at}mlp.b_in": torch.zeros(W_in.shape[1]),
        f"{at}mlp.W_out": get("ffn.ffn.2.weight").T,
        f"{at}mlp.b_out": torch.zeros(d_model),
    }, used


def their_split(config: dict[str, Any]) -> Bool[Tensor, " rows"]:
    """Mask of the training rows: the first round(train_frac * rows) equations after a shuffle by RandomState(0).

    Before the shuffle equations are a-major; those of division are quotient-major, with a = quotient * b.
    """
    task = checked(config).task
    table = all_pairs_task(task)
    rows = table.is_defined.nonzero().flatten()
    if task.op == "div":
        quotient, b = table.labels[rows, 0], table.pairs[rows, 1]
        rows = rows[(quotient * task.n_elements + b).argsort()]
    order = np.arange(len(rows))
    np.random.RandomState(0).shuffle(order)  # noqa: NPY002 - their code's generator
    is_train = torch.zeros_like(table.is_defined)
    is_train[rows[torch.from_numpy(order[: round(len(rows) * task.train_frac)])]] = True
    return is_train
