"""Generated tables of the documentation, made from the registries: ``python docs/tables.py`` rewrites every one.

A table stands in a page between ``<!-- NAME -->`` and ``<!-- /NAME -->``. The table of published values needs the
folder of models that ``GROKLENS_THIRD_PARTY`` names, and is left alone where there is none.
"""

import ast
import dataclasses
import inspect
import os
import re
import sys
import tempfile
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PUBLISHED = DOCS / "background/published_errors.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
HOWTO = ROOT / "tests/fixtures/howto"

SEEN: dict[str, str] = {
    "nanda": "140 / 5,600",
    "tl-demo": "158 / 9,900",
    "power": "909 / 3,700",
    "zhong": "95 / 243",
    "s5": "309 / 27,384",
    "fast": "81 / 87",
    "quick": "98 / 887",
}
"""Steps of 99% train and test accuracy, measured in one run of each preset; no test repeats these runs."""


def table(header: list[str], rows: list[list[str]]) -> str:
    """A markdown table; what markdown or HTML would read as a mark within a cell is escaped."""
    lines = [header, *[[escaped(cell) for cell in row] for row in rows]]
    text = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([text[0], "|---" * len(header) + "|", *text[1:]])


def escaped(cell: str) -> str:
    """A cell's text with bars escaped everywhere and angle brackets outside of code."""
    pieces = cell.replace("|", "\\|").split("`")
    return "`".join(piece if i % 2 else piece.replace("<", "&lt;") for i, piece in enumerate(pieces))


def code(text: object) -> str:
    """The text in backticks."""
    return f"`{text}`"


def operations_table() -> str:
    """One row per operation."""
    from train.algebra.operations import OPERATIONS

    rows = []
    for op in OPERATIONS.values():
        where = "`--group`" if op.domain == "group" else "`--p`, prime" if op.needs_prime else "`--p`"
        rows.append([code(op.name), op.doc.rstrip("."), where])
    return table(["name", "what", "on"], rows)


def presets_table() -> str:
    """One row per preset."""
    from train.config.presets import PRESETS

    rows = []
    for name, preset in PRESETS.items():
        steps = f"{preset.config.schedule.steps:,}"
        rows.append([code(name), preset.doc, steps, SEEN.get(name, "not run yet")])
    return table(["name", "what", "steps", "99% at (train / test)"], rows)


def preset_sources_table() -> str:
    """One row per preset: where the settings are from, and what differs from the source."""
    from train.config.presets import PRESETS

    return table(["name", "source"], [[code(name), preset.source] for name, preset in PRESETS.items()])


def measures_table() -> str:
    """One row per measure, family by family."""
    from interp.measures import load

    return table(["name", "unit", "what"], [[code(m.name), m.unit, m.doc.rstrip(".")] for m in load().values()])


def sources_table() -> str:
    """One row per measure: the equation or the line of code that defines it."""
    from interp.measures import load

    return table(["name", "source"], [[code(m.name), m.source] for m in load().values()])


def interventions_table() -> str:
    """One row per intervention."""
    from train.config.interventions import INTERVENTIONS, flags_of

    rows = [[one.doc, ", ".join(map(code, flags_of(one))), one.source] for one in INTERVENTIONS]
    return table(["what", "flags", "source"], rows)


def passes_table() -> str:
    """One row per setting of the model, the task and the loss; other settings no pass reads."""
    from train.config.knows import ANY, settings
    from train.config.run import RunConfig
    from train.passes.choose import PASSES
    from train.passes.scope import NOT_OF_A_PASS

    kinds = [kind for kind in PASSES if kind.NAME != "plain"]
    rows = []
    for setting in settings(RunConfig()):
        if setting.name in NOT_OF_A_PASS:
            continue
        cells = []
        for kind in kinds:
            values: Any = kind.KNOWS.get(setting.name, ())
            cells.append("any" if values is ANY else ", ".join(sorted(map(str, {*values, setting.default}))))
        rows.append([code(setting.name), str(setting.default), *cells])
    rest = ", ".join(map(code, sorted(NOT_OF_A_PASS)))
    return table(["setting", "default", *[kind.NAME for kind in kinds]], rows) + f"\n\nNo pass reads {rest}."


