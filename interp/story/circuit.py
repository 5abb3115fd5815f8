"""Claims about key frequencies and about restricted and excluded losses, beside a null of random frequencies."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from interp.parts.keyfreqs import KEY_SHARE, key_freqs_of, logit_cosines
from interp.parts.memo import NotApplicable
from interp.parts.rows import has_law, law_of
from interp.runs.run import Run
from train.curves import bracket, first_crossing, stable_crossing

from .claims import Claim, changed, frequencies
from .over_training import NULLS, chosen, progress_of
from .standing import at, standing_of, untrained_step
from .transition import brackets, transition

RESTRICTED, EXCLUDED = NULLS
SHARE_NAMES = {
    "logit_fve": "The share of the logits' energy at the key frequencies",
    "neuron_fraction_fve85": "The share of neurons with one frequency",
    "gini_W_L": "The Gini coefficient of the neuron-logit map's Fourier norms",
}


def key_claims(run: Run) -> list[Claim]:
    """The key frequencies and how they were chosen, or why there are none; and whether they may be no circuit's."""
    try:
        keys = key_freqs_of(run)
    except NotApplicable as reason:
        return [Claim("keys.none", f"There are no key frequencies: {reason}.")]
    share = logit_cosines(run.last).square()
    numbers = {"count": len(keys.ks)} | {f"share k={k}": float(share[k - 1]) for k in keys.ks}
    text = f"Key frequencies: k = {', '.join(map(str, keys.ks))} ({keys.origin})."
    found = [Claim("keys.given" if run.given_key_freqs is not None else "keys", text, numbers, f"{KEY_SHARE:.0%}")]
    if run.given_key_freqs is not None:
        return found
    standing, subject = standing_of(run), "It was" if len(keys.ks) == 1 else "They were"
    if not standing.generalises:
        text = (
            f"{subject} chosen at the last snapshot of a run whose model {standing.answers}: such frequencies need not "
            "be a circuit's."
        )
        found.append(Claim("keys.no_circuit", text, standing.numbers, "99% test accuracy; chance"))
    elif standing.test is None and standing.every is not None:
        text = f"{subject} chosen without a test accuracy, as the split is unknown: the model {standing.answers}."
        found.append(Claim("keys.no_test_accuracy", text, standing.numbers, "chance"))
    return found


# ---- restricted and excluded losses ----------------------------------------------------------------


def null_claims(run: Run) -> list[Claim]:
    """Restricted and excluded loss at the last snapshot, beside random frequencies and the untrained snapshot."""
    return [claim for claim in (_against_null(run, name) for name in NULLS) if claim is not None]


def _against_null(run: Run, name: str) -> Claim | None:
    progress, last, before = progress_of(run), run.last.step, untrained_step(run)
    rows: Any = progress.frame.query("measure == @name").dropna(subset=["value"])
    own = dict(zip(rows["step"].tolist(), rows["value"].tolist(), strict=True))
    if last not in own:
        return None
    null: Any = progress.nulls.query("measure == @name and step == @last")["value"]
    count, uniform = len(key_freqs_of(run).ks), math.log(law_of(run).n)
    numbers = {"last": own[last], "uniform": uniform}
    beside = []
    if len(null):
        numbers |= {"null_mean": null.mean(), "null_min": null.min(), "null_max": null.max(), "draws": len(null)}
        spread = f", {null.min():.3g} to {null.max():.3g} in {len(null)} draws" if len(null) > 1 else ""
        beside.append(f"{null.mean():.3g} for {_other(count)} drawn at random{spread}")
    elif name == RESTRICTED:
        beside.append(f"no null: fewer than {_other(count)} to draw from")
    if before is not None and before in own:
        numbers["untrained"] = own[before]
        beside.append(f"{own[before]:.3g} before any update")
    beside.append(f"{uniform:.3g} for a uniform guess")
    what = {
        RESTRICTED: f"With {_these(count)} alone the loss over all rows is {own[last]:.3g} nats",
        EXCLUDED: f"Without {_these(count)} the loss over the training rows is {own[last]:.3g} nats",
    }
    text = f"{what[name]} ({'; '.join(beside)})."
    return Claim(f"progress.{name}", text, numbers, "random frequencies, the untrained snapshot, a uniform guess")


def _these(count: int) -> str:
    return "the key frequency" if count == 1 else f"the {count} key frequencies"


def _other(count: int) -> str:
    return "one other frequency" if count == 1 else f"{count} other frequencies"


