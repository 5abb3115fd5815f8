"""The README's tables, made from the registries: ``python tests/readme_tables.py`` rewrites them in place."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"

SEEN: dict[str, str] = {
    "nanda": "140 / 5,600",
    "tl-demo": "158 / 9,900",
    "power": "909 / 3,700",
    "zhong": "95 / 243",
    "s5": "309 / 27,384",
    "fast": "81 / 87",
    "quick": "98 / 887",
}
"""Steps of 99% train and test accuracy seen in a run of each preset; measured by hand, not by a test."""


def operations_table() -> str:
    """One row per operation."""
    from train.operations import OPERATIONS

    rows = ["| name | what | on |", "|---|---|---|"]
    for op in OPERATIONS.values():
        where = "`--group`" if op.domain == "group" else "`--p`, prime" if op.needs_prime else "`--p`"
        rows.append(f"| `{op.name}` | {op.doc.rstrip('.')} | {where} |")
    return "\n".join(rows)


def presets_table() -> str:
    """One row per preset."""
    from train.presets import PRESETS

    rows = ["| name | what | steps | 99% at (train / test) |", "|---|---|---|---|"]
    for name, preset in PRESETS.items():
        steps = f"{preset.config.schedule.steps:,}"
        rows.append(f"| `{name}` | {preset.doc} | {steps} | {SEEN.get(name, 'not run yet')} |")
    return "\n".join(rows)


def measures_table() -> str:
    """One row per measure, family by family."""
    from interp.measures import load

    rows = ["| name | unit | what |", "|---|---|---|"]
    for m in load().values():
        what = m.doc.rstrip(".").replace("|", "\\|")
        rows.append(f"| `{m.name}` | {m.unit} | {what} |")
    return "\n".join(rows)


def interventions_table() -> str:
    """One row per intervention."""
    from train.interventions import INTERVENTIONS, flags_of

    rows = ["| what | flags | source |", "|---|---|---|"]
    for one in INTERVENTIONS:
        rows.append(f"| {one.doc} | {', '.join(f'`{flag}`' for flag in flags_of(one))} | {one.source} |")
    return "\n".join(rows)


def filled(text: str) -> str:
    """``text`` with the tables between their markers."""
    tables = {"operations": operations_table(), "presets": presets_table(), "measures": measures_table()}
    tables["interventions"] = interventions_table()
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", flags=re.S)
        text = place.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
