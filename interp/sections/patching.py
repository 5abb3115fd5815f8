"""Activation patching at the last snapshot: between inputs, and between the last and the memorising snapshot."""

from typing import Any

import pandas as pd
import torch

from interp.circuits import effects, patch_from, patch_inputs
from interp.html.blocks import Block, Table, Text
from interp.html.numbers import percent
from interp.parts.memo import NotApplicable
from interp.parts.rows import table_of
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from interp.story.behaviour import clean_claim, swap_claim
from interp.story.claims import said
from interp.story.outcome import subsets
from interp.story.standing import at
from interp.story.transition import crossings
from train.model import HookedMLP

LEAST = 0.005
"""Smallest share recovered that is shown."""
N_PAIRS = 64
"""Number of clean inputs, spread over the table."""
ACTIVATIONS = {
    "resid_pre": "residual stream before the layer",
    "resid_mid": "residual stream after attention",
    "attn_out": "output of attention",
    "mlp_out": "output of the neurons",
    "z": "output of a head",
    "q": "query",
    "k": "key",
    "v": "value",
    "pattern": "attention pattern",
}
"""Words for TransformerLens's short names of activations."""
TABLES = {
    "inputs": "activations that restore the answer when the first operand is corrupted",
    "snapshots": "activations exchanged between the memorising and the last snapshot",
}
"""Tables of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """Tables of patches between inputs and between snapshots, each replaced by the reason if it does not apply."""
    return [*_between_inputs(run), *_between_snapshots(run)]


def _between_inputs(run: Run) -> list[Block]:
    """A table of the activations that restore the answer when the first operand is corrupted."""
    snap = run.last
    if isinstance(snap.model, HookedMLP):
        return [Text("Patching between inputs is not shown: it needs heads and a residual stream; an MLP has neither.")]
    try:
        clean, corrupted = corrupted_pairs(run)
    except NotApplicable as reason:
        return [Text(f"Patching between inputs is not shown: {reason}.")]
    words = run.task.shape.words
    patches: Any = patch_inputs(snap, clean, corrupted)
    patches["position"] = [words[int(p)] if pd.notna(p) else "all" for p in patches["position"]]
    patches["activation"] = patches["activation"].map(ACTIVATIONS)
    patches["head"] = [str(h) if pd.notna(h) else "all" for h in patches["head"]]
    shown = patches[patches["recovered"].abs() >= LEAST].sort_values("recovered", ascending=False)
    caption = (
        f"{at(run, snap.step)}, between inputs: {len(clean)} pairs whose first operand was replaced by another. "
        "Effect: how much one activation of the clean pair, patched in, raises the clean answer's logit relative to "
        "the corrupted answer's, in logits; recovered: the effect as a fraction of the effect of all activations "
        f"together. Rows that recover less than {percent(LEAST)} are omitted."
    )
    return [Table(shown.round({"effect": 4, "recovered": 4}), said(caption, clean_claim(run, clean)), id="inputs")]


def corrupted_pairs(run: Run) -> tuple[list[int], list[int]]:
    """Row numbers spread over the table, and for each a row with another first operand and another answer."""
    n, labels = table_of(run).n, run.task.labels[:, 0]
    rows = torch.arange(n * n)
    other = (rows // n + max(1, n // 3)) % n * n + rows % n  # a moves on by a third of the table, b stays
    usable = ((labels >= 0) & (labels[other] >= 0) & (labels != labels[other])).nonzero().flatten()
    if not len(usable):
        raise NotApplicable("replacing the first operand never changes an answer")
    sample = usable[torch.linspace(0, len(usable) - 1, min(N_PAIRS, len(usable))).long()]
    return rows[sample].tolist(), other[sample].tolist()


def _between_snapshots(run: Run) -> list[Block]:
    """A table of the last snapshot with activations from the first that fits its training rows, and the reverse."""
    step = crossings(run)["train"]
    early = run.nearest(step) if step is not None else run[run.steps[0]]
    if early.step == run.last.step:
        return [Text(_why_no_other(run))]
    tables = [_swapped(run.last, early), _swapped(early, run.last)]
    caption = said(swap_claim(early.step, run.last.step, step is not None))
    return [Table(pd.concat(tables, ignore_index=True), caption, id="snapshots")]


def _why_no_other(run: Run) -> str:
    if len(run.steps) == 1:
        return "Patching between snapshots is not shown: there is only one snapshot."
    return "Patching between snapshots is not shown: the last snapshot is the first that fits its training rows."


def _swapped(snap: Snapshot, source: Snapshot) -> pd.DataFrame:
    """Loss and accuracy of ``snap`` with one activation at a time taken from ``source``."""
    cfg = snap.model.cfg
    names = [(f"layer {i} {what}", f"blocks.{i}.{hook}") for i in range(cfg.n_layers) for what, hook in _hooks(snap)]
    _, cache = source.run_with_cache(names_filter=[hook for _, hook in names])
    table: Any = effects(snap, {label: patch_from(cache, hook) for label, hook in names}, subsets=_subsets(snap))
    return table.assign(model=f"step {snap.step:,}", source=f"step {source.step:,}")[
        ["model", "source", "intervention", "subset", "loss_nats", "accuracy"]
    ]


def _hooks(snap: Snapshot) -> list[tuple[str, str]]:
    if isinstance(snap.model, HookedMLP):
        return [("neurons", "mlp.hook_post")]
    attention = [("attention patterns", "attn.hook_pattern"), ("attention output", "hook_attn_out")]
    return attention if snap.model.cfg.attn_only else [*attention, ("neurons", "mlp.hook_post")]


def _subsets(snap: Snapshot) -> tuple[str, ...]:
    return subsets(snap.run)