def loss_claims(run: Run, losses: pd.DataFrame) -> list[Claim]:
    """Claims about restricted and excluded losses: the turn, if there is one, and the nulls."""
    explains = has_law(run) and standing_of(run).generalises
    turn = turn_claim(losses, math.log(law_of(run).n) if explains else None)
    return [claim for claim in (turn, *null_claims(run)) if claim is not None]


def turn_claim(losses: Any, uniform: float | None) -> Claim | None:
    """Where the excluded loss was lowest, if it rises after that.

    ``uniform`` is the loss of a uniform guess, for a model that generalises: where the excluded loss ends no lower, its
    training rows too depend on the key frequencies.
    """
    rows = losses.query("measure == @EXCLUDED").dropna(subset=["value"])
    if not len(rows):
        return None
    lowest, last = rows.loc[rows["value"].idxmin()], rows.iloc[-1]
    if not last["value"] > lowest["value"] or f"{last['value']:.3g}" == f"{lowest['value']:.3g}":
        return None
    numbers = {"lowest": lowest["value"], "lowest_step": int(lowest["step"]), "last": last["value"]}
    text = (
        f"Without the key frequencies the training loss was lowest ({lowest['value']:.3g} nats) at step "
        f"{int(lowest['step']):,} and is {last['value']:.3g} nats at the end"
    )
    depends = uniform is not None and last["value"] >= uniform
    meaning = ": by then the model answers even its training rows by way of these frequencies" if depends else ""
    return Claim("progress.excluded_turn", f"{text}{meaning}.", numbers, "its own minimum")


def share_claims(run: Run, shares: pd.DataFrame) -> list[Claim]:
    """How shares and sparsity changed over training."""
    found = []
    for name, what in SHARE_NAMES.items():
        rows = shares.query("measure == @name")
        steps, values = rows["step"].tolist(), rows["value"].tolist()
        form = ".2f" if name.startswith("gini") else ".1%"
        found.append(changed(f"progress.{name}", what, steps, values, form, "the first snapshot", knows_step(run)))
    if not any(found):
        return end_claims(run, shares, "progress", ("train_acc", "test_acc"))
    return [claim for claim in found if claim is not None]


def costliest_claim(run: Run, by_freq: Any) -> Claim | None:
    """The key frequency whose removal costs the training rows most, beside the loss with nothing removed."""
    last: Any = by_freq[by_freq["step"] == by_freq["step"].max()].dropna(subset=["value"]).set_index("k")["value"]
    losses: Any = chosen(run, ("train_loss",))
    whole = dict(zip(losses["step"].tolist(), losses["value"].tolist(), strict=True)).get(run.last.step)
    if not len(last) or whole is None:
        return None
    k, loss = int(last.idxmax()), float(last.max())
    numbers = {"k": k, "loss": loss, "train_loss": whole, "count": len(last)}
    when = at(run, run.last.step)
    if len(last) == 1:
        text = f"{when} the training loss without the one key frequency is {loss:.3g} nats (as it is: {whole:.3g})."
    else:
        text = f"{when} removing k = {k} raises the training loss most, to {loss:.3g} nats (as it is: {whole:.3g})."
        if not loss > whole:
            text = f"{when} removing one key frequency never raises the training loss ({whole:.3g} nats)."
    return Claim("progress.costliest", text, numbers, "the training loss with nothing removed")


def end_claims(run: Run, frame: pd.DataFrame, where: str, names: Sequence[str]) -> list[Claim]:
    """First and last values of measures (columns step, measure, value), under the measures' names."""
    found = []
    for name in names:
        rows = frame.query("measure == @name")
        steps, values = rows["step"].tolist(), rows["value"].tolist()
        what = name.replace("_acc", " accuracy").replace("_", " ").capitalize()
        unit, form = " nats" if name.endswith("loss") else "", ".1%" if name.endswith("acc") else ".3g"
        found.append(changed(f"{where}.{name}", what, steps, values, form, "the first snapshot", knows_step(run), unit))
    return [claim for claim in found if claim is not None]


def band_claim(run: Run) -> Claim | None:
    """The evaluations between which the transition is shaded, or that none is; None for a single snapshot."""
    band, at_99 = transition(run), brackets(run)
    if len(run.steps) < 2:
        return None
    if band is None:
        text = "No transition is shaded: the log does not show 99% train accuracy and then 99% test accuracy."
        return Claim("progress.no_transition", text)
    text = f"Shaded: from 99% train accuracy ({at_99['train']}) to 99% test accuracy ({at_99['test']})."
    return Claim("progress.transition", text, {"train": band[0], "test": band[1]})


def knows_step(run: Run) -> bool:
    """Whether the numbers of updates are known."""
    return run.origin.knows("step")


