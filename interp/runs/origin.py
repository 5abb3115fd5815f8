"""Where a run comes from: trained here, or imported with some of its config unknown."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """Where a run comes from."""

    kind: str = "trained"
    """trained (here), or imported."""
    source: str | None = None
    """Name of the file it was imported from."""
    sha256: str | None = None
    """Of that file."""
    layout: str | None = None
    """Its layout: see ``interp.importers.__main__``."""
    unknown: tuple[str, ...] = ()
    """Parts and fields of the config that the file does not tell, such as "optim"; ``Run.config`` has Unknown there.
    "step" where nothing tells how many updates were done: the snapshot then stands at step 0."""
    notes: tuple[str, ...] = ()
    """What the import left out or changed."""

    def knows(self, field: str) -> bool:
        """Whether a field of the config ("task.train_frac") or a part of it ("optim") is known."""
        return field not in self.unknown and field.partition(".")[0] not in self.unknown


def origin_of(info: dict[str, Any]) -> Origin:
    """What ``run.json`` says of it. Raises TypeError for fields that do not exist."""
    data = dict(info.get("origin", {}))
    unknown, notes = (tuple(data.pop(name, ())) for name in ("unknown", "notes"))
    return Origin(unknown=unknown, notes=notes, **data)
