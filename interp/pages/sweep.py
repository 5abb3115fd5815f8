"""The page of a sweep: a tiny curve for each run, when they learned, the whole table: ``interp.report SWEEP_DIR``."""

import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interp.figures.sweeps import crossings_figure
from interp.html.blocks import Block, Figure, Table, Text, Tile, Tiles
from interp.html.page import PageSection, render_page, write_page
from train.errors import DataError, UsageError
from train.storage.provenance import git_state, versions
from train.storage.store import RunStore
from train.sweep.info import read_info
from train.sweep.plan import evaluations
from train.sweep.results import table
from train.sweep.spec import Spec

POINTS = 60
"""Of a tiny curve."""
SHOWN = ("status", "train_99", "test_99", "test_99_stable", "delay", "best_test_acc", "test_acc", "step", "seconds")

Row = dict[str, Any]
"""A run of the sweep's table."""


def build_sweep(root: Path, folder: Path) -> Path:
    """Write the page of a sweep; its path. Cells lead to reports of runs in ``folder / run_id``, where there are some.

    Raises:
        DataError: the sweep's files cannot be read.
        OSError: the page cannot be written.
    """
    spec = read_info(root)
    frame = table(root, spec)
    rows: list[Row] = [{str(k): None if v is pd.NA else v for k, v in row.items()} for row in frame.to_dict("records")]
    html = render_page(
        title=f"Sweep {spec.name}",
        subtitle=_subtitle(spec, rows),
        sections=[
            PageSection("runs", "Runs", [Text(_reading(spec)), _tiles(root, folder, spec, rows)]),
            PageSection("crossings", "When they learned", _crossings(spec, rows)),
            PageSection("reports", "Reports of the runs", [Text(_reports(root, folder, rows))]),
            PageSection("table", "Table", [_table(spec, frame)]),
        ],
        steps=(),
        step_labels=(),
        provenance={"versions": versions(), "git": git_state(), "sweep": str(root)},
    )
    write_page(folder / "index.html", html)
    return folder / "index.html"


def runs_without_report(root: Path, folder: Path) -> list[Path]:
    """Directories of runs that have snapshots and no report yet.

    Raises:
        DataError: the sweep's ``sweep.json`` cannot be read.
        UsageError: none of its runs has begun.
    """
    runs = [root / cell.config.run_id for cell in read_info(root).cells]
    begun = [run for run in runs if any((run / "steps").glob("*.safetensors"))]
    if not begun:
        raise UsageError(f"no run of {os.fspath(root)} has begun: train it first")
    return [run for run in begun if not (folder / run.name / "index.html").is_file()]


def _subtitle(spec: Spec, rows: list[Row]) -> str:
    statuses = [row["status"] for row in rows]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    reached = sum(row["test_99"] is not None for row in rows)
    return f"{len(rows)} runs over {', '.join(spec.axes) or 'seeds'}: {counts}; {reached} reached 99% test accuracy"


def _reading(spec: Spec) -> str:
    ends = ""
    if spec.stop is not None:
        ends = f" A run ends {spec.stop.steps:,} steps after its test accuracy has come to {spec.stop.test_acc:.0%}."
    return (
        "Accuracy from 0 to 1 over the steps of the longest run, on a log scale. Below each: the step from which on "
        f"the test accuracy stays at 99%, a dash where it does not.{ends} A click opens the run's report."
    )


def _tiles(root: Path, folder: Path, spec: Spec, rows: list[Row]) -> Tiles:
    """Rows are all axes but the last, columns the last axis and the seeds."""
    longest = max(cell.config.schedule.steps for cell in spec.cells)
    down, across = spec.axes[:-1], (*spec.axes[-1:], "seed")
    tiles = {(_words(down, row), _words(across, row)): _tile(root, folder, row, longest) for row in rows}
    names, columns = (tuple(dict.fromkeys(place[i] for place in tiles)) for i in (0, 1))
    lines = tuple((name, tuple(tiles.get((name, column)) for column in columns)) for name in names)
    return Tiles(f"Every run; rows: {', '.join(down) or 'one'}.", ("train", "test"), columns, lines)


