"""The claims of a page's first screen: what was memorised, what was understood, by which circuit, what was dropped.

Each function has a sentence for every kind of run; where nothing can be said it returns None or an empty list.
"""

from typing import Any

from interp.html.numbers import percent
from interp.parts.keyfreqs import KEY_SHARE, key_freqs_of, key_irreps_of, last_of
from interp.parts.memo import NotApplicable
from interp.parts.rows import has_law
from interp.runs.run import Run
from train.curves import Bracket, bracket, delay_range, first_crossing, stable_crossing

from .claims import Claim, listed
from .outcome import score_claims, unfinished_claim
from .over_training import progress_rows
from .standing import MEMORISED, standing_of
from .transition import LEARNED, brackets, logged
from .verdict import verdict_of

LEAST_NEURONS = 0.02
"""Share of all neurons from which a frequency that lost its neurons is worth a sentence."""
CIRCUITS = {
    "clock": "It computes the answer as a **clock** does: attention multiplies the circles of the two operands",
    "pizza": "It computes the answer the **pizza** way: it adds up the circles of the two operands",
    "mixed": "Its circuit has signs of **both a clock and a pizza**",
    "undecided": "The evidence **does not decide** between a clock and a pizza",
}
NO_CIRCUIT = {
    "memorises": "There is **no circuit to name**: what it knows, it knows by heart.",
    "between": (
        f"There is **no circuit to name yet**: it answers more than it can have memorised, but less than {LEARNED}."
    ),
    "unfitted": "There is **no circuit to name**: it has not learnt the operation.",
    "unknown": "There is **no circuit to name**: this kind of task has no accuracy by which to judge the model.",
}


def opening_claims(run: Run) -> list[Claim]:
    """The sentences of the first screen, in reading order."""
    return [*_learning(run), circuit_claim(run), *dropped_claims(run)]


def _learning(run: Run) -> list[Claim]:
    if run.origin.kind == "imported":
        text = f"**Imported** from `{run.origin.source}`: it was not trained here."
        return [Claim("story.imported", text, {"snapshots": len(run.steps)}), *score_claims(run)]
    if run.evaluations.empty:
        return [Claim("outcome.not_evaluated", "The log holds no evaluations."), *score_claims(run)]
    claims = [memorised_claim(run), understood_claim(run), unfinished_claim(run)]
    return [claim for claim in claims if claim is not None]


def memorised_claim(run: Run) -> Claim | None:
    """When 99 % of the training pairs were answered, and what the model then knew of the others."""
    train, test = logged(run, "train_acc"), logged(run, "test_acc")
    pairs = len(run.task.rows("train")) if run.task.is_train is not None else 0
    if not train or not pairs:
        return None
    crossing, last, chance = brackets(run)["train"], max(train), standing_of(run).chance
    numbers: dict[str, float] = {"pairs": pairs, "chance": chance}
    if crossing is None:
        text = (
            f"Up to step {last:,} the network **has not fitted** its {pairs:,} training pairs: it answers "
            f"{percent(train[last])} of them right (chance: {percent(chance)})."
        )
        return Claim("story.not_fitted", text, numbers | {"step": last, "train_acc": train[last]}, "chance")
    numbers |= {"at": crossing.at} | ({} if crossing.below is None else {"below": crossing.below})
    when, others = crossing, test.get(crossing.at)
    if others is None:
        text = f"It answered {LEARNED} of its {pairs:,} training pairs right {when}."
        return Claim("story.fitted", text, numbers)
    numbers |= {"test_acc": others}
    if others < MEMORISED:
        text = (
            f"It **memorised** its {pairs:,} training pairs {when}: of the pairs that it had never seen it then "
            f"answered {percent(others)} right (chance: {percent(chance)})."
        )
        return Claim("story.memorised", text, numbers, "chance")
    text = (
        f"It did not learn by heart first: when it answered {LEARNED} of its {pairs:,} training pairs right, {when}, "
        f"it also answered {percent(others)} of the pairs that it had never seen."
    )
    return Claim("story.at_once", text, numbers, "chance")


