"""Numbers as people write them: 1.9 × 10⁻⁷, 99.4 %, 12,769, −0.05."""

import math

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ABSENT = "–"
"""What stands for a number that does not exist: NaN or an infinite one."""
SPACE = "\N{NO-BREAK SPACE}"
"""Between a number and the percent sign; a line never breaks there."""
MOST_PLACES = 4
"""Largest number of places of a percentage."""
PLAIN = (1e-3, 1e6)
"""Numbers from the first to below the second are written without a power of ten."""


def number(value: float, digits: int = 3) -> str:
    """A number to so many significant digits; whole numbers below a million keep all of theirs."""
    if not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    size, sign = abs(value), "−" if value < 0 else ""
    rounded = float(f"{size:.{digits - 1}e}")
    if size == int(size) and size < PLAIN[1]:
        return f"{sign}{int(size):,}"
    if not PLAIN[0] <= rounded < PLAIN[1]:
        mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
        return f"{sign}{_short(mantissa)} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    places = max(0, digits - 1 - math.floor(math.log10(rounded)))
    return f"{sign}{_short(f'{size:,.{places}f}')}"


def percent(share: float, places: int = 1) -> str:
    """A share as a percentage; up to four places where it would else read as 0 % or 100 % and is neither."""
    if not math.isfinite(share):
        return ABSENT
    value, written = 100 * share, places
    while written < MOST_PLACES and float(f"{value:.{written}f}") in (0.0, 100.0) and value not in (0.0, 100.0):
        written += 1
    rounded = float(f"{value:.{written}f}")
    text = f"{rounded:.0f}" if rounded in (0.0, 100.0) else f"{abs(rounded):,.{written}f}"
    return f"{'−' if rounded < 0 else ''}{text.removeprefix('-')}{SPACE}%"


def _short(text: str) -> str:
    """The number without zeros at the end of its fraction."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def fixed(value: float, places: int = 2) -> str:
    """A number with so many places after the point, such as a score between 0 and 1."""
    text = f"{value:,.{places}f}" if math.isfinite(value) else ABSENT
    return text.replace("-", "−") if float(text.replace(",", "") if text != ABSENT else 0) else text.removeprefix("-")