# ---- when key frequencies came ---------------------------------------------------------------------

FIRST, STAYS = "first snapshot above 1%", "stays above from snapshot"


def crossing_times(share: pd.DataFrame, keys: tuple[int, ...]) -> pd.DataFrame:
    """Key frequencies, and others that were above 1% at some snapshot, sorted by their share at the last one."""
    rows = []
    for k, curve in share.groupby("k"):
        number, steps, values = int(str(k)), curve["step"].tolist(), curve["value"].tolist()
        first = first_crossing(steps, values, KEY_SHARE)
        if number in keys or first is not None:
            stays = stable_crossing(steps, values, KEY_SHARE)
            rows.append((number, number in keys, values[-1], max(values), first, stays))
    columns = ["k", "key", "share at the end", "largest share", FIRST, STAYS]
    frame = pd.DataFrame(rows, columns=columns).sort_values("share at the end", ascending=False)
    return frame.astype({FIRST: "Int64", STAYS: "Int64"})


def settled(share: pd.DataFrame, steps: Sequence[int], keys: tuple[int, ...]) -> tuple[int | None, int | None]:
    """First step at which the frequencies above 1% are exactly ``keys``, and the first from which they stay so."""
    above = share[share["value"] >= KEY_SHARE].groupby("step")["k"].agg(set).reindex(list(steps))
    same = [float(isinstance(ks, set) and {int(k) for k in ks} == set(keys)) for ks in above]
    return first_crossing(steps, same, 1.0), stable_crossing(steps, same, 1.0)


def history_claims(share: Any, steps: Sequence[int], keys: tuple[int, ...], when: Any) -> list[Claim]:
    """When each key frequency rose above 1% for good, when the set became final, and which frequencies came and went.

    Steps are known up to the distance between snapshots; one snapshot has no history.
    """
    if len(steps) < 2:
        values = share.set_index("k")["value"]
        text = ", ".join(f"k = {k} ({values[k]:.1%})" for k in keys)
        return [Claim("keyfreqs.share", f"Shares of the logits: {text}.", {f"k={k}": values[k] for k in keys}, "1%")]
    stays = {k: int(step) for k, step in zip(when["k"], when[STAYS], strict=True) if k in keys and pd.notna(step)}
    came = {k: bracket(steps, stays[k]) for k in sorted(stays, key=lambda k: stays[k])}
    found, always = [], [k for k, step in stays.items() if step == steps[0]]
    if always:
        text = f"Above {KEY_SHARE:.0%} at every snapshot: {frequencies(always)}."
        found.append(Claim("keyfreqs.always", text, {f"k={k}": stays[k] for k in always}, f"{KEY_SHARE:.0%}"))
    later = {k: where for k, where in came.items() if k not in always}
    if later:
        each = ", ".join(f"k = {k} {where}" for k, where in later.items())
        text = f"Rose above {KEY_SHARE:.0%} for good: {each}."
        found.append(Claim("keyfreqs.came", text, {f"k={k}": stays[k] for k in later}, f"{KEY_SHARE:.0%}"))
    found.append(_settled(share, steps, keys))
    lost = when.loc[when[STAYS].isna() & (when["largest share"] >= KEY_SHARE), ["k", "largest share"]]
    if len(lost):
        text = f"Above {KEY_SHARE:.0%} for a while and not at the end: {frequencies(lost['k'].tolist())}."
        numbers = {f"k={k}": value for k, value in lost.itertuples(index=False)}
        found.append(Claim("keyfreqs.lost", text, numbers, f"{KEY_SHARE:.0%}"))
    return found


def _settled(share: pd.DataFrame, steps: Sequence[int], keys: tuple[int, ...]) -> Claim:
    """The step from which the frequencies above 1% are the final ones."""
    first, stable = settled(share, steps, keys)
    if stable is None:
        return Claim(
            "keyfreqs.given",
            f"The frequencies above {KEY_SHARE:.0%} at the last snapshot are not the key ones, which were given.",
        )
    if stable == steps[0]:
        text = f"The frequencies above {KEY_SHARE:.0%} are the same at every snapshot."
        return Claim("keyfreqs.settled", text, {"stable": stable})
    where = bracket(steps, stable)
    text = f"The set of frequencies above {KEY_SHARE:.0%} became the final one {where}"
    numbers = {"stable": stable}
    if first is not None and first < stable:
        text += f" (it was the same for a while at step {first:,})"
        numbers["first"] = first
    return Claim("keyfreqs.settled", f"{text}.", numbers, f"{KEY_SHARE:.0%}")
