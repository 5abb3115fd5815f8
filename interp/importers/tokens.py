"""The tokens of a row: the numbers of the marks ("=", the operator, "eos"), and their positions.

A row is written as the model reads it, with a and b for the operands and numbers for the marks: "a b 113" is our layout
"a b =", "a 114 b 113" is "a op b =". Weights do not record the row. Where the layout's convention does not fix it
either, every row that fits the shapes is tried on the last snapshot, and the one with the clearly lowest loss is taken.
"""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from train.errors import DataError, UsageError
from train.model import build_model
from train.passes.loss import cross_entropy
from train.tasks.task import Task, all_pairs_task

from .check import check
from .common import Imported, checked
from .unwrapping import Weights, converted

PATTERNS = {"a b": "a b", "a b .": "a b =", "a . b": "a op b", "a . b .": "a op b =", ". a . b .": "eos a op b ="}
"""Our layouts by the positions of the marks, which are written as dots."""
CONVENTION = ("a b", "a b =")
"""Layouts that are assumed unless the losses contradict them."""
FACTOR, ERRORS = 2.0, 5.0
"""A row is clearly the best if its mean loss is at most 1/FACTOR of any other row's, lower by at least ERRORS standard
errors of the difference, and below log n, the loss of a uniform guess. A wrong order of marks has been seen to reach
99.75% accuracy, but never such a low loss."""
MAX_TRIED = 24
"""Largest number of token rows that are tried."""
MAX_ROWS = 4096
"""Most rows of the task, evenly spread, over which losses are compared."""


@dataclass(frozen=True)
class Row:
    """A row of tokens."""

    text: str
    """The row with numbers for marks, such as "a 114 b 113"."""
    layout: str
    """Our name of the layout, such as "a op b ="."""
    marks: tuple[int, ...]
    """Numbers of the marks in the file, in our order: "=", the operator, "eos"."""


def settle_tokens(imported: Imported, tokens: str | None) -> Imported:
    """The model with its tokens in our order, and a note on the chosen row.

    Args:
        imported: the model as its layout's reader gives it.
        tokens: the row from a flag; None: the layout's convention, or the losses, decide.

    Raises:
        UsageError: losses do not decide between rows (the message names the flag), or the flag does not fit.
        DataError: no row fits the numbers of tokens and positions.
    """
    task: Any = checked(imported.config).task
    first = next(iter(imported.snapshots.values()))
    d_vocab, n_elements = first["embed.W_E"].shape[0], task.n_elements * (1 if task.shared_vocabulary else 2)
    n_ctx = first["pos_embed.W_pos"].shape[0] if "pos_embed.W_pos" in first else len(task.layout.split())
    if tokens is not None:
        if imported.config["model"]["arch"] == "mlp" or imported.knows_tokens and len(task.marks) > 1:
            raise UsageError("--tokens: this layout fixes the tokens of a row; leave --tokens out")
        row = parse_row(tokens, n_ctx, n_elements, d_vocab)
        return _applied(imported, row, n_elements, f"rows are read as {row.text!r} ({row.layout}), as --tokens says")
    if imported.config["model"]["arch"] == "mlp" or imported.knows_tokens and len(task.marks) != 1:
        return imported
    rows = fitting_rows(n_ctx, n_elements, d_vocab)
    if not rows:
        raise DataError(f"embed.W_E has {d_vocab} tokens and rows have {n_ctx}: no row of {n_elements} elements fits")
    if len(rows) == 1:
        return _applied(imported, rows[0], n_elements, None)
    return _tried(imported, rows, n_elements)


def parse_row(text: str, n_ctx: int, n_elements: int, d_vocab: int) -> Row:
    """The row of the flag --tokens.

    Raises:
        UsageError: the text is no row, or the row does not fit the model.
    """
    words = text.split()
    pattern = " ".join(word if word in ("a", "b") else "." for word in words)
    numbers = [word for word in words if word not in ("a", "b")]
    if pattern not in PATTERNS or not all(word.isdecimal() and len(word) < 10 for word in numbers):
        allowed = ", ".join(repr(p.replace(".", "<number>")) for p in PATTERNS)
        raise UsageError(f"--tokens {text!r} is not allowed; give a row such as 'a 114 b 113': {allowed}")
    marks = [int(word) for word in numbers]
    if len(words) != n_ctx or len(set(marks)) < len(marks) or any(mark >= d_vocab for mark in marks):
        raise UsageError(
            f"--tokens {text!r} does not fit: the model reads {n_ctx} tokens, numbered 0 to {d_vocab - 1}, and marks "
            "have different numbers"
        )
    if n_elements + len(marks) > d_vocab:
        raise UsageError(f"--tokens {text!r} leaves {d_vocab - len(marks)} tokens for {n_elements} elements")
    return _row(pattern, marks)


def _row(pattern: str, marks: list[int]) -> Row:
    """The row of a pattern whose dots are these marks, in order."""
    layout, left = PATTERNS[pattern], iter(marks)
    words = layout.split()
    number = {word: next(left) for word in words if word not in ("a", "b")}
    text = " ".join(str(number.get(word, word)) for word in words)
    return Row(text, layout, tuple(number[mark] for mark in ("=", "op", "eos") if mark in number))


