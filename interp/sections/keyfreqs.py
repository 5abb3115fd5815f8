"""Stability of the key frequencies: when each became key, and the frequencies that other rules choose."""

from typing import Any

import pandas as pd

from interp.figures.progress import lines_figure
from interp.html.blocks import Block, Figure, Table, Text
from interp.html.numbers import percent
from interp.measures import measure_snapshot
from interp.measures.frequencies import FVE
from interp.parts.keyfreqs import KEY_SHARE, key_freqs_of
from interp.parts.memo import NotApplicable
from interp.runs.run import Run
from interp.story.circuit import STAYS, crossing_times, history_claims, irreps_claim, key_claims
from interp.story.claims import capital, frequencies, said
from interp.story.frequencies import colours_of, line_links
from interp.story.over_training import progress_rows
from interp.story.standing import at, over_run
from interp.story.steps import last_cursor
from interp.story.transition import transition
from interp.story.words import shares_words

FLOOR = 1e-4
"""Smallest share that is drawn."""
N_IRREPS = 8
"""Largest number of irreps drawn: those with the largest share at some snapshot."""
N_LOST = 4
"""Number of frequencies drawn that are not key."""
RULES = {
    "key_freqs": f"ours: at least {percent(KEY_SHARE, 0)} of the centred logits' energy at the last snapshot",
    "key_freqs_nanda": "most of some neuron's variance (Nanda et al., notebook)",
    "key_freqs_nanda_code": "most of some neuron's variance, except the last frequency (Nanda et al., code)",
    "key_freqs_tl_demo": f"more than {percent(FVE, 0)} of some neuron's variance (Grokking_Demo's clusters)",
    "key_freqs_reptheory": "cosine of the logits above 0.005 (Chughtai et al.)",
    "key_freqs_pizza": "strongest in one of 8 principal components of W_E (Zhong et al.)",
}
FIGURES = {"shares": "share of the logits at each key frequency, or at each irrep of a group"}
"""Figures of this section by id: their contents."""
TABLES = {
    "history": "steps at which frequencies became key and stopped being key",
    "rules": "frequencies chosen by each published rule",
}
"""Tables of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """Shares of the logits' energy over training, the steps at which they crossed 1%, and a table of rules."""
    try:
        keys = key_freqs_of(run).ks
    except NotApplicable as reason:
        return _by_irrep(run, str(reason))
    share = progress_rows(run, ("logit_cos",)).assign(value=lambda frame: frame["value"] ** 2)
    when = crossing_times(share, keys)
    caption = (
        f"Frequencies that held at least {percent(KEY_SHARE, 0)} of the logits' energy at some snapshot. A dash: "
        "less than that at the last snapshot."
    )
    listed = when.assign(key=["yes" if is_key else "no" for is_key in when["key"]])
    return [
        Text(said(*key_claims(run))),
        _figure(run, share, keys, when),
        Table(listed, caption, id="history"),
        _rules(run),
    ]


def _figure(run: Run, share: pd.DataFrame, keys: tuple[int, ...], when: pd.DataFrame) -> Figure:
    steps = tuple(run.steps)
    lost = when.loc[when[STAYS].isna() & ~when["key"]].nlargest(N_LOST, "largest share")["k"].tolist()
    names = {k: f"k = {k}" for k in keys} | {k: f"k = {k} (not key)" for k in lost}
    ks = {name: int(k) for k, name in names.items()}
    shown = pd.concat([share[share["k"] == k].assign(frequency=name) for k, name in names.items()])
    fig = lines_figure(
        shown, steps[-1], "frequency", "share of logit energy", is_log=True, band=transition(run),
        level=KEY_SHARE, floor=FLOOR, colours=dict(zip(ks, colours_of(run, names), strict=True)),
    )  # fmt: skip
    wide = share.pivot(index="step", columns="k", values="value")
    texts = []
    for step in steps:
        above = wide.loc[step][wide.loc[step] >= KEY_SHARE].sort_values(ascending=False)
        most = shares_words((int(k), value) for k, value in above.head(8).items())
        carry = f"the frequencies with at least {percent(KEY_SHARE, 0)} of the logits' energy are"
        none = f"no frequency has {percent(KEY_SHARE, 0)} of the logits' energy"
        texts.append(f"{at(run, step)} {f'{carry} {most}' if most else none}.")
    return Figure(
        id="shares",
        fig=fig,
        heading="Share of the logits at each key frequency",
        takeaway=over_run(run, *history_claims(share, steps, keys, when)),
        how="One line a frequency, in its colour; from the dashed line up a frequency counts. Frequencies that came "
        "and went are drawn too, up to four.",
        source="Squared cosine between the logits, centred over c, and cos w(a+b-c), over all pairs; the dashed line "
        f"is the {percent(KEY_SHARE, 0)} from which a frequency is key. Shares below {percent(FLOOR, 2)} are not "
        "drawn.",
        alt=f"Line chart of the share of the logits' energy at {frequencies(keys)} against step.",
        steps=steps,
        tracks=last_cursor(steps, fig),
        texts=tuple(texts),
        links=line_links(fig, ks),
        columns={"trace": "frequency", "x": "step", "y": "share of the logits' energy"},
    )


def _by_irrep(run: Run, reason: str) -> list[Block]:
    """Shares of the logits by irrep, for a group that has no frequencies; else the reason why nothing is shown."""
    share: Any = progress_rows(run, ("irrep_logit_cos",)).assign(value=lambda frame: frame["value"] ** 2)
    if not len(share):
        return [Text(f"Not shown: {reason}.")]
    peaks: Any = share.groupby("irrep", sort=False)["value"].max()
    kept = peaks.nlargest(N_IRREPS).index.tolist()
    shown: Any = share[share["irrep"].isin(kept)].sort_values(["irrep", "step"])
    steps, left = tuple(run.steps), len(peaks) - len(kept)
    fig = lines_figure(shown, steps[-1], "irrep", "share of logit energy", is_log=True, level=KEY_SHARE, floor=FLOOR)
    wide = shown.pivot(index="step", columns="irrep", values="value")
    more = f" {left} irreps with smaller shares are not drawn." if left else ""
    return [
        Text(f"{capital(reason)}; irreps take the place of frequencies."),
        Figure(
            id="shares",
            fig=fig,
            heading="Share of the logits at each irrep",
            takeaway=over_run(run, irreps_claim(run, share)),
            how="One line an irrep, named by its degree and a number; from the dashed line up an irrep counts.",
            source="Squared cosine between the logits, centred over the answers, and the irrep's character of the "
            f"product and the answer, over all pairs; [Chughtai et al. 2023](https://arxiv.org/abs/2302.03025).{more}",
            alt=f"Line chart of the share of the logits' energy in {len(kept)} irreps against step.",
            steps=steps,
            tracks=last_cursor(steps, fig),
            texts=tuple(
                f"{at(run, step)} the irreps hold {shares_words(wide.loc[step].items())} of the logits' energy."
                for step in steps
            ),
            columns={"trace": "irrep", "x": "step", "y": "share of the logits' energy"},
        ),
    ]


def _rules(run: Run) -> Table:
    values = measure_snapshot(run.last, RULES)
    rows = []
    for name, rule in RULES.items():
        value = values[name]
        ks_or_reason = ", ".join(map(str, sorted(value))) if isinstance(value, dict) else value.reason
        rows.append((name, rule, ks_or_reason))
    return Table(
        pd.DataFrame(rows, columns=["measure", "rule", "frequencies"]),
        "Frequencies that each rule chooses at the last snapshot.",
        id="rules",
    )
