"""Parts: what the measures of one snapshot share, computed once and kept with the snapshot.

Parts are plain functions of a snapshot or a run. One that does not apply raises ``NotApplicable`` with the reason, and
so does every part or measure that reads it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Part = TypeVar("Part", bound=Callable[..., Any])


@dataclass(frozen=True)
class Unavailable:
    """What an analysis gives where it does not apply, with the reason."""

    reason: str


class NotApplicable(Exception):  # noqa: N818 - no error: the reason is shown in the measure's place
    """Why a part does not exist for this run."""


def part(compute: Part) -> Part:
    """Keep what ``compute(owner, *args)`` gives, or why it does not apply, with its owner (a snapshot or a run)."""

    @functools.wraps(compute)
    def once(owner: Any, *args: Any) -> Any:
        key = (compute.__module__, compute.__qualname__, *args)
        if key not in owner.kept:
            try:
                owner.kept[key] = compute(owner, *args)
            except NotApplicable as reason:
                owner.kept[key] = reason
        found = owner.kept[key]
        if isinstance(found, NotApplicable):
            raise NotApplicable(str(found))
        return found

    return once  # type: ignore[return-value]
