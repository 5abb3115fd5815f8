"""The network of a run that its page computes: weights at the run's stages, the task, frequencies and clusters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from interp.figures.style import CURSOR, PALETTE
from interp.measures.frequencies import FVE
from interp.parts.clusters import unit_clusters
from interp.parts.irreps import Name, irreps_of
from interp.parts.keyfreqs import key_irreps_of
from interp.parts.memo import NotApplicable, part
from interp.parts.network import MOST_BYTES, Network, n_bytes, network_of
from interp.parts.rows import has_law, law_of, table_of
from interp.runs.run import Run

from .frequencies import colours_of
from .stages import Stage, stages_of

N_CLUSTERS = 8
"""Largest number of clusters with a switch of their own; the other neurons are one more cluster."""


@dataclass(frozen=True, eq=False)
class Computed:
    """What a page's scripts compute a run's network from.

    Attributes:
        stages: the snapshots whose weights travel, fewer than the run's stages where more would be too large.
        network: their weights.
        arrays, options: for the widgets, the network's among them.
        no_units: why there are no key frequencies or irreps; "" where there are.
        no_clusters: why there are no clusters of neurons; "" where there are.
    """

    stages: tuple[Stage, ...]
    network: Network
    arrays: dict[str, np.ndarray]
    options: dict[str, Any]
    no_units: str
    no_clusters: str


@part
def computed_of(run: Run) -> Computed:
    """The network at as many of the run's stages as fit a page, the last ones first.

    Raises:
        NotApplicable: the page cannot compute this kind of model, or the weights of one snapshot are too large.
    """
    stages, network = _fitting(run)
    units, no_units = _units(run)
    clusters, no_clusters = _clusters(run)
    arrays = {f"w_{name}": array for name, array in network.arrays.items()} | _task_arrays(run)
    options = {
        **network.options,
        "stages": [{"label": _label(run, stage), "step": stage.step, "when": stage.when} for stage in stages],
        "elements": list(table_of(run).elements),
        "names": list(run.task.vocabulary[: network.options["outputs"]]),
        "words": list(run.task.shape.words),
        "operator": run.last.model.cfg.operator,
        "hasSplit": run.task.is_train is not None,
        "start": _start(run),
        **units,
        "clusters": clusters,
    }
    if "bases" in units:
        arrays["bases"] = options.pop("bases")
    return Computed(stages, network, arrays, options, no_units, no_clusters)


def _label(run: Run, stage: Stage) -> str:
    """A stage as a button: its name, and its step where that is known."""
    return f"{stage.name} (step {stage.step:,})" if run.origin.knows("step") else stage.name


def _fitting(run: Run) -> tuple[tuple[Stage, ...], Network]:
    """The latest stages whose weights fit together, and their network."""
    stages = stages_of(run)
    for i in range(len(stages)):
        network = network_of(run, [stage.step for stage in stages[i:]])
        if n_bytes(network) <= MOST_BYTES:
            return stages[i:], network
    raise NotApplicable(f"the weights of one snapshot would add {n_bytes(network) / 1e6:.1f} MB to this page")


def _task_arrays(run: Run) -> dict[str, np.ndarray]:
    """The answers of all pairs [n, n] (-1 where undefined), and one bit per pair: whether it was trained on."""
    arrays: dict[str, np.ndarray] = {"answers": table_of(run).values.numpy().astype(np.int16)}
    if run.task.is_train is not None:
        arrays["train"] = np.packbits(run.task.is_train.numpy())
    return arrays


def _units(run: Run) -> tuple[dict[str, Any], str]:
    """Frequencies or irreps, their places, which of them are key, and why there are none."""
    empty: dict[str, Any] = {"cycle": None, "sign": 1, "place": [], "units": [], "keys": []}
    try:
        irreps = irreps_of(run)
    except NotApplicable as reason:
        return empty, str(reason)
    keys, why = _keys(run)
    names = list(irreps.bases)
    place = torch.full((table_of(run).n,), -1, dtype=torch.long)
    place[irreps.order] = torch.arange(len(irreps.order))
    units = {
        "cycle": len(irreps.order) if has_law(run) else None,
        "sign": law_of(run).sign if has_law(run) else 1,
        "place": place.tolist(),
        "units": [
            {"name": unit_name(name), "k": name, "dim": len(irreps.bases[name]), "colour": colour}
            for name, colour in zip(names, _colours(run, keys, names), strict=True)
        ],
        "keys": [names.index(key) for key in keys],
    }
    if not has_law(run):
        units["bases"] = torch.cat(list(irreps.bases.values())).numpy().astype(np.float32)
    return units, why


def _keys(run: Run) -> tuple[tuple[Name, ...], str]:
    try:
        return key_irreps_of(run), ""
    except NotApplicable as reason:
        return (), str(reason)


def _colours(run: Run, keys: tuple[Name, ...], names: list[Name]) -> list[str]:
    """The colour of each frequency, that of the page's other panels, or of each irrep: grey where it is not key."""
    if has_law(run):
        return colours_of(run, [int(k) for k in names])
    return [PALETTE[keys.index(name) % len(PALETTE)] if name in keys else CURSOR for name in names]


def unit_name(name: Name) -> str:
    """A frequency or an irrep in words."""
    return f"frequency {name}" if isinstance(name, int) else f"irrep {name}"


def _clusters(run: Run) -> tuple[list[dict[str, Any]], str]:
    """Clusters of neurons at the last snapshot, the neurons of none of them last, and why there are no clusters."""
    d_mlp = run.last.model.cfg.d_mlp
    every: list[dict[str, Any]] = [{"name": "all neurons", "k": None, "neurons": list(range(d_mlp))}]
    if d_mlp == 0:
        return [], "an attention-only model has no neurons"
    try:
        found = unit_clusters(run.last, FVE)
    except NotApplicable as reason:
        return every, str(reason)
    if not found:
        return every, f"no frequency or irrep explains more than {FVE:.0%} of a neuron's variance"
    shown = dict(list(found.items())[:N_CLUSTERS])
    clusters = [{"name": unit_name(name), "k": name, "neurons": members} for name, members in shown.items()]
    members = {neuron for cluster in shown.values() for neuron in cluster}
    others = [neuron for neuron in range(d_mlp) if neuron not in members]
    return clusters + ([{"name": "other neurons", "k": None, "neurons": others}] if others else []), ""


def _start(run: Run) -> list[int]:
    """The pair shown first: the first test pair (defined pair, without a split) from a ninth of the table on."""
    task, n = run.task, table_of(run).n
    allowed = task.is_defined if task.is_train is None else task.is_defined & ~task.is_train
    rows = (allowed if allowed.any() else task.is_defined).nonzero().flatten()
    begin = n // 9 * n + n // 22
    row = int(rows[rows >= begin][0]) if bool((rows >= begin).any()) else int(rows[-1])
    return [row // n, row % n]
