"""The page of a sweep: a tiny curve for each run, the steps at which runs learned, and the table of all runs."""

import functools
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interp.figures.sweeps import crossings_figure, overlay_figure
from interp.html.blocks import Block, Figure, Link, Table, Text, Tile, Tiles
from interp.html.numbers import number, percent
from interp.html.page import Page, PageSection, Selection
from train.cli.command import run_command
from train.cli.terminal import say
from train.errors import DataError, UsageError
from train.storage.provenance import git_state, versions
from train.storage.store import RunStore
from train.sweep.info import INFO, is_sweep, read_info
from train.sweep.plan import evaluations
from train.sweep.results import table
from train.sweep.spec import Spec

from . import run as run_page
from .kind import Built, Kind, folder_for
from .writing import write

POINTS = 60
"""Largest number of points of a tiny curve."""
SHOWN = ("status", "train_99", "test_99", "test_99_stable", "delay", "best_test_acc", "test_acc", "step", "seconds")
"""Columns of the page's table after the axes and the seed."""

Row = dict[str, Any]
"""One run, as a row of the sweep's table."""


def build(root: Path, out: Path | None, *, quiet: bool, only: Sequence[str] = (), with_runs: bool = False) -> Built:
    """Build the page of a sweep, whose cells link to the runs' reports in ``FOLDER/RUN_ID``.

    Args:
        root: the sweep's directory.
        out: the page's folder; ``reports/<sweep>`` by default.
        quiet: False prints the name of each section of a run's report on standard error before it is built.
        only: sections of the runs' reports.
        with_runs: first build and write the reports of runs that have none.

    Raises:
        DataError: the sweep's files cannot be read.
        UsageError: ``only`` without ``with_runs``, or no run to report on.
        OSError: a run's report cannot be written.
    """
    if only and not with_runs:
        raise UsageError(
            f"{root} is a sweep, and --only is for the reports of its runs: give --with-runs, or leave it out"
        )
    folder, status = folder_for(root.resolve().name, out), 0
    for run in runs_without_report(root, folder) if with_runs else ():
        status = max(status, run_command(functools.partial(_write_report, run, folder / run.name, quiet, only)))
    return Built(_page(root, folder), folder, status)


def _write_report(run: Path, folder: Path, quiet: bool, only: Sequence[str]) -> int:
    """Write the report of one run of the sweep; the exit status."""
    built = run_page.build(run, folder, quiet=quiet, only=only)
    say(write(built.page, built.folder))
    return built.status


def _page(root: Path, folder: Path) -> Page:
    spec = read_info(root)
    frame = table(root, spec)
    rows: list[Row] = [{str(k): None if v is pd.NA else v for k, v in row.items()} for row in frame.to_dict("records")]
    return Page(
        title=f"Sweep {spec.name}",
        subtitle=_subtitle(spec, rows),
        sections=[
            PageSection("runs", "Runs", [Text(_reading(spec)), _tiles(root, folder, spec, rows)]),
            PageSection("curves", "All runs together", _overlay(root, spec, rows)),
            PageSection("crossings", "When they learned", _crossings(spec, rows)),
            PageSection("reports", "Reports of the runs", [Text(_reports(root, folder, rows))]),
            PageSection("table", "Table", [_table(spec, frame)]),
        ],
        provenance={"versions": versions(), "git": git_state(), "sweep": str(root)},
        selections={"group": Selection("{}", _groups(spec, rows))},
    )


def _groups(spec: Spec, rows: list[Row]) -> tuple[str, ...]:
    """Names of the combinations of the sweep's axes, which share the colours of the figures."""
    return tuple(dict.fromkeys(_words(spec.axes, row) or "all" for row in rows))


def runs_without_report(root: Path, folder: Path) -> list[Path]:
    """Directories of the sweep's runs that have snapshots but no report in ``folder``.

    Raises:
        DataError: the sweep's ``sweep.json`` cannot be read.
        UsageError: no run of the sweep has begun.
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
    return (
        f"{len(rows)} runs over {', '.join(spec.axes) or 'seeds'}: {counts}; {reached} reached 99\u00a0% test accuracy"
    )


def _reading(spec: Spec) -> str:
    ends = ""
    if spec.stop is not None:
        reached = percent(spec.stop.test_acc, 0)
        ends = f" Runs stop {spec.stop.steps:,} steps after their test accuracy first reaches {reached}."
    return (
        "Each tile shows accuracy (0 to 1) against step, on a log axis up to the last step of the longest run. The "
        "number below is the step from which the test accuracy stays at 99\u00a0%; a dash means that it never does."
        f"{ends} Click a tile to open the run's report."
    )


def _tiles(root: Path, folder: Path, spec: Spec, rows: list[Row]) -> Tiles:
    """Tiles in rows of all axes but the last, and in columns of the last axis and the seeds."""
    longest = max(cell.config.schedule.steps for cell in spec.cells)
    down, across = spec.axes[:-1], (*spec.axes[-1:], "seed")
    tiles = {(_words(down, row), _words(across, row)): _tile(root, folder, row, longest) for row in rows}
    names, columns = (tuple(dict.fromkeys(place[i] for place in tiles)) for i in (0, 1))
    lines = tuple((name, tuple(tiles.get((name, column)) for column in columns)) for name in names)
    return Tiles(f"Every run; rows: {', '.join(down) or 'one'}.", ("train", "test"), columns, lines)


def _words(names: Sequence[str], row: Row) -> str:
    return ", ".join(
        f"{name} {number(row[name], 6)}" if isinstance(row[name], float) else f"{name} {row[name]}" for name in names
    )


def _tile(root: Path, folder: Path, row: Row, longest: int) -> Tile:
    name, stable, best = row["run_id"], row["test_99_stable"], row["best_test_acc"]
    log = _thinned(root / name)
    lines = tuple(
        tuple((math.log1p(at["step"]) / math.log1p(longest), float(at[key])) for at in log)
        for key in ("train_acc", "test_acc")
    )
    mark = row["status"] if row["status"] != "done" else "–" if stable is None else f"{stable:,}"
    hint = f"{name}: {row['status']}"
    if best is not None and not math.isnan(best):
        hint += f", best test accuracy {percent(best)}"
    is_there = (folder / name / "index.html").is_file()
    return Tile(lines, hint, f"{name}/index.html" if is_there else "#reports", mark)


def _thinned(path: Path) -> list[Row]:
    """At most ``POINTS`` of a run's evaluations, with the first and the last; none where the log cannot be read."""
    try:
        log = evaluations(RunStore(path)) if path.is_dir() else []
    except DataError:  # the sweep's table shows the error
        return []
    return [log[i] for i in sorted({round(j * (len(log) - 1) / (POINTS - 1)) for j in range(POINTS)})] if log else []


