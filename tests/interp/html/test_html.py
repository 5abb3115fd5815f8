import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from interp.html.blocks import Figure, Link, Phase, Table, Text, Tile, Tiles
from interp.html.page import Page, PageSection, Selection
from interp.html.render import render_page, rendered
from interp.html.tracks import Track
from interp.html.widgets import Widget
from tests.minipage import ARRAYS, mini, widget
from tests.unpacking import payloads, revived, unpacked

STEPS = (0, 10, 100, 1000)
HOSTILE = '</script><img src=x onerror="window.hacked=1">'
WORDS: dict[str, Any] = {
    "heading": "Heading",
    "takeaway": "It rises to 4.",
    "source": "a log",
    "alt": "A rising line.",
}
POLYLINE = (((0.0, 0.0), (1.0, 1.0)),)


def drawn(frame: pd.DataFrame) -> go.Figure:
    line = go.Scatter(x=frame["x"].to_numpy(), y=frame["y"].to_numpy(), text=frame["name"].to_numpy(dtype=str))
    return go.Figure(line, {"xaxis": {"title": "x"}}).update_traces(marker_color=frame["colour"].to_numpy())


def frame_at(i: int) -> pd.DataFrame:
    rng = np.random.default_rng(i)
    names = [f"{i}:{j}" for j in range(5)]
    return pd.DataFrame({"x": rng.normal(size=5), "y": rng.normal(size=5), "name": names, "colour": range(i, i + 5)})


def moving() -> Figure:
    frames = [frame_at(i) for i in range(len(STEPS))]
    columns = {"x": "x", "y": "y", "text": "name", "marker.color": "colour"}
    tracks = tuple(Track(0, attr, np.stack([f[name].to_numpy() for f in frames])) for attr, name in columns.items())
    return Figure(drawn(frames[-1]), steps=STEPS, tracks=tracks, texts=tuple(f"score {i}" for i in STEPS), **WORDS)


def page(*blocks, title="Title", labels=("0", "10", "100", "1000"), provenance=None) -> str:
    sections = [PageSection("first", "First", list(blocks))]
    provenance = {"seed": 0} if provenance is None else provenance
    return render_page(Page(title, "Subtitle", sections, provenance, STEPS, labels))


def plain(fig: Any) -> dict[str, Any]:
    return json.loads(fig.to_json())


def panels(html: str, section: str = "first") -> list[dict]:
    content, arrays = payloads(html)[section]
    return revived(content, arrays)["panels"]


# --- figures --------------------------------------------------------------------------------------------


def test_at_is_the_figure_drawn_from_that_step():
    figure = moving()
    for i, step in enumerate(STEPS):
        assert plain(figure.at(step)) == plain(drawn(frame_at(i)))
    assert plain(figure.at(0)) != plain(drawn(frame_at(1)))
    assert plain(figure.fig) == plain(drawn(frame_at(3))), "at() must not change the figure"


def test_at_keeps_nan_and_sets_scalars():
    fig = go.Figure(go.Scatter(y=[1.0, 2.0], name="b"))
    y = np.array([[np.nan, 1.0], [1.0, 2.0]])
    figure = Figure(fig, steps=(0, 5), tracks=(Track(0, "y", y), Track(0, "name", np.array(["a", "b"]))), **WORDS)
    trace = figure.at(0).to_plotly_json()["data"][0]
    assert trace["name"] == "a"
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(trace["y"]["bdata"])), y[0])


def test_at_refuses_an_unknown_step_and_says_which_there_are():
    with pytest.raises(KeyError, match=r"no step 11; it has \(0, 10, 100, 1000\)"):
        moving().at(11)


LINE = go.Figure(go.Scatter(y=[1.0, 2.0]))
GOOD = np.zeros((4, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tracks": (Track(0, "y", np.zeros((3, 2))),)}, r"shape \(3, 2\); expected \(4, 2\)"),
        ({"tracks": (Track(0, "y", np.zeros((4, 3))),)}, r"shape \(4, 3\); expected \(4, 2\)"),
        ({"tracks": (Track(1, "y", GOOD),)}, "no trace 1; there are 1"),
        ({"tracks": (Track(0, "zz", GOOD),)}, "is a scatter, without 'zz'"),
        ({"texts": ("one",)}, "1 texts for 4 steps"),
        ({"default_step": 7}, "default_step 7 is not in steps"),
        ({"steps": (0, 10, 10, 20)}, "increase"),
        ({"steps": (-1, 0, 1, 2)}, "0 or more"),
        ({"steps": ()}, r"expected \(0, 2\)"),
    ],
)
def test_figures_that_do_not_fit_are_refused(change, message):
    fitting = {"fig": LINE, "steps": STEPS, "tracks": (Track(0, "y", GOOD),), **WORDS}
    Figure(**fitting)
    with pytest.raises(ValueError, match=message):
        Figure(**(fitting | change))


