"""Claims about key frequencies and about restricted and excluded losses, compared with random frequencies."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from interp.html.numbers import number, percent
from interp.parts.keyfreqs import KEY_SHARE, key_freqs_of, logit_cosines
from interp.parts.memo import NotApplicable
from interp.parts.rows import has_law, law_of
from interp.runs.run import Run
from train.curves import bracket, first_crossing, stable_crossing

from .claims import Claim, capital, changed, frequencies, listed
from .over_training import NULLS, progress_of, progress_rows
from .standing import at_end, standing_of, untrained_step
from .transition import LEARNED, brackets, transition
from .words import shares_words, subject, writer

RESTRICTED, EXCLUDED = NULLS
FIRST_SNAPSHOT = "the first snapshot"
SHARES = ("logit_fve", "neuron_fraction_fve85", "gini_W_L")
"""Measures whose change over training is a sentence."""
LEAST = percent(KEY_SHARE, 0)


def key_claims(run: Run) -> list[Claim]:
    """The key frequencies with the rule that chose them, or why there are none; a caveat if no circuit may use them."""
    try:
        keys = key_freqs_of(run)
    except NotApplicable as reason:
        return [Claim("keys.none", f"There are no key frequencies: {reason}.")]
    share = logit_cosines(run.last).square()
    numbers = {"count": len(keys.ks)} | {f"share k={k}": float(share[k - 1]) for k in keys.ks}
    text = f"Key {frequencies(keys.ks)} ({keys.origin})."
    claims = [Claim("keys.given" if run.given_key_freqs is not None else "keys", text, numbers, LEAST)]
    if run.given_key_freqs is not None:
        return claims
    standing, they = standing_of(run), "It was" if len(keys.ks) == 1 else "They were"
    if not standing.generalises:
        text = (
            f"{they} chosen at the last snapshot, where the model {standing.answers}, and may not belong to any "
            "circuit."
        )
        claims.append(Claim("keys.no_circuit", text, standing.numbers, "99% test accuracy; chance"))
    elif standing.test is None and standing.every is not None:
        text = f"{they} chosen without a test accuracy, because the split is unknown: the model {standing.answers}."
        claims.append(Claim("keys.no_test_accuracy", text, standing.numbers, "chance"))
    return claims


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
    baselines, remark = [], ""
    if len(null):
        numbers |= {"null_mean": null.mean(), "null_min": null.min(), "null_max": null.max(), "draws": len(null)}
        least, most = number(null.min()), number(null.max())
        spread = f"; {least} to {most} in {len(null)} draws" if least != most else ""
        baselines.append(f"{number(null.mean())} for {_other(count)} (drawn at random{spread})")
    elif name == RESTRICTED:
        remark = f" There is no comparison with random frequencies: fewer than {_other(count)} exist."
    if before is not None and before in own:
        numbers["untrained"] = own[before]
        baselines.append(f"{number(own[before])} before any update")
    baselines.append(f"{number(uniform)} for a uniform guess")
    phrase = {
        RESTRICTED: f"If the logits keep only {_these(count)}, the loss over all rows",
        EXCLUDED: f"If the logits lose {_these(count)}, the loss over the training rows",
    }
    text = f"{phrase[name]} is {number(own[last])} nats, compared with {listed(baselines)}.{remark}"
    return Claim(f"progress.{name}", text, numbers, "random frequencies, the untrained snapshot, a uniform guess")


def _these(count: int) -> str:
    return "the key frequency" if count == 1 else f"the {count} key frequencies"


def _other(count: int) -> str:
    return "one other frequency" if count == 1 else f"{count} other frequencies"


def loss_claims(run: Run, losses: pd.DataFrame) -> list[Claim]:
    """Claims about restricted and excluded losses: the excluded loss's turn, if any, and the comparison with nulls."""
    explains = has_law(run) and standing_of(run).generalises
    turn = turn_claim(losses, math.log(law_of(run).n) if explains else None)
    return [claim for claim in (turn, *null_claims(run)) if claim is not None]


