"""Tables of the README and the docs, made from the registries: ``python tests/readme_tables.py`` rewrites them."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
PASSES = README.parent / "docs/passes.md"

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
    from train.algebra.operations import OPERATIONS

    rows = ["| name | what | on |", "|---|---|---|"]
    for op in OPERATIONS.values():
        where = "`--group`" if op.domain == "group" else "`--p`, prime" if op.needs_prime else "`--p`"
        rows.append(f"| `{op.name}` | {op.doc.rstrip('.')} | {where} |")
    return "\n".join(rows)


def presets_table() -> str:
    """One row per preset."""
    from train.config.presets import PRESETS

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
    from train.config.interventions import INTERVENTIONS, flags_of

    rows = ["| what | flags | source |", "|---|---|---|"]
    for one in INTERVENTIONS:
        rows.append(f"| {one.doc} | {', '.join(f'`{flag}`' for flag in flags_of(one))} | {one.source} |")
    return "\n".join(rows)


def passes_table() -> str:
    """One row per setting of the model, the task and the loss; other settings no pass reads."""
    from train.config.knows import ANY, settings
    from train.config.run import RunConfig
    from train.passes.choose import PASSES
    from train.passes.scope import NOT_OF_A_PASS

    kinds = [kind for kind in PASSES if kind.NAME != "plain"]
    rows = [f"| setting | default | {' | '.join(kind.NAME for kind in kinds)} |", "|---" * (2 + len(kinds)) + "|"]
    for setting in settings(RunConfig()):
        if setting.name in NOT_OF_A_PASS:
            continue
        cells = []
        for kind in kinds:
            values = kind.KNOWS.get(setting.name, ())
            cells.append("any" if values is ANY else ", ".join(sorted(map(str, {*values, setting.default}))))  # type: ignore[misc]
        rows.append(f"| `{setting.name}` | {setting.default} | {' | '.join(cells)} |")
    rest = ", ".join(f"`{name}`" for name in sorted(NOT_OF_A_PASS))
    return "\n".join(rows) + f"\n\nNo pass reads {rest}."


def filled(text: str) -> str:
    """``text`` with the tables between their markers."""
    tables = {"operations": operations_table(), "presets": presets_table(), "measures": measures_table()}
    tables |= {"interventions": interventions_table(), "passes": passes_table()}
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", flags=re.S)
        text = place.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


if __name__ == "__main__":
    for path in (README, PASSES):
        path.write_text(filled(path.read_text()))