def fitting_rows(n_ctx: int, n_elements: int, d_vocab: int) -> list[Row]:
    """Rows that the shapes allow, with marks numbered after the elements; conventional rows first."""
    spare = range(n_elements, d_vocab)
    patterns = [p for p in PATTERNS if len(p.split()) == n_ctx and p.count(".") <= len(spare)]
    rows = [_row(p, list(marks)) for p in patterns for marks in itertools.permutations(spare, p.count("."))]
    return sorted(rows, key=lambda row: (row.layout not in CONVENTION, row.marks))[:MAX_TRIED]


# ---- trying ----------------------------------------------------------------------------------------


def _tried(imported: Imported, rows: list[Row], n_elements: int) -> Imported:
    """The model with the row of clearly lowest loss; else the conventional row of three tokens, where one fits."""
    check(_applied(imported, rows[0], n_elements, None))
    last = replace(imported, snapshots=dict([list(imported.snapshots.items())[-1]]))
    losses = {row: _losses(_applied(last, row, n_elements, None)) for row in rows}
    means = {row: float(each.mean()) for row, each in losses.items()}
    best, second = sorted(rows, key=lambda row: means[row])[:2]
    subset = "training rows" if imported.is_train is not None else "rows (the split is unknown)"
    compared = ", ".join(f"{means[row]:.3g} nats as {row.text!r}" for row in (best, second))
    n = checked(imported.config).task.n_elements
    if _is_clear(losses[best], [losses[row] for row in rows if row != best]) and means[best] < math.log(n):
        why = f"of {len(rows)} that fit, it has the lowest mean loss over {subset}: {compared}"
        return _applied(imported, best, n_elements, f"rows are read as {best.text!r} ({best.layout}): {why}")
    if (
        rows[0].layout in CONVENTION
        and n_elements + 1 == imported.snapshots[max(imported.snapshots)]["embed.W_E"].shape[0]
    ):
        usual = f"rows are read as {rows[0].text!r} ({rows[0].layout}), the convention for three tokens: losses over"
        note = f"{usual} {subset} do not decide clearly ({compared}); --tokens gives another row"
        return _applied(imported, rows[0], n_elements, note)
    raise UsageError(
        f"the file does not record the tokens of a row, and losses over {subset} do not decide clearly ({compared}): "
        f"give --tokens, such as --tokens {best.text!r}"
    )


def _is_clear(best: Tensor, others: list[Tensor]) -> bool:
    """Whether ``best``, losses row by row, is far below each of ``others``; see ``FACTOR``."""
    for other in others:
        difference = other - best
        error = float(difference.std(correction=0)) / len(best) ** 0.5
        if not float(best.mean()) * FACTOR <= float(other.mean()) or float(difference.mean()) < ERRORS * error:
            return False
    return True


@torch.no_grad()
def _losses(imported: Imported) -> Tensor:
    """Losses in nats, at the last snapshot, of up to ``MAX_ROWS`` training rows (any rows if the split is unknown)."""
    config = checked(imported.config)
    task: Task = all_pairs_task(config.task)
    is_used = task.is_defined if imported.is_train is None else imported.is_train & task.is_defined
    rows = is_used.nonzero().flatten()
    if not len(rows):
        rows = task.is_defined.nonzero().flatten()
    rows = rows[torch.linspace(0, len(rows) - 1, min(MAX_ROWS, len(rows))).long()]
    model = build_model(config).eval()
    model.load_state_dict(imported.snapshots[max(imported.snapshots)])
    logits = model(task.tokens[rows])[:, list(task.answer_positions)]
    return cross_entropy(logits, task.labels[rows]).nan_to_num(math.inf, math.inf)


def _applied(imported: Imported, row: Row, n_elements: int, note: str | None) -> Imported:
    """The model with the tokens of ``row`` in our order: rows of W_E, and columns of W_U where the tokens have logits.

    Tokens that no row holds are left out.
    """
    d_vocab = next(iter(imported.snapshots.values()))["embed.W_E"].shape[0]
    elements = [token for token in range(d_vocab) if token not in row.marks][:n_elements]
    order = torch.tensor([*elements, *row.marks])
    notes = imported.notes if note is None else (*imported.notes, note)
    if len(order) < d_vocab:
        notes = (*notes, f"{d_vocab - len(order)} of its {d_vocab} tokens, which no row has, were left out")
    config = {**imported.config, "task": {**imported.config["task"], "layout": row.layout}}
    if torch.equal(order, torch.arange(d_vocab)):
        return replace(imported, config=config, notes=notes)
    has_logits = imported.config["model"]["outputs"] == "tokens"

    def ordered(weights: Weights) -> Weights:
        for name, axis in (("embed.W_E", 0), *((n, -1) for n in ("unembed.W_U", "unembed.b_U") if has_logits)):
            if weights[name].shape[axis] != d_vocab:
                raise DataError(f"{name} has shape {tuple(weights[name].shape)}, and embed.W_E {d_vocab} tokens")
        changed = {"embed.W_E": weights["embed.W_E"][order]}
        if has_logits:
            changed |= {name: weights[name][..., order].contiguous() for name in ("unembed.W_U", "unembed.b_U")}
        return {**weights, **changed}

    return replace(imported, config=config, snapshots=converted(imported.snapshots, ordered), notes=notes)
