"""State dicts by step from the contents of a file: checkpoints, series, and whole modules."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from train.errors import DataError, UsageError

from .names import is_buffer, kind_of, short, without_prefix
from .plain import is_module, numbers, plain_fields
from .records import Record, Unread

Weights = dict[str, Tensor]
"""Tensors by name."""
WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state", "net", "network", "module", "weights", "params")
"""Keys under which a checkpoint may keep its state dict."""
CONFIGS = ("config", "cfg", "model_config", "model_cfg")
"""Keys under which a checkpoint may keep its model's config."""
SERIES = {"state_dicts": "epochs", "model_checkpoints": "checkpoint_epochs", "checkpoints": "checkpoint_epochs"}
"""Keys of a list of state dicts, and of the list of their epochs."""
COUNTS = ("n_averaged", "module.n_averaged")
"""Counters that torch.optim.swa_utils.AveragedModel keeps beside the weights."""
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
MAX_SNAPSHOTS = 10_000
MAX_TENSORS = 10_000
MAX_NUMBERS = 2**29
"""Largest number of weights in all snapshots, shared tensors counted once: 2 GiB as float32."""


def state_dicts(raw: Any, step: int | None) -> dict[int, Weights]:
    """State dicts by step (updates done).

    Accepted are a state dict, a checkpoint that holds one, a checkpoint that holds a list of them with their epochs,
    and a folder's files by the number in their names; a whole pickled module stands for its state dict. In the
    published code epochs count from 0, and a model is saved after its epoch's full-batch update, whose loss was listed
    before the update. Hence step = epoch + 1, or the number of listed losses where there is no epoch: the file of
    Nanda et al. that stops at epoch 4999 lists 5000 losses, holds an optimiser at update 5000, and its weights have
    the loss that would be listed next. Where the number of listed losses equals the epoch, as in the last file that
    their code writes, the epoch already counts updates. A number in a file's name, and Lightning's global_step, are
    steps.

    Args:
        raw: contents of the file, or of each file of a folder.
        step: step from a flag; None: the file's own, or 0.

    Raises:
        DataError: the file holds no state dicts, or tensors that are not real.
        UsageError: a step is given although the file records it.
    """
    pairs = _unwrapped(raw, set())
    recorded = [own for own, _ in pairs if own is not None]
    if step is not None and recorded:
        raise UsageError(f"got --step {step}, but the file records its steps, such as {recorded[0]}: leave --step out")
    if len(pairs) > MAX_SNAPSHOTS:
        raise DataError(f"it has {len(pairs):,} snapshots; at most {MAX_SNAPSHOTS:,} are taken")
    take = _Taken().real
    models = {(step or 0) if own is None else own: {n: take(n, t) for n, t in w.items()} for own, w in pairs}
    if len(models) < len(pairs):
        raise DataError(f"{len(pairs)} snapshots have {len(models)} different steps: each needs its own")
    return dict(sorted(models.items()))


def tells_step(raw: Any) -> bool:
    """Whether a file, or each file of a folder by its contents or name, records its step."""
    return all(step is not None for step, _ in _unwrapped(raw, set()))


def prefixes(raw: Any) -> list[str]:
    """The parts of wrappers that were removed from names of tensors, sorted."""
    cut: set[str] = set()
    _unwrapped(raw, cut)
    return sorted(cut)


def converted(models: Mapping[int, Weights], convert: Callable[[Weights], Weights]) -> dict[int, Weights]:
    """``convert`` of every snapshot; snapshots that share all their tensors are converted once."""
    kept: dict[Any, Weights] = {}
    for weights in models.values():
        which = tuple((name, id(tensor)) for name, tensor in weights.items())
        if which not in kept:
            kept[which] = convert(weights)
    return {s: kept[tuple((name, id(tensor)) for name, tensor in w.items())] for s, w in models.items()}


def own_config(raw: Any) -> dict[str, Any]:
    """Plain values of the config, a dictionary or an object, of a checkpoint or of a whole module.

    A module keeps its config under ``cfg`` or ``config``.
    """
    if isinstance(raw, Mapping) and raw and all(type(name) is int for name in raw):  # in a folder, the last file's
        raw = raw[max(raw)]
    is_checkpoint = isinstance(raw, Mapping)
    holders = [raw] if is_checkpoint else []
    holders += [
        m.fields
        for m in ([raw.get(key) for key in WRAPPERS] if is_checkpoint else [raw])
        if m is not None and is_module(m)
    ]
    configs = [holder.get(name) for holder in holders for name in CONFIGS]
    return next((plain_fields(config) for config in configs if isinstance(config, Mapping | Record)), {})


# ---- where the state dicts are ---------------------------------------------------------------------


Pairs = list[tuple[int | None, Mapping[str, Any]]]
"""Steps (None where unknown) with state dicts."""


def _unwrapped(raw: Any, cut: set[str], depth: int = 0) -> Pairs:
    """The models of a file, or of the files of a folder; ``cut`` is extended by the parts removed from names."""
    if is_module(raw):
        return [(None, _state_dict(raw, cut))]
    if not isinstance(raw, Mapping) or not raw:
        raise DataError(f"it holds {kind_of(raw)}; a state dict, or a dictionary with one, is needed")
    if all(type(key) is int for key in raw) and depth < 2:
        pairs = [(number, _unwrapped(each, cut, depth + 1)) for number, each in raw.items()]
        return [(number if step is None else step, w) for number, inner in pairs for step, w in inner]
    for key, epochs in SERIES.items():
        if key in raw:
            return _series(raw, key, epochs, cut)
    key = _wrapper(raw)
    return [(own_step(raw), _state_dict(raw[key], cut))] if key is not None else [(None, _state_dict(raw, cut))]


