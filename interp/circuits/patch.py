"""Activation patching: from another snapshot, or from another input."""

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens import ActivationCache, patching
from transformer_lens.hook_points import HookPoint

from interp.runs.snapshot import Snapshot
from train.errors import UsageError
from train.model import HookedTransformer

from .hooks import Hooks, Numbers, check_hooks, check_numbers

Metric = Callable[[Float[Tensor, "rows pos d_vocab_out"]], Float[Tensor, ""]]

PER_HEAD = ("hook_q", "hook_k", "hook_v", "hook_z", "hook_result", "_input", "hook_attn_in")
"""Endings of hooks on [rows, pos, head, ...]."""
PATTERNS = ("hook_pattern", "hook_attn_scores")
"""Endings of hooks on [rows, head, pos, key pos]."""
PATCHES: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("resid_pre", patching.get_act_patch_resid_pre, ("layer", "position")),
    ("resid_mid", patching.get_act_patch_resid_mid, ("layer", "position")),
    ("attn_out", patching.get_act_patch_attn_out, ("layer", "position")),
    ("mlp_out", patching.get_act_patch_mlp_out, ("layer", "position")),
    ("z", patching.get_act_patch_attn_head_out_by_pos, ("layer", "position", "head")),
    ("z", patching.get_act_patch_attn_head_out_all_pos, ("layer", "head")),
    ("q", patching.get_act_patch_attn_head_q_all_pos, ("layer", "head")),
    ("k", patching.get_act_patch_attn_head_k_all_pos, ("layer", "head")),
    ("v", patching.get_act_patch_attn_head_v_all_pos, ("layer", "head")),
    ("pattern", patching.get_act_patch_attn_head_pattern_all_pos, ("layer", "head")),
)
"""TransformerLens's patches that ``patch_inputs`` runs: short name of the activation, function, axes of its result."""
OF_THE_MLP = ("resid_mid", "mlp_out")
"""Activations that an attention-only model does not have."""


def patch_from(
    source: Snapshot | ActivationCache | Mapping[str, Tensor],
    hook_names: str | Iterable[str],
    *,
    inputs: Numbers | None = None,
    rows: Numbers | None = None,
    positions: Numbers | None = None,
    heads: Numbers | None = None,
    neurons: Numbers | None = None,
) -> Hooks:
    """Replace activations by those of a snapshot, which is run at once on all rows, or by those in a cache.

    With another snapshot as source this patches between snapshots; with the same one and ``inputs``, between inputs.

    Args:
        source: where the activations come from.
        hook_names: one hook, or several.
        inputs: for each row, the row of the source whose activation it takes; None: its own row.
        rows, positions, heads, neurons: indices that are replaced; None: all. In attention patterns and scores
            positions are those of the query.

    Raises:
        UsageError: a hook that the source does not have, a number that is out of range, heads or neurons of an
            activation that has none; when the hook runs, an activation of another shape.
    """
    names = [hook_names] if isinstance(hook_names, str) else list(hook_names)
    values = _activations(source, names)
    wanted = {"rows": rows, "positions": positions, "heads": heads, "neurons": neurons}
    indices = {what: [int(v) for v in numbers] for what, numbers in wanted.items() if numbers is not None}
    gathered = None if inputs is None else [int(row) for row in inputs]
    hooks: Hooks = []
    for name in names:
        new = values[name]
        if gathered is not None:
            check_numbers("input", gathered, len(new), f"the source's {name}")
            new = new[gathered]
        hooks.append((name, _replace(name, new, _index(name, new.shape, indices))))
    return hooks


def _activations(source: Snapshot | ActivationCache | Mapping[str, Tensor], names: list[str]) -> Mapping[str, Tensor]:
    """Activations of the source by hook name."""
    if isinstance(source, Snapshot):
        check_hooks(source.model, names)
        source = source.run_with_cache(names_filter=names)[1]
    held = dict(source.items())
    missing = [name for name in names if name not in held]
    if missing:
        raise UsageError(f"the source has no {missing[0]!r}; it has {', '.join(held) or 'nothing'}")
    return held


def _index(name: str, shape: torch.Size, indices: dict[str, list[int]]) -> tuple[slice | Tensor, ...]:
    """Index of the replaced part of an activation."""
    if name.endswith(PATTERNS):
        axes = ("rows", "heads", "positions")
    elif name.endswith(PER_HEAD):
        axes = ("rows", "positions", "heads")
    else:
        axes = ("rows", "positions", "neurons") if ".mlp." in name else ("rows", "positions")
    foreign = [what for what in indices if what not in axes]
    if foreign:
        raise UsageError(f"{name} has no {foreign[0]}; it can be patched by {', '.join(axes)}")
    index = []
    for axis, what in enumerate(axes):
        if what not in indices:
            index.append(slice(None))
            continue
        check_numbers(what.removesuffix("s"), indices[what], shape[axis], name)
        later = sum(other in indices for other in axes[axis + 1 :])
        index.append(torch.tensor(indices[what], dtype=torch.long).view(-1, *[1] * later))
    return tuple(index)