def _overlay(root: Path, spec: Spec, rows: list[Row]) -> list[Block]:
    """Test accuracy of all runs in one figure, or why there is none."""
    groups = _groups(spec, rows)
    curves = pd.DataFrame(
        [
            (_words(spec.axes, row) or "all", row["run_id"], at["step"], at["test_acc"])
            for row in rows
            for at in _thinned(root / row["run_id"])
        ],
        columns=["group", "run", "step", "test_acc"],
    ).dropna()
    if curves.empty:
        return [Text("Not shown: no run has logged a test accuracy yet.")]
    shown = list(dict.fromkeys(curves["group"]))
    best = max((row["best_test_acc"] or 0.0, row["run_id"]) for row in rows)
    return [
        Figure(
            fig=overlay_figure(curves),
            heading="Test accuracy of every run",
            takeaway=f"{curves['run'].nunique()} runs in {len(shown)} groups; the best test accuracy is "
            f"{percent(best[0])}, of {best[1]}.",
            how="A line is a run; runs that differ only in the seed share a colour. A click on a name lights it up.",
            source=f"The test accuracies in the runs' logs, at most {POINTS} points of each.",
            alt="Line chart of the test accuracy of every run against step, a colour for each group of settings.",
            links=tuple(Link(i, "group", "trace", np.array([groups.index(name)])) for i, name in enumerate(shown)),
            columns={"trace": "group", "x": "step", "y": "test accuracy"},
        )
    ]


def _crossings(spec: Spec, rows: list[Row]) -> list[Block]:
    """One figure per axis whose values are numbers."""
    reached = [row for row in rows if row["test_99_stable"] is not None]
    axes = [a for a in spec.axes if all(isinstance(r[a], int | float) and not isinstance(r[a], bool) for r in rows)]
    if not reached or not axes:
        return [Text("Not shown: no run reached a stable 99\u00a0% test accuracy, or no axis of the sweep is numeric.")]
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
        heading=f"Step of stable 99\u00a0% test accuracy against {axis}",
        takeaway=f"The median over seeds is earliest at {axis} {number(x, 6)} ({group}): step {step:,.0f}. "
        f"{total - len(reached)} of {total} runs never reach a stable 99\u00a0% and are not drawn.",
        source="The first evaluation from which the test accuracy stays at 99\u00a0% or more until the run's end; "
        "lines connect medians over seeds.",
        alt=f"Step of stable 99\u00a0% test accuracy against {axis}, with one colour per combination of the other "
        "axes.",
    )


def _reports(root: Path, folder: Path, rows: list[Row]) -> str:
    there = sum((folder / row["run_id"] / "index.html").is_file() for row in rows)
    return (
        f"{there} of {len(rows)} runs have a report beside this page; tiles of the other runs link here. "
        f"`python -m interp.report {root} --with-runs` builds the missing reports (less than a minute each); "
        f"`python -m interp.report {root}/RUN --out {folder}/RUN` builds one."
    )


def _table(spec: Spec, frame: pd.DataFrame) -> Table:
    columns = ["run_id", *spec.axes, "seed", *SHOWN] + ["error"] * bool(frame["error"].notna().any())
    shown = frame.loc[:, columns]
    return Table(
        shown,
        "One row per run, as in sweep.parquet; steps count updates, and seconds are those of the run's whole stack.",
    )


def _recognises(path: Path) -> bool:
    """Whether ``path`` is a sweep's directory.

    Raises:
        UsageError: ``path`` is the file that describes a sweep.
    """
    if path.is_file() and path.name == INFO:
        raise UsageError(f"{path} is a part of a sweep: give the sweep's directory, {path.parent}")
    return is_sweep(path)


KIND = Kind("a sweep", _recognises, build, flags=("quiet", "with_runs", "only"))
