"""When each key frequency came to dominate, and what other rules would choose."""

import pandas as pd

from train.curves import first_crossing, stable_crossing

from ..figures.progress import lines_figure
from ..html import Block, Figure, Table, Text
from ..keyfreqs import KEY_SHARE, key_freqs_of
from ..measures import measure_snapshot
from ..parts import NotApplicable
from ..progress import chosen
from ..runs import Run
from .curves import last_cursor
from .progress import keys_said, transition

FIRST, STAYS = "first step above 1%", "stays above from step"
FLOOR = 1e-4
"""Smallest share that is drawn."""
N_LOST = 4
"""Frequencies drawn that are not key."""
RULES = {
    "key_freqs": "ours: 1% of the centred logits' energy at the end",
    "key_freqs_nanda": "most of some neuron's variance (Nanda et al., notebook)",
    "key_freqs_nanda_code": "the same without the last frequency (their code)",
    "key_freqs_tl_demo": "more than 85% of some neuron's variance (Grokking_Demo's clusters)",
    "key_freqs_reptheory": "cosine of the logits above 0.005 (Chughtai et al.)",
    "key_freqs_pizza": "strongest in one of 8 principal components of W_E (Zhong et al.)",
}


def build(run: Run) -> list[Block]:
    """Shares of the logits over training, when each crossed 1%, and the rules side by side."""
    try:
        keys = key_freqs_of(run).ks
    except NotApplicable as reason:
        return [Text(f"Not shown: {reason}.")]
    share = chosen(run, ("logit_cos",)).assign(value=lambda frame: frame["value"] ** 2)
    when = crossing_times(share, keys)
    caption = f"Frequencies that held at least {KEY_SHARE:.0%} of the logits at some snapshot; a dash: not to the end."
    listed = when.assign(key=["yes" if is_key else "no" for is_key in when["key"]])
    return [Text(keys_said(run)), _figure(run, share, keys, when), Table(listed, caption), _rules(run)]


def _figure(run: Run, share: pd.DataFrame, keys: tuple[int, ...], when: pd.DataFrame) -> Figure:
    steps = tuple(run.steps)
    lost = when.loc[when[STAYS].isna() & ~when["key"]].nlargest(N_LOST, "largest share")["k"].tolist()
    names = {k: f"k = {k}" for k in keys} | {k: f"k = {k} (not key)" for k in lost}
    shown = pd.concat([share[share["k"] == k].assign(frequency=name) for k, name in names.items()])
    fig = lines_figure(
        shown, steps[-1], "frequency", "share of logit energy", is_log=True, band=transition(run),
        level=KEY_SHARE, floor=FLOOR,
    )  # fmt: skip
    wide = share.pivot(index="step", columns="k", values="value")
    texts = []
    for step in steps:
        above = wide.loc[step][wide.loc[step] >= KEY_SHARE].sort_values(ascending=False)
        named = ", ".join(f"k = {k} ({value:.1%})" for k, value in above.head(8).items()) or "none"
        texts.append(f"At step {step:,} above {KEY_SHARE:.0%}: {named}.")
    return Figure(
        fig=fig,
        heading="Share of the logits at each key frequency",
        takeaway=_takeaway(share, steps, keys, when),
        source="Squared cosine between the logits, centred over c, and cos w(a+b-c), over all pairs; the dashed line "
        f"is the {KEY_SHARE:.0%} from which a frequency is key. Shares below {FLOOR:g} are not drawn.",
        alt=f"Line chart of the share of logit energy of k = {', '.join(map(str, keys))} against step.",
        steps=steps,
        tracks=last_cursor(steps, fig),
        texts=tuple(texts),
    )


def _takeaway(share: pd.DataFrame, steps: tuple[int, ...], keys: tuple[int, ...], when: pd.DataFrame) -> str:
    """When each came, when the set was first and for good the final one, and what was lost."""
    stays = {k: step for k, step in zip(when["k"], when[STAYS], strict=True) if k in keys and pd.notna(step)}
    came = ", ".join(f"k = {k} from step {stays[k]:,}" for k in sorted(stays, key=lambda k: stays[k]))
    said = [f"Above {KEY_SHARE:.0%} to the end: {came}."] if came else []
    first, stable = settled(share, steps, keys)
    if stable is None:
        said.append(f"The frequencies above {KEY_SHARE:.0%} at the end are not the key ones: they were given.")
    else:
        early = f" (so they were, for a while, at step {first:,})" if first is not None and first < stable else ""
        said.append(f"From step {stable:,} on, the frequencies above {KEY_SHARE:.0%} are the final ones{early}.")
    lost = when.loc[when[STAYS].isna() & (when["largest share"] >= KEY_SHARE), "k"].tolist()
    return " ".join(said + ([f"Lost again: k = {', '.join(map(str, lost))}."] if lost else []))


def settled(share: pd.DataFrame, steps: tuple[int, ...], keys: tuple[int, ...]) -> tuple[int | None, int | None]:
    """First step at which the frequencies above 1% are exactly ``keys``, and the first from which they stay so."""
    above = share[share["value"] >= KEY_SHARE].groupby("step")["k"].agg(set).reindex(list(steps))
    same = [float(isinstance(ks, set) and {int(k) for k in ks} == set(keys)) for ks in above]
    return first_crossing(steps, same, 1.0), stable_crossing(steps, same, 1.0)


def crossing_times(share: pd.DataFrame, keys: tuple[int, ...]) -> pd.DataFrame:
    """Key frequencies, and others that were above 1% once, the largest at the end first."""
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


def _rules(run: Run) -> Table:
    values = measure_snapshot(run.last, RULES)
    rows = []
    for name, what in RULES.items():
        value = values[name]
        chosen_ks = ", ".join(map(str, sorted(value))) if isinstance(value, dict) else value.reason
        rows.append((name, what, chosen_ks))
    return Table(pd.DataFrame(rows, columns=["measure", "rule", "frequencies"]), "Rules in use, at the last snapshot.")
