"""Attention of each head from the answer's position."""

import numpy as np
import torch

from interp.figures.images import images_figure
from interp.html.blocks import Block, Figure, Text
from interp.html.numbers import fixed
from interp.html.tracks import Track
from interp.parts.memo import NotApplicable
from interp.parts.rows import table_of
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from interp.story.answers import table_links
from interp.story.claims import listed
from interp.story.keysteps import image_steps
from interp.story.standing import at, drawn_at, over_run
from interp.story.weights import attention_claim

MAX_HEADS = 8
"""Largest number of heads drawn; in deeper models the heads of the earliest layers are left out."""
FIGURES = {"patterns": "attention from the answer to the first operand, by head"}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """A figure of each head's attention to the first operand; its text gives the mean attention to every position."""
    cfg = run.last.model.cfg
    if cfg.n_heads == 0:
        return [Text("Not shown: an MLP has no attention.")]
    try:
        n = table_of(run).n
    except NotApplicable as reason:
        return [Text(f"Not shown: {reason}.")]
    heads = [(layer, head) for layer in reversed(range(cfg.n_layers)) for head in range(cfg.n_heads)][:MAX_HEADS]
    heads.sort()
    steps = tuple(image_steps(run.evaluations, run.steps, n, len(heads)))
    patterns = [answer_patterns(run[step], heads) for step in steps]
    words, at_a = run.task.shape.words, run.task.operand_position("a")
    to_a = np.stack([[run.task.as_grid(head) for head in pattern[:, :, at_a]] for pattern in patterns])
    titles = [f"head {head}" if cfg.n_layers == 1 else f"layer {layer}, head {head}" for layer, head in heads]
    texts = tuple(_text(run, step, grids, titles) for step, grids in zip(steps, to_a, strict=True))
    left = cfg.n_layers * cfg.n_heads - len(heads)
    notes = f" {left} heads of earlier layers are omitted." if left else ""
    if cfg.attn_rate != 1:
        notes += (
            f" The attention rate is {cfg.attn_rate:g}: each pattern is {cfg.attn_rate:g} times the softmax plus "
            f"{1 - cfg.attn_rate:g} times all ones."
        )
    return [
        Figure(
            id="patterns",
            fig=images_figure([to_a[-1, i] for i in range(len(heads))], titles, "attention to a", shared=(0.0, 1.0)),
            heading="Attention from the answer to the first operand",
            takeaway=over_run(run, attention_claim(run, patterns[-1], words, titles)),
            how="One image a head, one cell a pair: bright where the answer attends to the first operand a rather "
            f"than to b. Stripes mean that the head compares the operands.{notes}",
            source="The pattern (attn.hook_pattern) at the position where the answer is read, for every pair: a "
            "down, b to the right; [Nanda et al. 2023](https://arxiv.org/abs/2301.05217) find it periodic in the key "
            f"frequencies. {drawn_at(len(steps))}",
            alt=f"Images of the attention to the first operand over all pairs, one for each of {len(heads)} heads.",
            steps=steps,
            tracks=tuple(Track(i, "z", to_a[:, i], coarse=True) for i in range(len(heads))),
            texts=texts,
            links=tuple(link for i in range(len(heads)) for link in table_links(i)),
            columns={"trace": "head", "x": "b", "y": "a", "z": "attention to a"},
        )
    ]


def answer_patterns(snap: Snapshot, heads: list[tuple[int, int]]) -> np.ndarray:
    """Attention [heads, rows, n_ctx] from the answer's position to every position."""
    names = {f"blocks.{layer}.attn.hook_pattern" for layer, _ in heads}
    batches: list[dict[str, torch.Tensor]] = []
    with torch.no_grad():
        for tokens in snap.task.tokens.split(4096):
            _, cache = snap.model.run_with_cache(tokens, names_filter=lambda name: name in names)
            answer = snap.task.answer_positions[-1]
            # clone: a view would keep the whole [rows, heads, query, key] pattern of every batch alive
            batches.append({name: cache[name][:, :, answer].clone() for name in names})
    whole = {name: torch.cat([batch[name] for batch in batches]) for name in names}
    return torch.stack([whole[f"blocks.{layer}.attn.hook_pattern"][:, head] for layer, head in heads]).numpy()


def _text(run: Run, step: int, to_a: np.ndarray, titles: list[str]) -> str:
    """The range of the attention to a over all pairs, head by head; ``to_a`` is [heads, n, n]."""
    ranges = [
        f"between {fixed(grid.min())} and {fixed(grid.max())} in {title}"
        for title, grid in zip(titles, to_a, strict=True)
    ]
    return f"{at(run, step)} attention to a lies, over the pairs, {listed(ranges)}."
