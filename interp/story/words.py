"""Words for measures and weights in sentences, legends and texts; a measure without an entry keeps its own name."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from interp.html.numbers import fixed, number, percent
from interp.runs.run import Run

from .claims import listed
from .standing import at

NULL = ", random"
"""Suffix of the names of lines that are nulls."""
MEASURES: dict[str, tuple[str, str]] = {
    "train_loss": ("training pairs", "the loss over the training pairs"),
    "test_loss": ("test pairs", "the loss over the test pairs"),
    "restricted_loss_logit2d_all": ("key only", "the loss over all pairs with the key frequencies alone"),
    "excluded_loss_logit2d_train": ("without key", "the loss over the training pairs without the key frequencies"),
    "excluded_loss_logit3d_train": (
        "without key waves",
        "the loss over the training pairs without the waves cos w(a+b-c) of the key frequencies",
    ),
    "restricted_loss_neuron_test": (
        "neurons, key only",
        "the loss over the test pairs with the neurons' key frequencies alone",
    ),
    "excluded_loss_neuron_train": (
        "neurons, without key",
        "the loss over the training pairs without the neurons' key frequencies",
    ),
    "train_acc": ("training accuracy", "the accuracy over the training pairs"),
    "test_acc": ("test accuracy", "the accuracy over the test pairs"),
    "logit_fve": ("logits", "the share of the logits' energy at the key frequencies"),
    "neuron_fraction_fve85": ("neurons", "the share of neurons that follow a single frequency"),
    "gini_W_E": ("sparsity, embedding", "the sparsity of the embedding's spectrum"),
    "gini_W_L": ("sparsity, neuron-logit map", "the sparsity of the neuron-logit map's spectrum"),
    "gradient_symmetricity": ("gradient symmetricity", "gradient symmetricity"),
    "distance_irrelevance": ("distance irrelevance", "distance irrelevance"),
    "circularity": ("circularity", "circularity"),
    "restricted_acc_logit2d_all": (
        "answers by key frequencies alone",
        "the share of all pairs answered right by the key frequencies alone",
    ),
}
"""By name of the measure: its short name in legends, and what it is in a sentence."""
WEIGHTS = {
    "embed.W_E": "embedding",
    "pos_embed.W_pos": "positions",
    "unembed.W_U": "output layer",
    "unembed.b_U": "output bias",
    "attn.W_Q": "queries",
    "attn.W_K": "keys",
    "attn.W_V": "values",
    "attn.W_O": "heads' output",
    "attn.b_Q": "query bias",
    "attn.b_K": "key bias",
    "attn.b_V": "value bias",
    "attn.b_O": "heads' output bias",
    "mlp.W_in": "into neurons",
    "mlp.b_in": "neurons' bias",
    "mlp.W_out": "out of neurons",
    "mlp.b_out": "bias after neurons",
    "total": "all weights",
}
READOUTS = {
    "W_E": "embedding",
    "W_E_b": "second operand's embedding",
    "W_U": "output layer",
    "W_L": "neuron-logit map",
}


def short(measure: str) -> str:
    """The name of a measure in a legend; that of a null ends in ``NULL``."""
    name, null, _ = measure.partition(NULL)
    return (MEASURES[name][0] if name in MEASURES else name.replace("_", " ")) + null


def subject(measure: str) -> str:
    """What a measure is, as a noun phrase in a sentence."""
    return MEASURES[measure][1] if measure in MEASURES else measure.replace("_", " ")


def weight_words(tensor: str, n_layers: int) -> str:
    """The name of a tensor in words: "embedding", or "layer 1, into neurons" where there are several layers."""
    parts = tensor.split(".")
    if parts[0] == "blocks" and ".".join(parts[2:]) in WEIGHTS:
        layer = f"layer {parts[1]}, " if n_layers > 1 else ""
        return layer + WEIGHTS[".".join(parts[2:])]
    return WEIGHTS.get(tensor, tensor.replace("_", " "))


def writer(measure: str, unit: str = "") -> Callable[[float], str]:
    """How values of a measure are written: shares as percentages, losses in nats, scores to two places."""
    if unit == "nats" or "_loss" in measure:
        return lambda value: f"{number(value)} nats"
    if unit.startswith("share") or measure.endswith("_acc") or "_acc_" in measure:
        return percent
    return fixed if measure in MEASURES or unit == "0 to 1" else number


def step_texts(run: Run, frame: pd.DataFrame, steps: tuple[int, ...]) -> tuple[str, ...]:
    """One sentence per step: the finite values of a frame with columns step, measure, value and, if known, unit."""
    there = frame.dropna(subset=["value"])
    by_step: dict[int, list[str]] = {step: [] for step in steps}
    units: Any = there["unit"] if "unit" in there else [""] * len(there)
    for step, measure, value, unit in zip(there["step"], there["measure"], there["value"], units, strict=True):
        by_step.setdefault(int(step), []).append(f"{subject(measure)} is {writer(measure, unit)(value)}")
    return tuple(f"{at(run, step)} {listed(by_step[step]) or 'none of these is defined'}." for step in steps)


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column ``line``: each measure's name in a legend."""
    return frame.assign(line=frame["measure"].map(short))


def shares_words(shares: Iterable[tuple[int | str, float]]) -> str:
    """Frequencies with their shares, as an English list: "7 (36.1 %) and 14 (20.0 %)"."""
    return listed([f"{name} ({percent(share)})" for name, share in shares])


def operation_words(run: Run) -> str:
    """The operation in words and symbols: "a + b mod 113", "composition in S5"."""
    task = run.config.task
    if task.group is None:
        return f"{task.operation.symbol} mod {task.p}"
    named = {"compose": "composition", "conjugate": "conjugation", "sandwich": "the product aba"}
    return f"{named.get(task.op, task.operation.symbol)} in {task.group}"
