"""A small page of every kind of panel, built by hand: made-up numbers on 13 tokens, 8 steps and 6 frequencies."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.curves import loss_figure
from interp.figures.grids import answers_figure
from interp.figures.images import images_figure
from interp.figures.spectra import spectrum_figure
from interp.html.blocks import Figure, Link, Phase, Table, Text
from interp.html.page import Page, PageSection, Selection
from interp.html.tracks import Track
from interp.html.widgets import Widget

P = 13
STEPS = (0, 1, 3, 10, 31, 100, 310, 1000)
FEW = (0, 10, 310, 1000)
KEYS = (1, 2, 5)
N = len(STEPS)
PHASES = (Phase("memorising", 0, 10), Phase("between", 10, 310), Phase("understood", 310, 1000))
SELECTIONS = {
    "k": Selection("frequency {}"),
    "a": Selection("a = {}", tuple(f"token {i}" for i in range(P))),
    "b": Selection("b = {}"),
}
SHARED = {"token": ("a", "b")}


def _numbers(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


ANSWERS = _numbers(1).integers(0, 4, (N, P, P))
SHARES = _numbers(2).random((N, 6))
IMAGES = _numbers(3).random((len(FEW), 4, P, P))
COEFFICIENTS = _numbers(4).normal(size=(len(KEYS), N))
CURSOR = np.array([[max(step, 0.5)] * 2 for step in STEPS])
LOSSES = pd.DataFrame({"step": STEPS, "train_loss": 10.0 ** -np.arange(N), "test_loss": np.linspace(4, 0.1, N)})


def figure(
    id: str, fig: go.Figure, tracks: tuple[Track, ...] = (), steps: tuple[int, ...] = STEPS, **more: Any
) -> Figure:
    """A panel of this page, whose words are made of its id."""
    words: dict[str, Any] = {
        "heading": f"The {id}",
        "takeaway": f"The {id} **changes**.",
        "source": "a [log](https://x.org)",
        "alt": f"A drawing of the {id}.",
    }
    return Figure(fig, steps=steps if tracks else (), tracks=tracks, id=id, **(words | more))


def loss() -> Figure:
    cursor = Track(2, "x", CURSOR, is_cursor=True)
    return figure("loss", loss_figure(LOSSES, STEPS[-1]), (cursor,), how="Lower is *better*.",
                  texts=tuple(f"At step {step} it is lower." for step in STEPS))  # fmt: skip


def table() -> Figure:
    pairs = pd.DataFrame({"a": np.repeat(range(P), P), "b": list(range(P)) * P, "state": ANSWERS[-1].ravel()})
    links = (Link(0, "a", "y"), Link(0, "b", "x"), Link(0, "token", "y"), Link(0, "token", "x"))
    return figure("table", answers_figure(pairs), (Track(0, "z", ANSWERS),), links=links)


def circles() -> Figure:
    fig, tracks = make_subplots(rows=1, cols=len(KEYS), subplot_titles=[f"k = {k}" for k in KEYS]), []
    grown = np.linspace(0, 1, N)[:, None]
    for i, k in enumerate(KEYS):
        angle = 2 * np.pi * k * np.arange(P) / P
        marker = {"color": (k * np.arange(P)) % P, "colorscale": "Phase", "size": 6}
        words = [f"token {j}" for j in range(P)]
        points = go.Scatter(x=np.cos(angle), y=np.sin(angle), mode="markers", marker=marker, text=words)
        fig.add_trace(points, row=1, col=i + 1)
        tracks += [Track(i, "x", grown * np.cos(angle)), Track(i, "y", grown * np.sin(angle))]
        axis: Any = {"range": [-1.2, 1.2], "showticklabels": False, "row": 1, "col": i + 1}
        fig.update_xaxes(**axis)
        fig.update_yaxes(scaleanchor=f"x{i + 1 if i else ''}", **axis)
    links = tuple(Link(i, "token", "point", np.arange(P)) for i in range(len(KEYS)))
    return figure("circles", fig.update_layout(height=300, showlegend=False), tuple(tracks), links=links)


def spectrum() -> Figure:
    rows = [(step, k + 1, SHARES[i, k]) for i, step in enumerate(STEPS) for k in range(6)]
    fig = spectrum_figure(pd.DataFrame(rows, columns=["step", "k", "energy"]), STEPS[-1])
    tracks = (Track(1, "x", CURSOR, is_cursor=True), Track(2, "y", SHARES))
    columns = {"trace": "what", "x": "k", "y": "share of squared norm"}
    return figure("spectrum", fig, tracks, links=(Link(0, "k", "y"), Link(2, "k", "x")), columns=columns)


def images() -> Figure:
    fig = images_figure(list(IMAGES[-1]), [f"head {i}" for i in range(4)], "attention", (0.0, 1.0))
    links = tuple(Link(i, "token", by) for i in range(4) for by in "xy")
    return figure("images", fig, tuple(Track(i, "z", IMAGES[:, i]) for i in range(4)), FEW, links=links)


def lines() -> Figure:
    colours = ("#0072b2", "#d55e00", "#009e73")
    fig = go.Figure(layout={"height": 300, "xaxis": {"title": "snapshot"}, "yaxis": {"title": "coefficient"}})
    for k, colour, values in zip(KEYS, colours, COEFFICIENTS, strict=True):
        fig.add_trace(go.Scatter(x=np.arange(N), y=values, mode="lines", name=f"k = {k}", line={"color": colour}))
    return figure("lines", fig, links=tuple(Link(i, "k", "trace", np.array([k])) for i, k in enumerate(KEYS)))


def rose() -> Figure:
    """A figure that only plotly can draw."""
    fig = go.Figure(go.Scatterpolar(r=_numbers(5).random(20), theta=np.arange(20) * 18, mode="lines", name="rose"))
    return figure("rose", fig.update_layout(height=300, polar_radialaxis_nticks=3))


WIDGET = """(window.widgets ??= {}).mini = (element, arrays, options, api) => {
  const button = document.createElement("button");
  button.textContent = options.word;
  button.addEventListener("click", () => api.select("k", 2));
  const says = document.createElement("p");
  element.append(button, says);
  window.mini = { arrays, options, api };
  return { show() { says.textContent = `${api.state.step} ${api.state.k} ${api.colours().isDark}`; } };
};"""
ARRAYS = {
    "halves": _numbers(6).normal(size=(3, 4)).astype(np.float16),
    "floats": _numbers(7).normal(size=5).astype(np.float32),
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
}


def widget() -> Widget:
    words = {"heading": "The widget", "takeaway": "It computes.", "source": "a log", "alt": "Numbers."}
    return Widget(
        **words,
        id="widget",
        name="mini",
        script=WIDGET,
        arrays=ARRAYS,
        options={"word": "press"},
        still="At the **end**.",
    )


def mini(**more: Any) -> Page:
    """The page; ``more`` replaces its fields."""
    story = PageSection(
        "story", "What happened", [Text("It **memorised** first. " * 8), loss(), table(), circles()], lead=True
    )
    numbers = Table(pd.DataFrame({"name": ["x", "y"], "value": [1e-7, 2.5]}), "Numbers")
    sections = [
        story,
        PageSection("spec", "Spectra", [spectrum(), lines()]),
        PageSection("im", "Images", [images()]),
        PageSection("parts", "Other parts", [rose(), widget()]),
        PageSection("app", "Appendix", [Text("Read **on**: [spectra](#spec)."), numbers], folded=True),
    ]
    fields: dict[str, Any] = {
        "title": "A one-layer transformer learns a + b mod 13", "subtitle": "made-up numbers", "sections": sections,
        "provenance": {"run": "x"}, "steps": STEPS, "step_labels": tuple(f"step {step:,}" for step in STEPS),
        "phases": PHASES, "selections": SELECTIONS, "shared": SHARED, "print_steps": (0, 10, 1000),
    }  # fmt: skip
    return Page(**(fields | more))
