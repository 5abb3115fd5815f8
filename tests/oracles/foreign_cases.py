"""The committed models of every layout: how each is imported, and its logits by a plain forward pass."""

import torch
import torch.nn.functional as F
from oracles import foreign, foreign_forward
from oracles.foreign_forward import pairs

P = foreign.P
ADD = ("--op", "add")


def load(name):
    return torch.load(foreign.HERE / name, weights_only=True)


def rows(n, *extra, offset=0):
    """Token rows of all pairs: a, b (numbered from ``offset``) and the tokens ``extra``."""
    ab = pairs(n) + torch.tensor([0, offset])
    return torch.cat([ab, torch.tensor(extra, dtype=torch.long).expand(len(ab), -1)], dim=1)


def s4(ab):
    """Pairs of our elements of S4 (lexicographic order), in the numbering of rep-theory."""
    theirs = torch.tensor([foreign_forward.S4.index(name) for name in sorted(foreign_forward.S4)])
    return theirs[ab]


def answers_of_s4(logits):
    return logits[:, s4(torch.arange(24))]


def grok_rows(operator, elements):
    number = foreign.GROK_TOKENS.index
    table = torch.tensor([[number("<|eos|>"), 0, number(operator), 0, number("=")]]).repeat(len(elements) ** 2, 1)
    table[:, [1, 3]] = torch.tensor([number(e) for e in elements])[pairs(len(elements))]
    columns = [*map(number, elements), number("="), number(operator), number("<|eos|>")]
    return table, columns


def grok_logits(operator, elements):
    tokens, columns = grok_rows(operator, elements)
    return foreign_forward.grok(load("grok.pt")["state_dict"], tokens)[:, columns]


FORWARDS = {
    "nanda.pth": ("nanda", ADD, lambda: foreign_forward.nanda(load("nanda.pth")["model"], rows(P, P))),
    "nanda_answers.pt": ("nanda", ADD, lambda: foreign_forward.nanda(load("nanda_answers.pt"), rows(P, P))),
    "nanda_series.pth": (
        "nanda",
        (),
        lambda: foreign_forward.nanda(load("nanda_series.pth")["state_dicts"][-1], rows(P, P)),
    ),
    "pizza.pt": ("pizza", (), lambda: foreign_forward.nanda(load("pizza.pt"), rows(P), F.gelu, 0.3)),
    "pizza_two.pt": (
        "pizza",
        (),
        lambda: foreign_forward.nanda(load("pizza_two.pt"), rows(P, 2 * P, offset=P), F.relu, 1.0),
    ),
    "pizza_linearformer.pt": (
        "pizza",
        (),
        lambda: foreign_forward.linearformer(load("pizza_linearformer.pt"), rows(P, offset=P)),
    ),
    "reptheory_D3.pt": ("reptheory", (), lambda: foreign_forward.transformerlens(load("reptheory_D3.pt"), rows(6, 6))),
    "reptheory_C5.pt": ("reptheory", (), lambda: foreign_forward.transformerlens(load("reptheory_C5.pt"), rows(5, 5))),
    "reptheory_S4.pt": (
        "reptheory",
        (),
        lambda: answers_of_s4(
            foreign_forward.transformerlens(load("reptheory_S4.pt"), torch.cat([s4(pairs(24)), rows(24, 24)[:, 2:]], 1))
        ),
    ),
    "reptheory_mlp.pt": (
        "reptheory",
        (),
        lambda: answers_of_s4(foreign_forward.one_layer_mlp(load("reptheory_mlp.pt"), s4(pairs(24)))),
    ),
    "transformerlens.pt": (
        "transformerlens",
        ADD,
        lambda: foreign_forward.transformerlens(load("transformerlens.pt"), rows(P, P), F.gelu),
    ),
    "transformerlens_demo.pth": (
        "transformerlens",
        ADD,
        lambda: foreign_forward.transformerlens(load("transformerlens_demo.pth")["checkpoints"][-1], rows(P, P)),
    ),
    "grok.pt": ("grok", (), lambda: grok_logits("/", list(map(str, range(97))))),
}
"""Fixture: layout, flags, and the logits of all pairs in our order."""
FORWARDS |= {
    f"pizza_{kind}.pt": ("pizza", (), lambda k=kind: foreign_forward.linear(load(f"pizza_{k}.pt"), pairs(P), k))
    for kind in "ABCDX"
}


def close(found, expected):
    """Whether logits agree up to the rounding of sums of 100 products near 1, in another order."""
    return torch.allclose(
        found, expected, rtol=0, atol=200 * torch.finfo(found.dtype).eps * float(expected.abs().max())
    )