def understood_claim(run: Run) -> Claim | None:
    """When 99 % of the test pairs were answered, and for good; or that they are not."""
    test, found = logged(run, "test_acc"), brackets(run)
    if not test:
        return None
    first, stable, last, chance = found["test"], found["test_stable"], max(test), standing_of(run).chance
    if first is None:
        text = (
            f"By step {last:,} it **has not generalised**: it answers {percent(test[last])} of the pairs that it has "
            f"never seen right (chance: {percent(chance)})."
        )
        return Claim("story.not_understood", text, {"test_acc": test[last], "step": last, "chance": chance}, "chance")
    numbers = {"at": first.at} | ({} if first.below is None else {"below": first.below})
    if stable is None:
        text = (
            f"It answered {LEARNED} of the pairs that it had never seen {first} but **did not keep it**: "
            f"{percent(test[last])} at step {last:,}."
        )
        return Claim("story.not_kept", text, numbers | {"test_acc": test[last], "step": last}, "99 % accuracy")
    text, later = f"It **understood the rule** {stable}", _later(found["train"], stable)
    numbers = {"at": stable.at} | ({} if stable.below is None else {"below": stable.below}) | later
    if later:
        span = f"{later['delay_least']:,} to " if later["delay_least"] else "at most "
        text += f", {span}{later['delay_most']:,} steps later"
    text += f": from then on it answered at least {LEARNED} of the pairs that it had never seen"
    if stable.at != first.at:
        text += f" (for the first time {first})"
        numbers["first"] = first.at
    return Claim("story.understood", f"{text}.", numbers, "99 % accuracy")


def _later(train: Bracket | None, test: Bracket) -> dict[str, int]:
    """Least and most steps from the training to the test crossing; empty unless the test crossing came later."""
    gap = delay_range(train, test)
    return {} if gap is None or gap[0] < 0 else {"delay_least": gap[0], "delay_most": gap[1]}


def circuit_claim(run: Run) -> Claim:
    """The circuit in one sentence, or why there is none to name."""
    verdict = verdict_of(run)
    numbers = {**verdict.standing.numbers, **verdict.scores}
    if verdict.kind == "none":
        return _no_circuit(run, numbers)
    text = CIRCUITS[verdict.kind]
    if verdict.kind == "undecided":
        text += f": {verdict.reason}"
    ks = _keys(run)
    if ks:
        text += f", at the frequenc{'y' if len(ks) == 1 else 'ies'} {listed([str(k) for k in ks])}"
        numbers["frequencies"] = len(ks)
    return Claim(
        f"story.circuit.{verdict.kind}",
        f"{text} ([evidence](#pizza)).",
        numbers,
        "published pizza (Model A) and clock (Model B)",
    )


def _keys(run: Run) -> tuple[int, ...]:
    try:
        return tuple(sorted(key_freqs_of(run).ks))
    except NotApplicable:
        return ()


def _no_circuit(run: Run, numbers: dict[str, float]) -> Claim:
    standing = standing_of(run)
    if not standing.generalises:
        return Claim("story.circuit.none", NO_CIRCUIT[standing.kind], numbers, "99 % accuracy and chance")
    try:
        names = [str(name) for name in key_irreps_of(run)]
    except NotApplicable:
        text = "It cannot be called a clock or a pizza, which are circuits for sums along one cycle."
        return Claim("story.circuit.no_sum", text, numbers)
    text = (
        f"The group has no frequencies; in their place its logits use irrep{'s' * (len(names) > 1)} {listed(names)}, "
        f"with at least {percent(KEY_SHARE, 0)} of their energy each."
    )
    return Claim("story.circuit.irreps", text, numbers | {"irreps": len(names)}, percent(KEY_SHARE, 0))


# ---- what was dropped on the way -------------------------------------------------------------------


def dropped_claims(run: Run) -> list[Claim]:
    """The first frequency or irrep to matter, and the one that lost most; empty for a single snapshot."""
    if len(run.steps) < 2 or not run.origin.knows("step"):
        return []
    is_cyclic = has_law(run)
    share = shares_of_energy(run)
    if not len(share):
        return []
    word = "frequency" if is_cyclic else "irrep"
    first = _first(run, share, word)
    lost = _lost_neurons(run) if is_cyclic else None
    second = lost if lost is not None else _lost_share(run, share, word)
    return [first, *([] if second is None else [second])]