def turn_claim(losses: Any, uniform: float | None) -> Claim | None:
    """The minimum of the excluded loss, if the loss rises afterwards; else None.

    Args:
        losses: columns step, measure, value.
        uniform: the loss of a uniform guess, for a model that generalises, else None. If the excluded loss ends at
            least as high, the answers to the training rows too depend on the key frequencies.
    """
    rows = losses.query("measure == @EXCLUDED").dropna(subset=["value"])
    if not len(rows):
        return None
    lowest, last = rows.loc[rows["value"].idxmin()], rows.iloc[-1]
    if not last["value"] > lowest["value"] or number(last["value"]) == number(lowest["value"]):
        return None
    numbers = {"lowest": lowest["value"], "lowest_step": int(lowest["step"]), "last": last["value"]}
    text = (
        f"Without the key frequencies the training loss was lowest ({number(lowest['value'])} nats) at step "
        f"{int(lowest['step']):,} and is {number(last['value'])} nats at the end"
    )
    depends = uniform is not None and last["value"] >= uniform
    meaning = ": by then the model answers even its training rows by way of these frequencies" if depends else ""
    return Claim("progress.excluded_turn", f"{text}{meaning}.", numbers, "its own minimum")


def share_claims(run: Run, shares: pd.DataFrame) -> list[Claim]:
    """How shares and sparsity changed over training."""
    claims = end_claims(run, shares, "progress", SHARES)
    return claims or end_claims(run, shares, "progress", ("train_acc", "test_acc"))


def costliest_claim(run: Run, by_freq: Any) -> Claim | None:
    """The key frequency whose removal raises the training loss most, compared with the loss with nothing removed."""
    last: Any = by_freq[by_freq["step"] == by_freq["step"].max()].dropna(subset=["value"]).set_index("k")["value"]
    own: Any = progress_rows(run, ("train_loss",))
    whole = dict(zip(own["step"].tolist(), own["value"].tolist(), strict=True)).get(run.last.step)
    if not len(last) or whole is None:
        return None
    k, loss = int(last.idxmax()), float(last.max())
    numbers = {"k": k, "loss": loss, "train_loss": whole, "count": len(last)}
    when = at_end(run)
    if len(last) == 1:
        text = f"{when} the training loss is {number(loss)} nats without the key frequency, {number(whole)} with it."
    else:
        text = (
            f"{when} removing frequency {k} raises the training loss most: from {number(whole)} to {number(loss)} nats."
        )
        if not loss > whole:
            text = f"{when} removing one key frequency never raises the training loss ({number(whole)} nats)."
    return Claim("progress.costliest", text, numbers, "the training loss with nothing removed")


def end_claims(run: Run, frame: pd.DataFrame, where: str, names: Sequence[str]) -> list[Claim]:
    """First and last values of measures (columns step, measure, value), in words."""
    claims = []
    for name in names:
        rows: Any = frame.query("measure == @name")
        steps, values = rows["step"].tolist(), rows["value"].tolist()
        unit = rows["unit"].iloc[0] if len(rows) and "unit" in rows else ""
        form = writer(name, unit)
        claims.append(changed(f"{where}.{name}", subject(name), steps, values, form, FIRST_SNAPSHOT, knows_step(run)))
    return [claim for claim in claims if claim is not None]


def band_claim(run: Run) -> Claim | None:
    """The evaluations that bound the shaded transition, or that there is none; None for a single snapshot."""
    band, at_99 = transition(run), brackets(run)
    if len(run.steps) < 2:
        return None
    if band is None:
        text = f"No transition is shaded: in the log, test accuracy does not reach {LEARNED} after train accuracy does."
        return Claim("progress.no_transition", text)
    text = (
        f"The shaded band runs from {LEARNED} train accuracy ({at_99['train']}) to {LEARNED} test accuracy "
        f"({at_99['test']})."
    )
    return Claim("progress.transition", text, {"train": band[0], "test": band[1]})


def knows_step(run: Run) -> bool:
    """Whether the run's step numbers are known; some imports do not record them."""
    return run.origin.knows("step")


# ---- when frequencies became key -------------------------------------------------------------------

FIRST, STAYS = f"first step above {LEAST}", f"above {LEAST} for good from step"


