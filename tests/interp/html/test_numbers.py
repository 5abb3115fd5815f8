"""Numbers as people write them: each is read back by a parser of its own."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

SUPER = dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True))


def read(text: str) -> float:
    """The value of a written number, in steps of a plain grammar."""
    found = re.fullmatch(r"(−?)([\d,]+(?:\.\d+)?)(?: × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?(\u00a0%)?", text)
    assert found is not None, text
    value = float(found[2].replace(",", ""))
    if found[3]:
        value *= 10.0 ** int("".join(SUPER[c] for c in found[3]))
    return (-1 if found[1] else 1) * value / (100 if found[4] else 1)


@given(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30).filter(
        lambda x: x == 0 or abs(x) > 1e-30
    )
)
def test_a_number_is_read_back_to_its_digits(value):
    from interp.html.numbers import number

    for digits in (2, 3, 4):
        assert read(number(value, digits)) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@given(st.floats(min_value=-2, max_value=2))
def test_a_share_is_read_back_and_only_the_whole_is_the_whole(share):
    from interp.html.numbers import percent

    text = percent(share)
    assert read(text) == pytest.approx(share, abs=0.00051, rel=1e-9)
    for whole in (0, 1):
        if share == whole or abs(share - whole) > 1e-6:  # four places after the point
            assert (read(text) == whole) == (share == whole)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.9e-7, "1.9 × 10⁻⁷"), (0.000223, "2.23 × 10⁻⁴"), (0.0123, "0.0123"), (12769, "12,769"), (6.18, "6.18"),
        (0.9996e-3, "0.001"), (999_600.0, "999,600"), (999_999.9, "10⁶"), (-0.05, "−0.05"), (0, "0"), (0.5, "0.5"),
        (1234.56, "1,235"), (2e7, "2 × 10⁷"), (float("nan"), "–"), (float("inf"), "–"),
    ],
)  # fmt: skip
def test_written(value, text):
    from interp.html.numbers import number

    assert number(value).replace("1 × 10⁶", "10⁶") == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.994, "99.4"), (1, "100"), (0, "0"), (0.99996, "99.996"), (0.00002, "0.002"), (0.5, "50.0"),
        (-0.25, "−25.0"), (1e-9, "0"), (-1e-9, "0"), (1 - 1e-9, "100"), (3e-6, "0.0003"),
    ],
)  # fmt: skip
def test_percentages(share, text):
    from interp.html.numbers import percent

    assert percent(share) == f"{text}\u00a0%"
    assert percent(math.nan) == "–"
