"""Colours: contrast by the formula of WCAG 2.2 on both grounds of the page, and one colour for a frequency."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def grounds() -> list[str]:
    """The panels' colours, light and dark, from the page's own style."""
    css = (ROOT / "interp/html/assets/page.css").read_text()
    return [*re.findall(r"--panel-(?:light|dark):\s*(#[0-9a-fA-F]{6})", css)]


def test_every_line_stands_out_on_both_grounds():
    from interp.figures.style import CURSOR, PALETTE, TEST, TRAIN, frequency_colour

    assert len(grounds()) == 2 and contrast("#ffffff", "#000000") == pytest.approx(21)
    drawn = {*PALETTE, TRAIN, TEST, CURSOR, *(frequency_colour(k, (3, 7)) for k in range(1, 60))}
    for colour in sorted(drawn):
        assert min(contrast(colour, ground) for ground in grounds()) >= 3, colour
    assert min(contrast("#000000", ground) for ground in grounds()) < 3  # control: black is lost on the dark ground


def test_no_figure_names_black_or_white_for_a_line():
    for path in (ROOT / "interp/figures").glob("*.py"):
        assert not re.search(r"#(000000|ffffff|000|fff)\b", path.read_text(), re.IGNORECASE), path


def test_key_frequencies_have_the_palette_in_order_and_others_are_pale():
    from interp.figures.style import PALETTE, frequency_colour

    keys = (14, 3, 56)
    assert [frequency_colour(k, keys) for k in keys] == list(PALETTE[:3])
    others = [frequency_colour(k, keys) for k in range(1, 57) if k not in keys]
    assert not set(others) & set(PALETTE) and len(set(others)) > 40
    assert frequency_colour(5, keys) == frequency_colour(5, (1, 2))  # whatever the key ones are
