"""Parts: intermediate results that measures and sections share, computed once and kept with their snapshot or run.

A part is a plain function of a snapshot or a run. Where a part does not apply it raises ``NotApplicable`` with the
reason, and so does every part or measure that reads it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Part = TypeVar("Part", bound=Callable[..., Any])


@dataclass(frozen=True)
class Unavailable:
    """The result of an analysis that does not apply, with the reason."""

    reason: str


class NotApplicable(Exception):  # noqa: N818 - not an error: the reason is shown in place of the value
    """Raised with the reason by a part or measure that does not apply to a run."""


def part(compute: Part) -> Part:
    """Memoise ``compute(owner, *args)``, be it a value or ``NotApplicable``, in its owner (a snapshot or a run)."""

    @functools.wraps(compute)
    def once(owner: Any, *args: Any) -> Any:
        key = (compute.__module__, compute.__qualname__, *args)
        if key not in owner.kept:
            try:
                owner.kept[key] = compute(owner, *args)
            except NotApplicable as reason:
                owner.kept[key] = reason
        kept = owner.kept[key]
        if isinstance(kept, NotApplicable):
            raise NotApplicable(str(kept))
        return kept

    return once  # type: ignore[return-value]
