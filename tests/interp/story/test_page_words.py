"""The words of whole pages, of nine kinds of runs: numbers, identifiers, repetitions, links, columns and colours."""

import re
from typing import Any

import numpy as np
import pytest
from oracles.eight import NAMES

COMPUTED = {"any"}
"""Figures that follow a number that the reader types, not the slider."""
WHOLE = ("Over the whole run: ", "By the end of the run", "Chosen at the last snapshot")
IDENTIFIER = re.compile(r"\b[a-z]+_[a-z0-9_]+\b|\bW_[A-Z]\b|\bL\d+H\d+\b|\blogit[23]d\b")
COMPUTER_NUMBER = re.compile(r"\d(\.\d+)?e[-+]\d|\d%|\b(nan|inf)\b")


def figures(pages, name: str) -> list[tuple[str, Any]]:
    """Figures of a page with their names."""
    return [
        (f"{section}.{block.id}", block)
        for section, blocks in pages(name).items()
        for block in blocks
        if type(block).__name__ == "Figure"
    ]


def words(block: Any) -> list[str]:
    """All texts of a block that a reader sees, cells of tables as the page writes them."""
    from interp.html.render import _cells

    if type(block).__name__ == "Table":
        cells = _cells(block.frame)
        return [block.caption, *cells["columns"], *(cell for row in cells["rows"] for cell in row)]
    if type(block).__name__ == "Text":
        return [block.markdown]
    if type(block).__name__ == "Widget":
        return [block.heading, block.takeaway, block.how, block.source, block.alt, block.still]
    legend = [str(trace.name) for trace in block.fig.data if trace.name]
    return [block.heading, block.takeaway, block.how, block.source, block.alt, *(block.texts or ()), *legend]


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.:;]) ", text) if len(part) > 25]


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_as_people_write_them(pages, name):
    for section, blocks in pages(name).items():
        for block in blocks:
            for text in words(block):
                plain = re.sub(r"https?://\S+", "", text)
                assert not COMPUTER_NUMBER.search(plain), (section, text)
    assert COMPUTER_NUMBER.search("1.9e-07 nats") and COMPUTER_NUMBER.search("99.4%")  # control


@pytest.mark.parametrize("name", NAMES)
def test_figures_speak_in_words(pages, name):
    """Code names stand in the source line alone; markdown's stars are for paragraphs, not for plain texts."""
    for figure, block in figures(pages, name):
        legend = [str(trace.name) for trace in block.fig.data if trace.name]
        for text in (block.heading, block.takeaway, block.how, block.alt, *(block.texts or ()), *legend):
            assert not IDENTIFIER.search(text), (figure, text)
            assert "**" not in text and "{" not in text, (figure, text)
    assert IDENTIFIER.search("logit_fve") and IDENTIFIER.search("of W_L, the") and IDENTIFIER.search("head L0H1")


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_says_what_it_shows_how_to_read_it_and_what_its_columns_are(pages, name, runs):
    for figure, block in figures(pages, name):
        assert block.takeaway and block.source and block.alt, figure
        if block.id in COMPUTED:
            continue
        assert block.how.endswith("."), figure
        assert set(block.columns) <= {"trace", "x", "y", "z"} and len(set(block.columns.values())) == len(block.columns)
        if len(runs[name].steps) > 1:
            assert block.takeaway.startswith(WHOLE) or "No score is defined" in block.takeaway, (figure, block.takeaway)
        assert not block.takeaway.startswith("At step"), figure


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_said_twice_in_a_panel(pages, name):
    for figure, block in figures(pages, name):
        said = [s for text in (block.takeaway, block.how, block.source) for s in sentences(text)]
        for text in block.texts or ():
            assert not set(sentences(text)) & set(said), figure
        assert len(said) == len(set(said)), figure


@pytest.mark.parametrize("name", NAMES)
def test_links_name_what_is_there(pages, name, runs):
    n, d_mlp = len(runs[name].task.table.elements), runs[name].last.model.cfg.d_mlp
    lowest = {"k": 1, "token": 0, "a": 0, "b": 0, "neuron": 0}
    highest = {"k": n // 2, "token": n - 1, "a": n - 1, "b": n - 1, "neuron": d_mlp - 1}
    found = set()
    for figure, block in figures(pages, name):
        for link in block.links:
            trace = block.fig.data[link.trace]
            found.add(link.name)
            values = trace[link.by] if link.values is None else link.values
            if link.by in ("x", "y") and values is None:
                values = range(np.shape(trace.z)[link.by == "x"])
            if link.by == "point":
                assert len(link.values) == len(trace.x), figure
            assert lowest[link.name] <= min(values) and max(values) <= highest[link.name], (figure, link)
    assert found >= ({"token", "a", "b"} if name == "s5" else {"k", "token", "a", "b"})


@pytest.mark.parametrize("name", NAMES)
def test_a_frequency_has_one_colour(pages, name):
    """Lines, whatever the panel, and bars of the spectra; images and rings are coloured by values."""
    colours: dict[int, set[str]] = {}
    for figure, block in figures(pages, name):
        for link in block.links:
            trace = block.fig.data[link.trace]
            is_line = trace.type == "scatter" and trace.mode == "lines"
            if link.name == "k" and link.by == "trace" and is_line and figure != "pizza.circles":
                colours.setdefault(int(link.values[0]), set()).add(trace.line.color)
            if link.name == "k" and trace.type == "bar":
                for k, colour in zip(trace.x, trace.marker.color, strict=True):
                    colours.setdefault(int(k), set()).add(colour)
    assert all(len(found) == 1 for found in colours.values()), colours
    if name == "grokked":
        keys = [next(iter(colours[k])) for k in (3, 5, 9)]
        assert len(set(keys)) == 3 and len(colours) == 11


@pytest.mark.parametrize("name", NAMES)
def test_the_titles_are_true(runs, name):
    from interp.pages.headings import title

    expected = {
        "grokked": "A one-layer transformer learns a + b mod 23",
        "memorising": "A two-operand MLP memorises a + b mod 7",
        "s5": "A one-layer transformer is trained on composition in S5",
        "mlp": "A two-operand MLP is trained on a + b mod 7",
        "imported": "A one-layer transformer is trained on a + b mod 11",
    }
    assert title(runs[name]) == expected.get(name, title(runs[name]))
    assert ("learns" in title(runs[name])) == (name == "grokked")


def test_sections_stand_in_the_order_of_discovery():
    from interp.sections import SECTIONS

    ids = [section.id for section in SECTIONS]
    assert len(set(ids)) == len(ids) and ids[0] == "story" and SECTIONS[0].lead
    firsts = [ids.index(id) for id in ("curves", "spectra", "attention", "pizza", "ablations", "progress", "overview")]
    assert firsts == sorted(firsts)
    folded = [section.folded for section in SECTIONS]
    assert folded == sorted(folded) and {"methods", "glossary", "provenance"} <= set(ids[folded.index(True) :])


def test_every_snapshot_read_is_in_the_provenance(runs, pages):
    import hashlib

    (table,) = pages("grokked")["provenance"]
    run, rows = runs["grokked"], table.frame.set_index("step")["SHA-256"]
    files = {int(file.stem): file for file in (run.path / "steps").glob("*.safetensors")}
    assert set(rows.index) == set(files) == set(run.steps)
    for step, file in files.items():
        assert rows[step] == hashlib.sha256(file.read_bytes()).hexdigest()
