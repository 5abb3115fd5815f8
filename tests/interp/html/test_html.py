import base64
import hashlib
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from interp.html.blocks import Figure, Table, Text
from interp.html.page import Page, PageSection, render_page
from interp.html.tracks import Track

STEPS = (0, 10, 100, 1000)
HOSTILE = '</script><img src=x onerror="window.hacked=1">'
WORDS: dict[str, Any] = {
    "heading": "Heading",
    "takeaway": "It rises to 4.",
    "source": "a log",
    "alt": "A rising line.",
}


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


def page_data(html: str) -> dict:
    found = re.search(r'<script type="application/json" id="page.data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


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
    fig = go.Figure(go.Scatter(y=[1.0], name=HOSTILE), {"title": {"text": HOSTILE}})
    figure = Figure(fig, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    blocks = (Text(HOSTILE), Table(frame, HOSTILE), figure)
    html = page(*blocks, title=HOSTILE, labels=(HOSTILE,) * 4, provenance={HOSTILE: HOSTILE, "nest": {"a": HOSTILE}})
    assert "<img" not in html.replace(get_plotlyjs(), "")
    assert html.count("</script>") == 3, "the data block and two scripts"
    assert html.count("&lt;/script&gt;&lt;img") > 10, "control: the words are there, escaped"
    assert page_data(html)["figures"][0]["data"][0]["name"] == HOSTILE


def test_markdown_is_small_and_safe():
    html = page(Text("**b** `c` [ok](https://x.org) [no](javascript:x) ![i](https://x.org/i.png)\n\n- one\n- two"))
    assert "<strong>b</strong> <code>c</code>" in html
    assert '<a href="https://x.org">ok</a>' in html
    assert "<li>one</li>" in html
    assert 'href="javascript' not in html
    assert "<img" not in html.replace(get_plotlyjs(), "")


def test_table_cells_read_well():
    frame = pd.DataFrame({"a": [1234.5678, np.nan, 1e-7, 40000.0, np.inf], "n": [1, 2, 3, 4, 5], "s": list("vwxyz")})
    html = page(Table(frame, "Caption & more"))
    cells = re.findall(r"<td(?: class=\"number\")?>(.*?)</td>", html)
    assert cells == ["1,235", "1", "v", "–", "2", "w", "1 × 10⁻⁷", "3", "x", "40,000", "4", "y", "–", "5", "z"]
    assert "<caption>Caption &amp; more</caption>" in html
    assert html.count('class="number">a</th>') == 1


def test_the_policy_names_the_two_scripts_and_forbids_the_rest():
    html = page(moving())
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert re.findall(r"'sha256-([^']*)'", policy[1]) == hashes
    assert len(hashes) == 2
    assert "connect-src 'none'" in policy[1]
    assert "unsafe-eval" not in policy[1]


def test_the_same_input_gives_the_same_bytes():
    assert page(moving()) == page(moving())
    assert page(moving()) != page(moving(), title="Other")


def test_the_page_is_little_more_than_plotly():
    rng = np.random.default_rng(0)
    steps = tuple(range(60))
    fig = go.Figure([go.Scatter(x=np.zeros(113), y=np.zeros(113))] * 5)
    tracks = tuple(Track(i, attr, rng.normal(size=(60, 113))) for i in range(5) for attr in ("x", "y"))
    figures = [Figure(fig, steps=steps, tracks=tracks, **WORDS)] * 2
    html = render_page(Page("t", "s", [PageSection("a", "A", figures)], {}, steps, tuple(map(str, steps))))
    packed_bytes = 2 * 10 * 60 * 113 * 2 * 4 / 3
    assert packed_bytes < len(html) - len(get_plotlyjs()) < packed_bytes + 30_000
    assert len(page_data(html)["templates"]) == 1


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
    assert "page.slider" not in render_page(Page("t", "s", [one], {})).split("<main>")[0]
