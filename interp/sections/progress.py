"""Progress measures over training: what the circuit does before and after the transition."""

import pandas as pd

from ..figures.progress import lines_figure
from ..html import Block, Figure, Table, Text
from ..keyfreqs import key_freqs_of
from ..measures import choose, measure_snapshot
from ..parts import NotApplicable
from ..progress import LOSSES, SHARES, chosen
from ..runs import Run
from ..structure import Unavailable
from .curves import cursor_track
from .overview import crossings

NANDA = "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217)"
CHUGHTAI = "[Chughtai et al. 2023](https://arxiv.org/abs/2302.03025)"


def build(run: Run) -> list[Block]:
    """Losses, shares, excluded loss by key frequency, and all measures at the last snapshot."""
    return [Text(_intro(run)), *_figures(run), *_tables(run)]


def keys_said(run: Run) -> str:
    """Which frequencies are key, and how they were chosen; or why there are none."""
    try:
        keys = key_freqs_of(run)
    except NotApplicable as reason:
        return f"There are no key frequencies: {reason}."
    return f"Key frequencies: k = {', '.join(map(str, keys.ks))} ({keys.origin})."


def transition(run: Run) -> tuple[int, int] | None:
    """Steps of 99% train and test accuracy, where both were reached in this order."""
    cross = crossings(run)
    if cross["train"] is None or cross["test"] is None or cross["test"] <= cross["train"]:
        return None
    return cross["train"], cross["test"]


def _intro(run: Run) -> str:
    text = (
        "Restricted losses leave the model its key frequencies alone: they fall as the circuit forms. Excluded losses "
        f"take them away: on the training rows they rise as memory is given up. {keys_said(run)} They are those of the "
        "run's end, so values at earlier snapshots look ahead."
    )
    band = transition(run)
    if band is None:
        return f"{text} No transition is shaded: 99% train, then 99% test accuracy, was not logged."
    return f"{text} Shaded: from 99% train accuracy (step {band[0]:,}) to 99% test accuracy (step {band[1]:,})."


def _figures(run: Run) -> list[Block]:
    found: list[Block] = []
    losses = chosen(run, LOSSES)
    if len(losses):
        source = (
            f"logit2d: {NANDA}, their trig_loss and excluded_loss_2D; logit3d: their excluded_loss_3D; neuron: "
            "TransformerLens' Grokking_Demo. Rows of each as its name says; no bias correction in excluded losses."
        )
        takeaway = f"{_turn(losses)}{ends(losses, 'restricted_loss_logit2d_all', 'test_loss', 'train_loss')}"
        found.append(_figure(run, losses, "Restricted and excluded losses", "loss (nats)", source, takeaway, True))
    shares = chosen(run, SHARES)
    if len(shares):
        source = (
            f"logit_fve: share of the centred logits along cos w(a+b-c) of the key frequencies, {CHUGHTAI}; "
            f"neuron_fraction_fve85 and Gini coefficients of Fourier norms: {NANDA}."
        )
        takeaway = ends(shares, "logit_fve", "neuron_fraction_fve85", "gini_W_L")
        found.append(_figure(run, shares, "How much of the model is the circuit", "share", source, takeaway, False))
    by_freq = chosen(run, ("excluded_loss_logit2d_train_by_freq",))
    if len(by_freq):
        by_freq = by_freq.assign(measure="without k = " + by_freq["k"].astype(str))
        source = f"The logits' parts at cos and sin of w(a+b) of one key frequency taken out; training rows. {NANDA}."
        last = by_freq[by_freq["step"] == by_freq["step"].max()].set_index("measure")["value"]
        costliest = str(last.idxmax()).removeprefix("without ")
        takeaway = f"At the end the costliest is {costliest}: {last.max():.3g} nats."
        heading = "Excluded loss by key frequency"
        found.append(_figure(run, by_freq, heading, "train loss (nats)", source, takeaway, True))
    return found


def _figure(run: Run, frame: pd.DataFrame, heading: str, unit: str, source: str, takeaway: str, is_log: bool) -> Figure:
    steps, band = tuple(run.steps), transition(run)
    fig = lines_figure(frame, steps[-1], "measure", unit, is_log=is_log, band=band)
    return Figure(
        fig=fig,
        heading=heading,
        takeaway=takeaway,
        source=source,
        alt=f"Line chart of {', '.join(dict.fromkeys(frame['measure']))} against step, step axis logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=len(fig.data) - 1),),  # type: ignore[arg-type]
        texts=step_texts(frame, steps),
    )


def step_texts(frame: pd.DataFrame, steps: tuple[int, ...]) -> tuple[str, ...]:
    """Of columns step, measure, value: one sentence a step, with the values that there are."""
    there = frame.dropna(subset=["value"])
    said = (there["measure"] + " " + there["value"].map("{:.3g}".format)).groupby(there["step"]).agg(", ".join)
    return tuple(f"At step {step:,}: {said.get(step, 'no value')}." for step in steps)


def _turn(losses: pd.DataFrame) -> str:
    """Where the excluded loss is lowest, if it rises after that."""
    excluded = losses.query("measure == 'excluded_loss_logit2d_train'").dropna(subset=["value"])
    if not len(excluded):
        return ""
    lowest, last = excluded.loc[excluded["value"].idxmin()], excluded["value"].iloc[-1]
    if not last > lowest["value"]:
        return ""
    return (
        f"excluded_loss_logit2d_train is lowest at step {int(lowest['step']):,} ({lowest['value']:.3g}) and ends at "
        f"{last:.3g}: the training rows come to need the key frequencies; "
    )


def ends(frame: pd.DataFrame, *names: str) -> str:
    """First and last values of some measures."""
    said = []
    for name in names:
        values = frame.query("measure == @name")["value"].tolist()
        if values:
            said.append(f"{name} goes from {values[0]:.3g} to {values[-1]:.3g}")
    return f"{'; '.join(said)}." if said else "None of the circuit's measures exists for this run."


def _tables(run: Run) -> list[Block]:
    values = measure_snapshot(run.last)
    units = {measure.name: measure.unit for measure in choose(None)}
    numbers = [(name, value, units[name]) for name, value in values.items() if isinstance(value, float)]
    caption = f"Every measure that is one number, at the last snapshot (step {run.last.step:,}); sources: --list."
    found: list[Block] = [Table(pd.DataFrame(numbers, columns=["measure", "value", "unit"]), caption)]
    reasons: dict[str, list[str]] = {}
    for name, value in values.items():
        if isinstance(value, Unavailable):
            reasons.setdefault(value.reason, []).append(name)
    if reasons:
        rows = [(reason, ", ".join(names)) for reason, names in reasons.items()]
        found.append(Table(pd.DataFrame(rows, columns=["reason", "measures"]), "Measures that do not apply here."))
    return found