def _wrapper(raw: Mapping[str, Any]) -> str | None:
    """The key that holds a checkpoint's model."""
    return next((key for key in WRAPPERS if isinstance(raw.get(key), Mapping) or is_module(raw.get(key))), None)


def _series(raw: Mapping[str, Any], key: str, epochs: str, cut: set[str]) -> Pairs:
    models, counts = raw[key], numbers(raw.get(epochs))
    if not isinstance(models, list | tuple) or counts is None or not models:
        raise DataError(f"{key} and {epochs} must be lists, the models and the epochs they were saved at")
    if len(models) != len(counts) or not all(n >= 0 and n == int(n) for n in counts):
        raise DataError(f"{key} has {len(models)} models, but {epochs} does not have one whole number for each")
    behind = 0 if _n_losses(raw) == max(counts) else 1
    return [(int(n) + behind, _state_dict(model, cut)) for n, model in zip(counts, models, strict=True)]


def own_step(raw: Any) -> int | None:
    """Updates done according to a checkpoint of one model; None where the checkpoint does not record them."""
    if not isinstance(raw, Mapping) or _wrapper(raw) is None:
        return None
    step, epoch, n_losses = _count(raw.get("global_step")), _count(raw.get("epoch")), _n_losses(raw)
    if step is not None:
        return step
    if epoch is not None:
        return epoch if epoch == n_losses else epoch + 1
    return n_losses


def _count(value: Any) -> int | None:
    """A non-negative whole number from a number, a tensor or a NumPy scalar; else None."""
    values = numbers([value])
    return int(values[0]) if values is not None and 0 <= values[0] < 2**53 and values[0] == int(values[0]) else None


def _n_losses(raw: Mapping[str, Any]) -> int | None:
    """Number of training losses that a checkpoint lists, one before each update; None for none."""
    losses = raw.get("train_losses")
    n = len(losses) if isinstance(losses, list | tuple) else 0
    if isinstance(losses, Tensor | Record):
        n = len(numbers(losses) or ())
    return n or None


def _state_dict(raw: Any, cut: set[str]) -> Mapping[str, Any]:
    """A state dict under the model's own names, without wrappers' parts.

    Raises:
        DataError: the object is no state dict.
    """
    named = parameters(raw) if is_module(raw) else raw
    if not isinstance(named, Mapping) or not any(isinstance(value, Tensor | Unread) for value in named.values()):
        raise DataError(f"it holds {kind_of(raw)} where a state dict, names with tensors, is needed")
    if len(named) > MAX_TENSORS:
        raise DataError(f"it holds a state dict of {len(named):,} tensors; at most {MAX_TENSORS:,} are taken")
    return without_prefix({name: value for name, value in named.items() if name not in COUNTS}, cut)


def parameters(module: Record) -> dict[str, Any]:
    """Parameters and persistent buffers of a whole module, under the dotted names of its state dict.

    Raises:
        DataError: a module contains itself, or a part is no module.
    """
    found: dict[str, Any] = {}
    path: list[tuple[str, Any, tuple[int, ...]]] = [("", module, ())]
    while path:
        at, record, above = path.pop()
        if not is_module(record) or id(record) in above or len(found) > MAX_TENSORS or len(above) > 50:
            raise DataError(f"it holds a whole pickled module ({short(module)}), whose parts make no sense")
        skipped = record.fields.get("_non_persistent_buffers_set") or ()
        for kind in ("_parameters", "_buffers"):
            held = record.fields.get(kind)
            items = held.items() if isinstance(held, dict) else ()
            found |= {
                f"{at}{name}": t for name, t in items if t is not None and not (kind[1] == "b" and name in skipped)
            }
        inner = record.fields["_modules"]
        items = inner.items() if isinstance(inner, dict) else ()
        path += [(f"{at}{name}.", each, (*above, id(record))) for name, each in items if each is not None]
    return found


# ---- tensors ---------------------------------------------------------------------------------------


class _Taken:
    """Tensors as float32; tensors that share memory in a file still share it, and are counted once."""

    def __init__(self) -> None:
        self.made: dict[Any, Tensor] = {}
        self.left = MAX_NUMBERS

    def real(self, name: Any, value: Any) -> Tensor:
        """``value`` as float32; a buffer of any other type becomes an empty tensor.

        Raises:
            DataError: ``value`` is not a tensor of real numbers, or the weights exceed ``MAX_NUMBERS``.
        """
        if not isinstance(name, str) or not isinstance(value, Tensor | Unread):
            raise DataError(f"{short(name)} is {kind_of(value)}: a state dict holds tensors alone")
        if isinstance(value, Unread) or value.layout != torch.strided or value.dtype not in DTYPES or value.is_meta:
            if is_buffer(name):
                return torch.empty(0)
            what = value.what if isinstance(value, Unread) else f"{value.dtype} ({value.layout})"
            raise DataError(f"{name[:100]} holds {what}; weights are plain floating-point tensors")
        which = value.data_ptr(), value.storage_offset(), value.shape, value.stride(), value.dtype
        if which not in self.made:
            self.left -= value.numel()
            if self.left < 0:
                raise DataError(f"it holds more than {MAX_NUMBERS:,} weights: import fewer snapshots at a time")
            self.made[which] = value.detach().to(torch.float32).contiguous()
        return self.made[which]
