"""Where a run comes from: trained here, or imported with some of its config unknown."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """Where a run comes from."""

    kind: str = "trained"
    """trained (here), or imported."""
    source: str | None = None
    """Name of the file that the run was imported from."""
    sha256: str | None = None
    """SHA-256 of the source file, in hexadecimal."""
    layout: str | None = None
    """Layout of the source file, such as "nanda": see ``interp.importers.__main__``."""
    unknown: tuple[str, ...] = ()
    """Parts and fields of the config that the source does not record, such as "optim": Unknown in ``Run.config``.
    "step" is among them where the number of updates is not recorded: the snapshot is then stored as step 0."""
    notes: tuple[str, ...] = ()
    """One sentence for each thing that the import left out or changed."""

    def knows(self, field: str) -> bool:
        """Whether a field of the config ("task.train_frac") or a whole part of the config ("optim") is known."""
        return field not in self.unknown and field.partition(".")[0] not in self.unknown


def origin_of(info: dict[str, Any]) -> Origin:
    """The origin recorded in the contents of ``run.json``. Raises TypeError for fields that do not exist."""
    data = dict(info.get("origin", {}))
    unknown, notes = (tuple(data.pop(name, ())) for name in ("unknown", "notes"))
    return Origin(unknown=unknown, notes=notes, **data)
