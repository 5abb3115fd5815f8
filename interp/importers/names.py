"""Names of tensors without the parts that wrappers add, and short descriptions of a file's contents for messages."""

import reprlib
from collections.abc import Mapping
from typing import Any

from train.errors import DataError

from .plain import is_module
from .records import Record

BUFFERS = ("mask", "IGNORE", "self_attn_mask")
"""Last parts of the names of buffers, which hold no weights."""
RESERVED = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Parts that PyTorch's own wrappers add anywhere in a name; modules have no such names by accident."""
USUAL = ("module.", "model.", "net.", "network.", "transformer.")
"""Prefixes of names that users' wrapper classes commonly add."""
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 60, 60, 40


def short(value: Any) -> str:
    """``repr`` of an object in a file, shortened for messages."""
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
    """The state dict with names freed of wrappers' parts: ``RESERVED`` ones, and the prefix that all names share.

    Args:
        weights: tensors by name.
        cut: is extended by the parts that were removed.

    Raises:
        DataError: most names begin with a wrapper's prefix, and some do not.
    """
    if not all(isinstance(name, str) for name in weights):
        return weights
    renamed = {_without_reserved(name): value for name, value in weights.items()}
    if len(renamed) < len(weights):
        raise DataError("it holds weights twice, under names with and without '_orig_mod.': leave one of them out")
    cut |= {part for part in RESERVED for name in weights if part in name}
    prefix = common_prefix(list(renamed))
    cut |= {prefix} - {""}
    renamed = {name.removeprefix(prefix): value for name, value in renamed.items()}
    for usual in USUAL:
        others = [name for name in renamed if not name.startswith(usual) and not is_buffer(name)]
        if 0 < len(others) < len(renamed) / 2:
            raise DataError(
                f"{len(renamed) - len(others)} of its {len(renamed)} names begin with {usual!r}, as a wrapper's do, "
                f"but {short(others[0])} does not: save the state dict of the model inside the wrapper"
            )
    return renamed


def _without_reserved(name: str) -> str:
    for part in RESERVED:
        name = name.replace(part, "")
    return name


def common_prefix(names: list[str]) -> str:
    """Dotted parts that all names begin with: a wrapper's, since no model here has all its tensors in one module."""
    if len(names) < 2:
        return ""
    low, high = min(names), max(names)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[: low.rfind(".", 0, n) + 1]