# --- the page -------------------------------------------------------------------------------------------


def test_hostile_words_are_escaped_everywhere():
    frame = pd.DataFrame({HOSTILE: [HOSTILE]})
    fig = go.Figure(go.Scatter(y=[1.0], name=HOSTILE), {"xaxis": {"title": {"text": HOSTILE}}})
    link = Link(0, "k", "trace", np.array([0]))
    figure = Figure(fig, HOSTILE, HOSTILE, HOSTILE, HOSTILE, how=HOSTILE, links=(link,), columns={"x": HOSTILE})
    tiles = Tiles(HOSTILE, (HOSTILE,), (HOSTILE,), ((HOSTILE, (Tile(POLYLINE, HOSTILE, HOSTILE, HOSTILE), None)),))
    made = Widget("w", HOSTILE, HOSTILE, HOSTILE, HOSTILE, "mini", "", {}, {HOSTILE: HOSTILE}, HOSTILE, HOSTILE)
    blocks = (Text(HOSTILE), Table(frame, HOSTILE), figure, tiles, made)
    lead = PageSection("first", HOSTILE, blocks, lead=True)
    folded = PageSection("second", HOSTILE, blocks, folded=True)
    facts = {"phases": (Phase(HOSTILE, 0, 10),), "selections": {"k": Selection(HOSTILE, (HOSTILE,))}}
    provenance = {HOSTILE: HOSTILE, "nest": {"a": HOSTILE}}
    html = render_page(Page(HOSTILE, HOSTILE, [lead, folded], provenance, STEPS, (HOSTILE,) * 4, **facts))
    words = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert "<img" not in words and 'onerror="' not in words
    assert html.count("</script>") == 6, "facts, plotly, two payloads, the page's script and the widget's"
    assert words.count("&lt;/script&gt;&lt;img") > 40, "control: the words are there, escaped"
    assert panels(html)[0]["data"][0]["name"] == HOSTILE


def test_markdown_is_small_and_safe():
    html = page(Text("**b** `c` [ok](https://x.org) [no](javascript:x) ![i](https://x.org/i.png)\n\n- one\n- two"))
    assert "<strong>b</strong> <code>c</code>" in html
    assert '<a href="https://x.org">ok</a>' in html
    assert "<li>one</li>" in html
    assert 'href="javascript' not in html
    assert "<img" not in html


def test_table_cells_read_well():
    frame = pd.DataFrame({"a": [1234.5678, np.nan, 1e-7, 40000.0, np.inf], "n": [1, 2, 3, 4, 5], "s": list("vwxyz")})
    html = page(Table(frame, "Caption & more"))
    cells = re.findall(r"<td class=\"(?:number|short)\">(.*?)</td>", html)
    assert cells == ["1,235", "1", "v", "–", "2", "w", "1 × 10⁻⁷", "3", "x", "40,000", "4", "y", "–", "5", "z"]
    assert "<caption>Caption &amp; more</caption>" in html
    assert html.count('class="number">a</th>') == 1


def sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_names_the_scripts_and_plotly_and_forbids_the_rest():
    html = render_page(mini())
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None and len(scripts) == 2
    named = re.findall(r"'sha256-([^']*)'", policy[1])
    assert named == [*map(sha256, scripts), sha256(get_plotlyjs())]
    assert "default-src 'none'" in policy[1] and "connect-src 'none'" in policy[1]
    assert "unsafe-eval" not in policy[1] and "unsafe-inline" not in policy[1].split("style-src")[0]
    found = re.search(r'id="page.plotly">(.*?)</script>', html)
    assert found is not None
    assert gzip.decompress(base64.b64decode(found[1])).decode() == get_plotlyjs()


def test_a_widget_s_script_is_sent_once():
    two = replace(widget(), id="second")
    html = page(widget(), two)
    assert len(re.findall(r"<script>", html)) == 2
    content, _ = payloads(html)["first"]
    first, second = content["panels"]
    assert first["options"] == second["options"] == {"word": "press"} and second["id"] == "first.second"
    assert first["arrays"] == second["arrays"], "equal arrays travel once"
    found = re.search(r'id="page.shared">(.*?)</script>', html)
    assert found is not None
    _, arrays = unpacked(found[1])
    assert len(arrays) == len(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[first["arrays"][name]["array"]], array)