def shares_of_energy(run: Run) -> Any:
    """Share of the logits' energy by frequency, or by irrep, at every snapshot: columns step, name, value."""
    rows = progress_rows(run, ("logit_cos",))
    column = "k" if len(rows) else "irrep"
    rows = rows if len(rows) else progress_rows(run, ("irrep_logit_cos",))
    return rows.assign(value=rows["value"] ** 2, name=rows[column].astype(str))[["step", "name", "value"]]


def _first(run: Run, share: Any, word: str) -> Claim:
    """Which frequency or irrep was the first with 1 % of the logits' energy, and when."""
    least = percent(KEY_SHARE, 0)
    times = {
        str(name): first_crossing(curve["step"].tolist(), curve["value"].tolist(), KEY_SHARE)
        for name, curve in share.groupby("name", sort=False)
    }
    there = {name: step for name, step in times.items() if step is not None}
    if not there:
        top = share.loc[share["value"].idxmax()]
        text = f"No {word} ever carried {least} of the logits' energy; the most was {percent(top['value'])}."
        return Claim("story.no_carrier", text, {"largest": top["value"]}, least)
    step = min(there.values())
    names = [name for name, when in there.items() if when == step]
    numbers = {f"{word} {name}": step for name in names[:3]}
    when = bracket(run.steps, step)
    assert when is not None
    moment = "already at the first snapshot" if when.below is None else when
    if len(names) == 1:
        text = f"{word.capitalize()} {names[0]} was the first to carry {least} of the logits' energy, {moment}."
    elif len(names) <= 3:
        plural = "frequencies" if word == "frequency" else "irreps"
        text = f"{plural.capitalize()} {listed(names)} were the first to carry {least} of the logits' energy, {moment}."
    else:
        plural = "frequencies" if word == "frequency" else "irreps"
        text = f"{len(names)} {plural} were the first to carry {least} of the logits' energy, {moment}."
    return Claim("story.first_carrier", text, numbers, least)


def _lost_neurons(run: Run) -> Claim | None:
    """The frequency that had most neurons of all that lost all of theirs for good; None if none had many."""
    rows = progress_rows(run, ("neuron_clusters",))
    if not len(rows):
        return None
    wide: Any = rows.pivot(index="step", columns="k", values="value").reindex(run.steps).fillna(0.0)
    gone = [k for k in wide.columns if wide[k].iloc[-1] == 0 and wide[k].max() > 0]
    peak = max(gone, key=lambda k: wide[k].max(), default=None)
    if peak is None or wide[peak].max() < LEAST_NEURONS * run.last.model.cfg.d_mlp:
        return None
    since = stable_crossing(wide.index.tolist(), (wide[peak] == 0).astype(float).tolist(), 1.0)
    assert since is not None
    numbers = {"k": int(peak), "neurons": wide[peak].max(), "at": int(wide[peak].idxmax()), "gone": since}
    text = (
        f"Frequency {peak}, which had {int(numbers['neurons']):,} neurons at step {numbers['at']:,}, had lost them all "
        f"by step {since:,}."
    )
    return Claim("story.lost_neurons", text, numbers)


def _lost_share(run: Run, share: Any, word: str) -> Claim | None:
    """The frequency that carried most of all that ended below 1 %, or that there is none; None if none ever had 1 %."""
    least, plural = percent(KEY_SHARE, 0), "frequencies" if word == "frequency" else "irreps"
    peaks: Any = share.loc[share.groupby("name", sort=False)["value"].idxmax()]
    last: Any = share[share["step"] == run.last.step].set_index("name")["value"]
    lost = peaks[(peaks["value"] >= KEY_SHARE) & (peaks["name"].map(last) < KEY_SHARE)]
    if not len(lost):
        if not (peaks["value"] >= KEY_SHARE).any():
            return None
        text = f"No {word} was dropped on the way: all {plural} that ever carried {least} still do at {last_of(run)}."
        return Claim("story.none_dropped", text, {"kept": int((last >= KEY_SHARE).sum())}, least)
    top = lost.loc[lost["value"].idxmax()]
    end = float(last[top["name"]])
    text = (
        f"{word.capitalize()} {top['name']} was dropped on the way: it carried {percent(top['value'])} at step "
        f"{int(top['step']):,} and carries {percent(end)} at the end."
    )
    return Claim("story.lost_share", text, {"largest": top["value"], "at": int(top["step"]), "last": end}, least)
