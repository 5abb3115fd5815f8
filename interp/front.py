"""The public ``open_run``, and runs with methods for the figures, tables and page of their report.

``interp.runs`` cannot import measures, sections or pages, because all of them import its ``Run``. The methods that need
sections and pages are therefore added here, in a subclass in the top layer; ``open_run`` of this module returns runs of
this subclass, and so do their ranges and copies.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.html.link import Link
from interp.runs import run as reader
from interp.runs.finding import find_run
from interp.runs.steps import as_step
from train.errors import UsageError
from train.hints import nearest
from train.storage.store import RunStore

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from interp.html.blocks import Figure, Table
    from interp.sections import Section


def open_run(name: str | Path, root: str | Path = "checkpoints", key_freqs: Sequence[int] | None = None) -> "Run":
    """Open a run by its directory or by a unique prefix of its name.

    Args:
        name: a run's directory, a prefix of a run's name ("add-p113", "elsewhere/add-p113"), or a folder that holds
            one run.
        root: the folder of runs in which a bare prefix is looked up.
        key_freqs: the frequencies that measures take as key, in cycles; chosen at the last snapshot where None.

    Raises:
        UsageError: there is no such run, there are several, or the directory is not a run.
        DataError: the run's files cannot be read.
    """
    return Run(RunStore.open(find_run(name, root)), key_freqs=key_freqs)


class Run(reader.Run):
    """A run on disk: config, log and snapshots, and the figures, tables and page of its report.

    Iterating over a run gives its snapshots in the order of their steps, and ``len(run)`` is their number.
    ``run[1000]`` is the snapshot at step 1000, ``run.nearest(1000)`` the nearest one, ``run.last`` the last.
    ``run[0:1000]`` is the run restricted to the steps from 0 to 999, as if training had stopped there. A run pickles
    as its path and restrictions, and is opened and verified again when it is loaded.

    Figures and tables are named by section and id, such as "spectra.W_E". Only the section asked for is computed, once
    for each Run object. See ``interp.runs.run.Run`` for the attributes and the reading methods.
    """

    def figures(self) -> dict[str, str]:
        """Contents of the report's figures by name; which of them a run has depends on its task and model."""
        return {f"{s.id}.{id}": contents for s in _sections() for id, contents in s.figures.items()}

    def tables(self) -> dict[str, str]:
        """Contents of the report's tables by name, then definitions of the measures by name."""
        from interp.measures import load

        tables = {f"{s.id}.{id}": contents for s in _sections() for id, contents in s.tables.items()}
        return tables | {measure.name: measure.doc for measure in load().values()}

    def figure(self, name: str, step: int | None = None) -> "go.Figure":
        """A figure of the report as a plotly figure.

        Args:
            name: one of ``figures()``, such as "spectra.W_E".
            step: updates done, as at the report's slider: where the figure lacks the step it shows the nearest of its
                own, and its title says which. None: the step at which the report opens.

        Raises:
            UsageError: an unknown name, a figure that this run does not have (with the reason), or a step for a figure
                that does not change with the step.
        """
        step = None if step is None else as_step(step, f"run.figure({name!r}, step=1000)")
        if step is not None and step < 0:
            raise UsageError(f"a step is 0 or more; got {step}: leave the step out for the end of the run")
        figure: Any = self._block(name, self.figures(), "figure")
        if step is not None and not figure.steps:
            raise UsageError(f"figure {name!r} does not change with the step: leave out step = {step}")
        return figure.framed(step)

    def table(self, name: str) -> "pd.DataFrame":
        """A table of the report, or a measure over training.

        Args:
            name: one of ``tables()``: a report's table such as "overview.numbers", or a measure such as "logit_fve",
                whose frame has the columns step, measure, k, irrep, value and unit: see ``interp.table``.

        Raises:
            UsageError: an unknown name, or a table or measure that this run does not have, with the reason.
        """
        names = self.tables()
        if name not in names or "." in name:
            block: Any = self._block(name, names, "table")
            return block.frame.copy()
        return self._measured(name)

    def report(self, out: str | Path | None = None, only: Sequence[str] = (), quiet: bool = True) -> Link:
        """Build the run's report as ``python -m interp.report`` does; a link to the page shows itself in a notebook.

        Args:
            out: folder of ``index.html``; "reports/<run>" where None.
            only: ids of the sections to build, such as ("curves", "spectra"); all where empty.
            quiet: False names each section on standard error when its turn comes.

        Raises:
            UsageError: an unknown section, a run without snapshots, or a run that is restricted to a range of steps.
            DataError: files of the run cannot be read.
            OSError: the page cannot be written.
        """
        from interp.pages.run import report

        if self.is_restricted:
            raise UsageError(
                f"a report shows a whole run, and this one is restricted: use open_run({str(self.path)!r})"
            )
        return Link(report(self, out, [only] if isinstance(only, str) else only, quiet=quiet))

    def _measured(self, name: str) -> "pd.DataFrame":
        from interp.measures import measure_snapshot, table

        frame = table(self, [name])
        if len(frame) or not self.steps:
            return frame
        raise UsageError(f"{self.name} has no {name}: {measure_snapshot(self.last, [name])[name].reason}")

    def _block(self, name: str, names: dict[str, str], kind: str) -> "Figure | Table":
        """A figure or a table of the report, by name."""
        from interp.html.blocks import Text, by_id

        if name not in names:
            raise UsageError(f"unknown {kind} {name!r}{nearest(str(name), names)}; run.{kind}s() lists them all")
        if not self.steps:
            raise UsageError(f"{self.name} has no snapshots to show: let the run train a little")
        section_id, _, block_id = name.partition(".")
        section = next(section for section in _sections() if section.id == section_id)
        key = ("interp.front", section_id)
        if key not in self.kept:
            self.kept[key] = section.build(self)
        blocks = self.kept[key]
        if block_id in by_id(blocks):
            return by_id(blocks)[block_id]
        reasons = [b.markdown for b in blocks if isinstance(b, Text) and "ot shown" in b.markdown]
        reason = " ".join(reasons) or f"section {section_id} has {', '.join(by_id(blocks)) or 'none'}"
        raise UsageError(f"this run has no {kind} {name!r}: {reason}")


def _sections() -> "list[Section]":
    from interp.sections import SECTIONS

    return SECTIONS