def test_the_same_input_gives_the_same_bytes():
    assert render_page(mini()) == render_page(mini())
    assert page(moving()) == page(moving())
    assert page(moving()) != page(moving(), title="Other")


def test_the_page_is_little_more_than_plotly_and_its_numbers():
    rng = np.random.default_rng(0)
    steps = tuple(range(60))
    fig = go.Figure([go.Scatter(x=np.zeros(113), y=np.zeros(113))] * 5)
    figures = []
    for id in "ab":
        tracks = tuple(Track(i, attr, rng.normal(size=(60, 113))) for i in range(5) for attr in ("x", "y"))
        figures.append(Figure(fig, steps=steps, tracks=tracks, id=id, **WORDS))
    out = rendered(Page("t", "s", [PageSection("a", "A", figures)], {}, steps, tuple(map(str, steps))))
    array_bytes, n_bytes = 2 * 10 * 60 * 113 * 2, len(out.html.encode())
    rest = n_bytes - out.parts["plotly.js"] - out.parts["scripts and style"]
    assert 0.9 * array_bytes * 4 / 3 < rest < array_bytes * 4 / 3 + 10_000
    assert out.parts["plotly.js"] < 2_000_000 and rest - out.parts["a"] < 10_000
    assert out.panels["a.a"] == out.panels["a.b"] >= array_bytes / 2
    assert out.table()[-1] == f"{n_bytes / 1e3:10,.1f} kB  the page" and len(out.table()) == 4
    twice = rendered(Page("t", "s", [PageSection("a", "A", [figures[0]] * 2)], {}, steps, tuple(map(str, steps))))
    assert len(twice.html) < n_bytes - 0.4 * array_bytes * 4 / 3, "equal tracks travel once"
    content, _ = payloads(out.html)["a"]
    assert len(content["templates"]) == 1


def test_pages_that_do_not_fit_are_refused():
    one = PageSection("a", "A", [])
    with pytest.raises(ValueError, match="1 step_labels for 2 steps"):
        Page("t", "s", [one], {}, (0, 1), ("x",))
    with pytest.raises(ValueError, match="not unique"):
        Page("t", "s", [one, one], {})
    with pytest.raises(ValueError, match="the page has no steps"):
        Page("t", "s", [PageSection("a", "A", [moving()])], {})
    with pytest.raises(ValueError, match="section id 'A b'"):
        PageSection("A b", "title", [])
    with pytest.raises(ValueError, match="3 steps are not the grid"):
        Page("t", "s", [one], {}, (0, 1, 2), ("", "", ""), {"a": ("x", "y"), "b": ("z",)})
    linked = Figure(LINE, links=(Link(0, "k", "trace", np.array([1])),), **WORDS)
    with pytest.raises(ValueError, match=r"link to \['k'\], which the page cannot select; it has \['n', 't'\]"):
        Page("t", "s", [PageSection("a", "A", [linked])], {}, selections={"n": Selection("{}")}, shared={"t": ("n",)})
    assert 'id="page.slider"' not in render_page(Page("t", "s", [one], {}))
    assert 'id="page.slider"' in page(), "control"


@pytest.mark.parametrize(
    ("by", "values", "message"),
    [
        ("row", None, "link by 'row'"),
        ("x", [1], "none for x or y"),
        ("point", None, "one a point"),
        ("trace", [1, 2], "one value for a trace"),
    ],
)
def test_links_that_do_not_fit_are_refused(by, values, message):
    with pytest.raises(ValueError, match=message):
        Link(0, "k", by, values if values is None else np.array(values))


def test_links_phases_and_selections_travel():
    html = render_page(mini())
    found = re.search(r'id="page.facts">(.*?)</script>', html)
    assert found is not None
    facts = json.loads(found[1])
    assert facts["phases"][1] == {"name": "between", "first": 10, "last": 310}
    assert facts["selections"]["k"] == {"words": "frequency {}", "names": []}
    assert facts["shared"] == {"token": ["a", "b"]} and facts["printSteps"] == [0, 10, 1000]
    lines = panels(html, "spec")[1]
    assert lines["links"][2] == {"trace": 2, "name": "k", "by": "trace", "values": [5]}