def _replace(name: str, new: Tensor, index: tuple[slice | Tensor, ...]) -> Callable[..., Tensor]:
    """A hook that replaces the part of an activation at ``index`` by that of ``new``."""

    def replace(x: Float[Tensor, "rows ..."], hook: HookPoint) -> Float[Tensor, "rows ..."]:
        if x.shape != new.shape:
            raise UsageError(
                f"{name} has shape {tuple(x.shape)} here and {tuple(new.shape)} in the source: patch between models "
                "of the same sizes, on the same number of rows"
            )
        out = x.clone()
        out[index] = new[index].to(x.dtype)
        return out

    return replace


def answer_logit_difference(snap: Snapshot, clean: Numbers, corrupted: Numbers) -> Metric:
    """A metric for patching: mean over rows of the clean row's answer logit less the corrupted row's answer logit.

    Args:
        snap: the snapshot.
        clean, corrupted: rows of the task (pair (a, b) is row a * n + b), one corrupted row for each clean one.

    Raises:
        UsageError: rows that the task does not have or that have no answer, unequal numbers of rows, or a clean
            and a corrupted row with the same answer.
    """
    first, second = _paired_rows(snap, clean, corrupted)
    right, wrong = snap.task.labels[first], snap.task.labels[second]
    for row, labels in (*zip(first, right, strict=True), *zip(second, wrong, strict=True)):
        if int(labels.min()) < 0:
            raise UsageError(f"row {row}, the pair {tuple(snap.task.pairs[row].tolist())}, has no answer")
    same = (right == wrong).all(dim=1).nonzero().flatten().tolist()
    if same:
        raise UsageError(
            f"rows {first[same[0]]} and {second[same[0]]} have the same answer: choose other rows, or give a metric"
        )
    positions = list(snap.task.answer_positions)

    def metric(logits: Float[Tensor, "rows pos d_vocab_out"]) -> Float[Tensor, ""]:
        at_answer = logits[:, positions]
        return (at_answer.gather(2, right[..., None]) - at_answer.gather(2, wrong[..., None])).mean()

    return metric


@torch.no_grad()
def patch_inputs(snap: Snapshot, clean: Numbers, corrupted: Numbers, metric: Metric | None = None) -> pd.DataFrame:
    """Run the model on corrupted rows with one activation at a time from the clean ones (transformer_lens.patching).

    Args:
        snap: the snapshot, of a transformer.
        clean, corrupted: rows of the task, one corrupted row for each clean one.
        metric: maps logits [rows, pos, d_vocab_out] to a number; default: ``answer_logit_difference``.

    Returns:
        Columns activation (TransformerLens's short name), layer, position, head (missing: all at once), effect (the
        metric less that of the corrupted rows) and recovered (effect over the difference between the clean and the
        corrupted rows' metrics: 0 changes nothing, 1 restores the clean metric; NaN where the two metrics are equal).
        Metrics are computed in float32.

    Raises:
        UsageError: an MLP, or rows as for ``answer_logit_difference``.
    """
    model = snap.model
    if not isinstance(model, HookedTransformer):
        raise UsageError(
            "transformer_lens.patching needs heads and a residual stream, which an MLP does not have: use patch_from"
        )
    first, second = _paired_rows(snap, clean, corrupted)
    metric = answer_logit_difference(snap, first, second) if metric is None else metric
    tokens = snap.task.tokens[second]
    logits, cache = model.run_with_cache(snap.task.tokens[first])
    best, base = metric(logits).float(), metric(model(tokens)).float()
    tables = []
    for activation, patch, axes in PATCHES:
        if model.cfg.attn_only and activation in OF_THE_MLP:
            continue
        with contextlib.redirect_stderr(io.StringIO()):  # hides progress bars
            patched = patch(model, tokens, cache, metric).cpu()
        places = torch.cartesian_prod(*[torch.arange(size) for size in patched.shape])
        table = pd.DataFrame(places.numpy(), columns=list(axes)).astype("Int64")
        effect = (patched.flatten() - base).numpy()
        recovered = effect / float(best - base) if best != base else float("nan")
        tables.append(table.assign(activation=activation, effect=effect, recovered=recovered))
    columns = ["activation", "layer", "position", "head", "effect", "recovered"]
    return pd.concat(tables, ignore_index=True).reindex(columns=columns)


def _paired_rows(snap: Snapshot, clean: Numbers, corrupted: Numbers) -> tuple[list[int], list[int]]:
    """Clean and corrupted rows as two lists of the same length."""
    first, second = [int(row) for row in clean], [int(row) for row in corrupted]
    if len(first) != len(second) or not first:
        raise UsageError(
            f"got {len(first)} clean and {len(second)} corrupted rows: give one corrupted row for each clean one"
        )
    check_numbers("row", [*first, *second], len(snap.task.tokens), "the task")
    return first, second