def crossing_times(share: pd.DataFrame, keys: tuple[int, ...]) -> pd.DataFrame:
    """When each frequency's share rose above 1%: key frequencies and all that were above 1% at some snapshot.

    Returns:
        Columns k, key, share at the end, largest share, ``FIRST``, ``STAYS``, sorted by the share at the end.
    """
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

    Each time is an interval between neighbouring snapshots. For a single snapshot the claim gives the shares alone.
    """
    if len(steps) < 2:
        values = share.set_index("k")["value"]
        text = f"Shares of the logits' energy: {shares_words((k, values[k]) for k in keys)}."
        return [Claim("keyfreqs.share", text, {f"k={k}": values[k] for k in keys}, "1%")]
    stays = {k: int(step) for k, step in zip(when["k"], when[STAYS], strict=True) if k in keys and pd.notna(step)}
    rises = {k: bracket(steps, stays[k]) for k in sorted(stays, key=lambda k: stays[k])}
    claims, always = [], [k for k, step in stays.items() if step == steps[0]]
    if always:
        holds = "holds" if len(always) == 1 else "each hold"
        text = f"{capital(frequencies(always))} {holds} at least {LEAST} of the logits' energy at every snapshot."
        claims.append(Claim("keyfreqs.always", text, {f"k={k}": stays[k] for k in always}, LEAST))
    later = {k: interval for k, interval in rises.items() if k not in always}
    if later:
        together: dict[str, list[int]] = {}
        for k, interval in later.items():
            together.setdefault(str(interval), []).append(k)
        each = "; ".join(f"{frequencies(sorted(ks))} {interval}" for interval, ks in together.items())
        text = f"Key frequencies rose above {LEAST} of the logits' energy for good: {each}."
        claims.append(Claim("keyfreqs.came", text, {f"k={k}": stays[k] for k in later}, LEAST))
    claims.append(_settled(share, steps, keys))
    lost = when.loc[when[STAYS].isna() & (when["largest share"] >= KEY_SHARE), ["k", "largest share"]]
    if len(lost):
        text = f"{capital(frequencies(lost['k'].tolist()))} rose above {LEAST} for a while but ended below."
        numbers = {f"k={k}": value for k, value in lost.itertuples(index=False)}
        claims.append(Claim("keyfreqs.lost", text, numbers, LEAST))
    return claims


def irreps_claim(run: Run, share: Any) -> Claim:
    """The irreps with at least 1 % of the logits' energy at the last snapshot. Columns step, irrep, value."""
    last = share[share["step"] == run.last.step].set_index("irrep")["value"].sort_values(ascending=False)
    above = last[last >= KEY_SHARE]
    if not len(above):
        text = f"{at_end(run)} no irrep holds {LEAST} of the logits' energy; the most is {percent(last.iloc[0])}."
        return Claim("keyfreqs.no_irrep", text, {"largest": last.iloc[0]}, LEAST)
    text = f"{at_end(run)} {len(above)} of {len(last)} irreps hold at least {LEAST} of the logits' energy each: "
    numbers = {f"irrep {name}": value for name, value in above.items()}
    return Claim("keyfreqs.irreps", f"{text}{shares_words(above.head(6).items())}.", numbers, LEAST)


def _settled(share: pd.DataFrame, steps: Sequence[int], keys: tuple[int, ...]) -> Claim:
    """The step from which the frequencies above 1% are the final ones."""
    first, stable = settled(share, steps, keys)
    if stable is None:
        return Claim(
            "keyfreqs.given",
            f"The frequencies above {LEAST} at the last snapshot differ from the key ones, which were given.",
        )
    if stable == steps[0]:
        text = f"The frequencies above {LEAST} are the same at every snapshot."
        return Claim("keyfreqs.settled", text, {"stable": stable})
    interval = bracket(steps, stable)
    text = f"The set of frequencies above {LEAST} became the final one {interval}"
    numbers = {"stable": stable}
    if first is not None and first < stable:
        text += f" (it had the same members at step {first:,}, but not for good)"
        numbers["first"] = first
    return Claim("keyfreqs.settled", f"{text}.", numbers, LEAST)
