"""Panels of an opened page: the values that they show, what Python expects them to show, and the page's own state."""

import math
from typing import Any

import numpy as np
from playwright.sync_api import Page

from interp.html.blocks import Figure
from interp.html.tracks import Track


def flush(page: Page) -> int:
    """Draw every panel at the step shown. Returns the step."""
    page.evaluate("window.page.flush()")
    return page.evaluate("window.page.state.step")


def go(page: Page, step: int) -> None:
    page.evaluate("(step) => window.page.go(step)", step)
    assert flush(page) == step


def press(page: Page, key: str) -> int:
    """Press a key on the slider. Returns the step."""
    page.locator("#page\\.slider").press(key)
    return flush(page)


def shown(page: Page, id: str, trace: int, attr: str) -> Any:
    """The values that a panel was last painted with, NaN where they are absent."""
    found = page.evaluate(
        """([id, trace, attr]) => {
          let value = window.page.panels.get(id).shown[trace];
          for (const key of attr.split('.')) value = value[key];
          const plain = (v) => (ArrayBuffer.isView(v) || Array.isArray(v) ? Array.from(v, plain) : v);
          return plain(value);
        }""",
        [id, trace, attr],
    )
    return found if _has_words(found) else np.array(found, float)


def _has_words(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and any(_has_words(item) for item in value))


def between(steps: tuple[int, ...], step: int) -> tuple[int, float]:
    """The number of the snapshot at or before a step, and the share of the way to the next one, in log10(step + 1)."""
    last = max((i for i, s in enumerate(steps) if s <= step), default=0)
    if last + 1 == len(steps) or step <= steps[last]:
        return last, 0.0
    return last, math.log((step + 1) / (steps[last] + 1)) / math.log((steps[last + 1] + 1) / (steps[last] + 1))


def expected(figure: Figure, track: Track, step: int) -> tuple[Any, float]:
    """What a panel shows of a track at a step, by ``Figure.at`` of the snapshots round it, and a tolerance."""

    def at(i: int) -> Any:
        value: Any = figure.at(figure.steps[i]).data[track.trace]
        for name in track.attr.split("."):
            value = value[name]
        return value if track.values.dtype.kind == "U" else np.where(np.isinf(value), np.nan, np.asarray(value, float))

    i, share = between(figure.steps, step)
    near = at(i + (share >= 0.5))
    if track.values.dtype.kind == "U":
        return list(near), 0.0
    finite = track.values[np.isfinite(track.values)].astype(float)
    is_whole = bool(np.all(finite == np.rint(finite)))
    unit = 0.0 if is_whole else float(np.ptp(finite)) / (254 if track.coarse else 65534)
    if share == 0 or is_whole or track.is_cursor:
        return near, 0.501 * unit
    mixed = at(i) + share * (at(i + 1) - at(i))
    return np.where(np.isnan(mixed), near, mixed), 0.501 * unit


def assert_shows(page: Page, panels: dict[str, Figure], step: int) -> None:
    """Every track of each panel is shown as Python expects it at a step."""
    for id, figure in panels.items():
        for track in figure.tracks:
            want, atol = expected(figure, track, step)
            got = shown(page, id, track.trace, track.attr)
            if isinstance(want, list):
                assert got == want
            else:
                rtol = float(np.finfo(np.float32).eps)
                np.testing.assert_allclose(got, want, rtol=rtol, atol=atol, err_msg=f"{id} {track.attr}")


def picture(page: Page, id: str) -> str:
    """The pixels of a panel's canvases, to compare."""
    return page.evaluate(
        "(id) => Array.from(document.getElementById(id).querySelectorAll('canvas'), (c) => c.toDataURL()).join()", id
    )


def place(page: Page, id: str, trace: int, x: Any, y: Any) -> tuple[float, float]:
    """Pixels in the window of a point of a panel, scrolled into view."""
    page.locator(f"[id='{id}'] .plot").scroll_into_view_if_needed()
    at = page.evaluate(
        """([id, trace, x, y]) => {
          const panel = window.page.panels.get(id);
          const box = panel.boxes.find((b) => panel.tracesIn(b).includes(trace));
          const { left, top } = panel.plot.getBoundingClientRect();
          return [left + box.xs.pixel(x), top + box.ys.pixel(y)];
        }""",
        [id, trace, x, y],
    )
    return at[0], at[1]


def click(page: Page, id: str, trace: int, x: Any, y: Any) -> None:
    page.mouse.click(*place(page, id, trace, x, y))
    flush(page)


def state(page: Page) -> dict[str, Any]:
    return page.evaluate("({ ...window.page.state })")


def lit(page: Page, id: str, trace: int) -> list[int]:
    """The points or bars of a trace that are lit."""
    return page.evaluate(
        """([id, trace]) => {
          const panel = window.page.panels.get(id);
          const lit = panel.lit(trace);
          return lit.some ? panel.indices(trace).filter((i) => lit.of(i)) : [];
        }""",
        [id, trace],
    )
