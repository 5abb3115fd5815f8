"""Effects of interventions on loss and accuracy, as tidy tables."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from interp.parts.structure import find_law
from interp.runs.snapshot import Snapshot
from train.errors import UsageError
from train.passes.loss import cross_entropy

from .ablate import Along, ablate_frequencies, ablate_heads, ablate_neurons
from .hooks import Hooks, Numbers, check_hooks
from .tail import Tail, tail_of

SUBSETS = ("train", "test", "all")
COLUMNS = ("intervention", "subset", "loss_nats", "accuracy", "loss_change_nats", "accuracy_change")


def effects(snap: Snapshot, interventions: Mapping[str, Hooks], subsets: Sequence[str] = SUBSETS) -> pd.DataFrame:
    """Loss and accuracy under each intervention, and their change from the model without an intervention.

    Each intervention is one forward pass over all rows; hooks that the caller has already added stay active. Where the
    split is unknown, "train" and "test" are left out.

    Returns:
        Columns intervention, subset, loss_nats, accuracy, loss_change_nats, accuracy_change; the first
        intervention is "none".

    Raises:
        UsageError: an intervention named "none", or a hook that the model does not have.
        ValueError: an unknown subset, or a hook whose flag is off.
    """
    return _effects(snap, interventions, subsets, None)


def _effects(
    snap: Snapshot, interventions: Mapping[str, Hooks], subsets: Sequence[str], tail: Tail | None
) -> pd.DataFrame:
    """The table of ``effects``, whose interventions run the model from their hook on where ``tail`` serves them."""
    if "none" in interventions:
        raise UsageError("'none' names the row without an intervention: choose another name")
    known = [name for name in subsets if snap.task.is_train is not None or name not in ("train", "test")]
    rows = {name: snap.task.rows(name) for name in known}
    chosen = torch.cat([torch.zeros(0, dtype=torch.long), *rows.values()]).unique()
    check_hooks(snap.model, [name for hooks in interventions.values() for name, _ in hooks])
    table, before = [], {}
    for intervention, hooks in {"none": [], **interventions}.items():  # "none" comes first: the others' baseline
        loss, right = _row_scores(snap, hooks, chosen, tail)
        for subset, indices in rows.items():
            at = torch.searchsorted(chosen, indices)
            scores = float(loss[at].mean()), float(right[at].double().mean())
            first = before.setdefault(subset, scores)
            table.append((intervention, subset, *scores, scores[0] - first[0], scores[1] - first[1]))
    return pd.DataFrame(table, columns=list(COLUMNS))


def _row_scores(
    snap: Snapshot, hooks: Hooks, rows: Int64[Tensor, " chosen"], tail: Tail | None
) -> tuple[Float[Tensor, " chosen"], Bool[Tensor, " chosen"]]:
    """Loss of some rows under hooks, in nats, and whether they are answered right."""
    if tail is not None and tail.serves(hooks):
        logits = tail.logits(hooks, rows)
    else:
        with snap.model.hooks(fwd_hooks=hooks):
            logits = snap.answer_logits()[rows]
    labels = snap.task.labels[rows]
    return cross_entropy(logits, labels), (logits.argmax(dim=-1) == labels).all(dim=1)


def ablations(
    snap: Snapshot,
    clusters: Mapping[str, Numbers] | None = None,
    ks: Numbers = (),
    layer: int | None = None,
    along: Along = "answer",
    subsets: Sequence[str] = SUBSETS,
) -> pd.DataFrame:
    """The standard table of ablations: each head and cluster by zero and mean, and frequencies of neurons and logits.

    Args:
        snap: the snapshot.
        clusters: neurons of ``layer`` by the cluster's name.
        ks: frequencies that are removed one at a time, removed together, and kept alone, in the neurons of ``layer``
            (if it has any) and in the logits; see ``ablate_frequencies``.
        layer: the layer of the neurons; default: the last. Heads are those of every layer.
        along: as for ``ablate_frequencies``.
        subsets: as for ``effects``.

    Returns:
        The columns of ``effects``, and before ``subset``: kind ("none", "head", "neurons", "frequency"), part, how
        ("", "zero", "mean", "removed", "kept").

    Raises:
        UsageError: frequencies for a task without a law along a cycle, or arguments that the ablations refuse.
    """
    cfg = snap.model.cfg
    layer = cfg.n_layers - 1 if layer is None else layer
    groups = {name: [int(neuron) for neuron in neurons] for name, neurons in (clusters or {}).items()}
    hooks_of: dict[tuple[str, str, str], Hooks] = {}
    for how in ("zero", "mean"):
        for i in range(cfg.n_layers):
            hooks_of |= {("head", f"L{i}H{head}", how): ablate_heads([head], i, how) for head in range(cfg.n_heads)}
        hooks_of |= {("neurons", name, how): ablate_neurons(group, layer, how) for name, group in groups.items()}
    hooks_of |= _frequency_ablations(snap, sorted({int(k) for k in ks}), layer, along)
    frame = _effects(snap, {" ".join(key): hooks for key, hooks in hooks_of.items()}, subsets, tail_of(snap))
    keys = {"none": ("none", "", "")} | {" ".join(key): key for key in hooks_of}
    for place, column in enumerate(("kind", "part", "how")):
        frame.insert(1 + place, column, [keys[name][place] for name in frame["intervention"]])
    return frame


def _frequency_ablations(snap: Snapshot, ks: list[int], layer: int, along: Along) -> dict[tuple[str, str, str], Hooks]:
    """Hooks, by kind, part and how, that remove each frequency, remove all of ``ks``, or keep ``ks`` alone."""
    if not ks:
        return {}
    law, hooks_of = find_law(snap.task), {}
    neurons = [] if snap.model.cfg.attn_only else [f"blocks.{layer}.mlp.hook_post"]
    for hook_name in (*neurons, "unembed.hook_out"):
        for group in [[k] for k in ks] + ([ks] if len(ks) > 1 else []):
            part = f"k={','.join(map(str, group))} in {hook_name}"
            hooks_of["frequency", part, "removed"] = ablate_frequencies(law, group, hook_name, along)
        part = f"k={','.join(map(str, ks))} in {hook_name}"
        hooks_of["frequency", part, "kept"] = ablate_frequencies(law, ks, hook_name, along, keep=True)
    return hooks_of
