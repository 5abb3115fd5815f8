"""Names of tensors: what wrappers of models add to them, and how messages show what a file holds."""

import reprlib
from collections.abc import Mapping
from typing import Any

from train.errors import DataError

from .plain import is_module
from .records import Record

BUFFERS = ("mask", "IGNORE", "self_attn_mask")
"""Last parts of names that hold no weights."""
RESERVED = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Parts of names that PyTorch's own wrappers add, wherever they stand; no module can be called so by accident."""
USUAL = ("module.", "model.", "net.", "network.", "transformer.")
"""Beginnings of names that people's wrappers add."""
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 60, 60, 40


def short(value: Any) -> str:
    """``repr`` of something that a file holds, cut."""
    if isinstance(value, Record):
        return f"an object of {value.kind}"
    return _SHORT.repr(value)


def kind_of(raw: Any) -> str:
    """Noun phrase for what a file holds, for messages."""
    if is_module(raw):
        return f"a whole pickled module ({short(raw)}) without parameters"
    if isinstance(raw, Mapping):
        return f"a dictionary with {', '.join(map(short, list(raw)[:4])) or 'nothing'}"
    return short(raw) if isinstance(raw, Record) else f"a {type(raw).__name__}"


def is_buffer(name: str) -> bool:
    """Whether a name is that of a buffer, such as an attention mask."""
    return name.rpartition(".")[2] in BUFFERS


def without_prefix(weights: Mapping[str, Any], cut: set[str]) -> Mapping[str, Any]:
    """Names without what wrappers put before them, which is what all names begin with.

    Raises:
        DataError: most names begin with what a wrapper adds, and some do not.
    """
    if not all(isinstance(name, str) for name in weights):
        return weights
    found = {_without_reserved(name): value for name, value in weights.items()}
    if len(found) < len(weights):
        raise DataError("it holds weights twice, under names with and without '_orig_mod.': leave one of them out")
    cut |= {part for part in RESERVED for name in weights if part in name}
    prefix = common_prefix(list(found))
    cut |= {prefix} - {""}
    found = {name.removeprefix(prefix): value for name, value in found.items()}
    for usual in USUAL:
        others = [name for name in found if not name.startswith(usual) and not is_buffer(name)]
        if 0 < len(others) < len(found) / 2:
            raise DataError(
                f"{len(found) - len(others)} of its {len(found)} names begin with {usual!r}, as a wrapper's do, but "
                f"{short(others[0])} does not: save the state dict of the model inside the wrapper"
            )
    return found


def _without_reserved(name: str) -> str:
    for part in RESERVED:
        name = name.replace(part, "")
    return name


def common_prefix(names: list[str]) -> str:
    """Whole dotted parts that all names begin with; no model here has all its tensors in one part."""
    if len(names) < 2:
        return ""
    low, high = min(names), max(names)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[: low.rfind(".", 0, n) + 1]
