"""A run's stages: a step at which the model had memorised, one on the way, and one at which it understood."""

from dataclasses import dataclass

from interp.parts.memo import part
from interp.runs.run import Run

from .claims import Claim, listed
from .standing import MEMORISED, at, memorising_step, standing_of
from .transition import logged, transition

NAMES = ("memorised", "on the way", "understood")
"""Names of the stages, in their order."""
LAST = {
    "generalises": "understood",
    "memorises": "memorised",
    "between": "on the way",
    "unfitted": "not learnt",
    "unknown": "at the end",
}
"""Name of the last snapshot's stage, by the kind of its ``Standing``."""


@dataclass(frozen=True)
class Stage:
    """A snapshot that stands for a stage of the run."""

    name: str
    step: int
    when: str
    """The step in words: "At step 10", or "At the imported snapshot"."""


@part
def stages_of(run: Run) -> tuple[Stage, ...]:
    """At most three stages in the order of their steps; the last snapshot is always one.

    "memorised" is the first snapshot with 99% of the training rows right and less than half of the test rows;
    "understood" the last snapshot, if it has 99% of the test rows right; "on the way" the snapshot between these two
    whose test accuracy is nearest to one half. A last snapshot that has not understood is named by what it does.
    """
    last = run.steps[-1]
    name = LAST[standing_of(run).kind]
    memorised = memorising_step(run)
    found = {last: name}
    if memorised is not None and memorised < last and name in ("understood", "on the way"):
        found = {memorised: "memorised"} | found
        middle = _on_the_way(run, memorised)
        if middle is not None and name == "understood":
            found[middle] = "on the way"
    return tuple(Stage(found[step], step, at(run, step)) for step in sorted(found))


def _on_the_way(run: Run, memorised: int) -> int | None:
    """The snapshot after ``memorised`` and before the test rows were learnt whose test accuracy is nearest to 1/2."""
    between = transition(run)
    if between is None:
        return None
    accuracy = logged(run, "test_acc")
    steps = [step for step in run.steps if memorised < step < between[1] and step in accuracy]
    return min(steps, key=lambda step: abs(accuracy[step] - MEMORISED), default=None)


def stages_claim(run: Run, shown: tuple[Stage, ...], stages: tuple[Stage, ...]) -> Claim:
    """Which steps are shown for which stage, which stages the run does not have, and which are left out.

    Args:
        run: the run.
        shown: the stages whose weights are in the page.
        stages: all stages of the run.
    """
    knows = run.origin.knows("step")
    each = [f"{stage.name} ({f'step {stage.step:,}' if knows else 'the imported snapshot'})" for stage in shown]
    missing = [name for name in NAMES if name not in [stage.name for stage in stages]]
    text = f"Shown: {listed(each)}."
    if missing:
        text += f" The run has no snapshot that shows it {listed(missing).replace(' and ', ' or ')}."
    if len(shown) < len(stages):
        left_out = listed([stage.name for stage in stages if stage not in shown])
        text += f" Left out, because the weights would make the page too large: {left_out}."
    return Claim("whatif.stages", text, {stage.name: stage.step for stage in shown})