def _words(names: Sequence[str], row: Row) -> str:
    return ", ".join(
        f"{name} {row[name]:g}" if isinstance(row[name], float) else f"{name} {row[name]}" for name in names
    )


def _tile(root: Path, folder: Path, row: Row, longest: int) -> Tile:
    name, stable, best = row["run_id"], row["test_99_stable"], row["best_test_acc"]
    log = _thinned(root / name)
    lines = tuple(
        tuple((math.log1p(at["step"]) / math.log1p(longest), float(at[key])) for at in log)
        for key in ("train_acc", "test_acc")
    )
    mark = row["status"] if row["status"] != "done" else "–" if stable is None else f"{stable:,}"
    said = f"{name}: {row['status']}"
    if best is not None and not math.isnan(best):
        said += f", best test accuracy {best:.1%}"
    is_there = (folder / name / "index.html").is_file()
    return Tile(lines, said, f"{name}/index.html" if is_there else "#reports", mark)


def _thinned(path: Path) -> list[Row]:
    """Some of a run's evaluations, the first and the last with them; none where there is nothing to read."""
    try:
        log = evaluations(RunStore(path)) if path.is_dir() else []
    except DataError:  # the table says so
        return []
    return [log[i] for i in sorted({round(j * (len(log) - 1) / (POINTS - 1)) for j in range(POINTS)})] if log else []


def _crossings(spec: Spec, rows: list[Row]) -> list[Block]:
    """A figure for each axis of numbers."""
    reached = [row for row in rows if row["test_99_stable"] is not None]
    axes = [a for a in spec.axes if all(isinstance(r[a], int | float) and not isinstance(r[a], bool) for r in rows)]
    if not reached or not axes:
        return [Text("No run reached a stable 99% test accuracy, or no axis is a number.")]
    return [_crossing(spec, axis, reached, len(rows)) for axis in axes]


def _crossing(spec: Spec, axis: str, reached: list[Row], total: int) -> Figure:
    others = [name for name in spec.axes if name != axis]
    points = pd.DataFrame(
        {
            "x": [float(row[axis]) for row in reached],
            "step": [float(row["test_99_stable"]) for row in reached],
            "group": [_words(others, row) or "all" for row in reached],
        }
    )
    medians = {key: statistics.median(steps["step"]) for key, steps in points.groupby(["x", "group"])}
    (x, group), step = min(medians.items(), key=lambda item: item[1])  # type: ignore[misc]
    return Figure(
        fig=crossings_figure(points, axis),
        heading=f"Step of stable 99% test accuracy against {axis}",
        takeaway=f"Fastest in the median over seeds: {axis} {x:g} ({group}) at step {step:,.0f}. "
        f"{total - len(reached)} of {total} runs are not here: they did not get there.",
        source="First evaluation from which on the test accuracy stays at least 99%, to the run's end; lines join "
        "medians over seeds.",
        alt=f"Step at which runs learned, against {axis}, a colour for each of the other settings.",
    )


def _reports(root: Path, folder: Path, rows: list[Row]) -> str:
    there = sum((folder / row["run_id"] / "index.html").is_file() for row in rows)
    return (
        f"{there} of {len(rows)} runs have a report beside this page; the cells of the others lead here. "
        f"`python -m interp.report {root} --with-runs` builds those that are missing (about a minute each), "
        f"`python -m interp.report {root}/RUN --out {folder}/RUN` one of them."
    )


def _table(spec: Spec, frame: pd.DataFrame) -> Table:
    columns = ["run_id", *spec.axes, "seed", *SHOWN] + ["error"] * bool(frame["error"].notna().any())
    shown = frame.loc[:, columns]
    return Table(shown, "A row for each run, as in sweep.parquet; steps are updates, seconds shared by a stack.")