def attribute_docs(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, in one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if is_field and is_text:
            docs[field.target.id] = " ".join(str(below.value.value).split())  # type: ignore[union-attr]
    return docs


def settings_table() -> str:
    """One row per setting that determines a run's numbers: flag, default of the default run, meaning."""
    from train.config.presets import PRESETS

    config = PRESETS["nanda"].config
    rows = []
    for part, home in _parts(config):
        docs = attribute_docs(type(home))
        for field in dataclasses.fields(home):
            value = getattr(home, field.name)
            if dataclasses.is_dataclass(value):
                continue
            default = "" if value is None else code(str(value).lower() if isinstance(value, bool) else value)
            rows.append([code("--" + field.name.replace("_", "-")), part, default, docs[field.name]])
    return table(["flag", "part", "default", "what"], rows)


def _parts(config: Any) -> Iterator[tuple[str, Any]]:
    yield "run", config
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(getattr(config, field.name)):
            yield field.name, getattr(config, field.name)


def sections_table() -> str:
    """One row per section of a run's report, in reading order: identifier, title, and what the section shows."""
    from interp.sections import SECTIONS

    rows = []
    for section in SECTIONS:
        doc = (inspect.getdoc(inspect.getmodule(section.build)) or "").split("\n\n")[0]
        rows.append([code(section.id), section.title, " ".join(doc.split()).rstrip(".")])
    return table(["id", "title", "what"], rows)


HOWTOS = {
    "operation": "an operation",
    "measure": "a measure, shown over training",
    "section": "a section with a figure",
    "intervention": "an intervention on training",
    "architecture": "an option of the architecture, right everywhere",
    "layout": "a layout of foreign checkpoints",
    "task": "a kind of task",
    "page": "a page",
}
"""What the recipes of CONTRIBUTING.md add, by the name of the example patch."""


def howto_table() -> str:
    """One row per recipe of CONTRIBUTING.md: the files and places that the example patch touches."""
    rows = []
    for name, what in HOWTOS.items():
        patch = HOWTO / f"{name}.patch"
        files, places = map(str, touched(patch.read_text()))
        rows.append([what, files, places, code(patch.name)])
    return table(["to add", "files", "places", "patch"], rows)


def touched(patch: str) -> tuple[int, int]:
    """Files that a patch touches, and runs of changed lines in them; a binary file is one of each."""
    files, places, was_change = 0, 0, False
    for line in patch.splitlines():
        if line == "GIT binary patch":
            files, places = files + 1, places + 1
        if line.startswith(("+++ ", "--- ")):
            files += line.startswith("+++ ")
            was_change = False
            continue
        is_change = line.startswith(("+", "-"))
        places += is_change and not was_change
        was_change = is_change
    return files, places


def rooms_counted(text: str) -> str:
    """CONTRIBUTING.md with the lines of each room, to the nearest hundred."""
    row = re.compile(r"^\| `((?:train|interp)/\w+)` \| [\d,]+ \|", flags=re.M)
    return row.sub(lambda match: f"| `{match[1]}` | {max(round(lines_of(match[1]), -2), 100):,} |", text)


def lines_of(room: str) -> int:
    """Lines of Python in a folder."""
    return sum(len(path.read_text().splitlines()) for path in (ROOT / room).rglob("*.py"))


def published_table() -> str:
    """One row per published value, with ours beside it; needs the published models."""
    from oracles.published import VALUES, agrees, number, ours
    from oracles.third_party import folder, published_run

    from interp.measures import measure_snapshot

    source = folder()
    assert source is not None
    rows: list[list[str]] = []
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root:
        for value in VALUES:
            if value.model not in measured:
                run = published_run(value.model, source, Path(root))
                measured[value.model] = run, measure_snapshot(run.last)
            run, values = measured[value.model]
            mine = ours(run, values, value)
            verdict = "agrees" if agrees(mine, value.published) else value.why
            verdict = verdict if agrees(mine, value.expected) else "DISAGREES"
            difference = f"{mine - number(value.published):.1e}"
            at = ", ".join(map(str, value.at))
            rows.append([value.model, code(value.measure), at, value.published, f"{mine:.6g}", difference, verdict])
    return table(["model", "measure", "at", "published", "ours", "difference", "verdict"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "operations": operations_table,
    "presets": presets_table,
    "preset-sources": preset_sources_table,
    "interventions": interventions_table,
    "measures": measures_table,
    "howto": howto_table,
}
"""The tables that need nothing but the package, by the name of their marker."""
BUILT: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "passes": passes_table,
    "sections": sections_table,
    "measure-sources": sources_table,
}
"""Tables made when the site is built, so that a new setting, section or source costs no edit of a page."""


def pages() -> list[Path]:
    """Every page that may hold a table."""
    return [CONTRIBUTING, *sorted(DOCS.rglob("*.md"))]


def names_in(text: str) -> list[str]:
    """Names of the generated tables of a page."""
    return [name for name in re.findall(r"<!-- ([a-z-]+) -->", text) if name in TABLES]


def filled(text: str, tables: typing.Mapping[str, Callable[[], str]] = TABLES) -> str:
    """The text with every table between its markers."""
    for name, make in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", flags=re.S)
        if place.search(text):
            made = make()
            text = place.sub(lambda match, made=made: f"{match[1]}\n{made}\n\n{match[2]}", text)
    return text


def main() -> None:
    """Rewrite every table."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
    for path in pages():
        text = path.read_text()
        path.write_text(filled(text))
    CONTRIBUTING.write_text(rooms_counted(CONTRIBUTING.read_text()))
    if os.environ.get("GROKLENS_THIRD_PARTY"):
        PUBLISHED.write_text(filled(PUBLISHED.read_text(), {"values": published_table}))


if __name__ == "__main__":
    main()
