"""Numbers as people write them: 1.9 × 10⁻⁷, 99.4 %, 12,769, −0.05."""

import math

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ABSENT = "–"
"""What stands for a number that does not exist: NaN or an infinite one."""
SPACE = "\N{NO-BREAK SPACE}"
"""Between a number and the percent sign; a line never breaks there."""
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
    """A share as a percentage; more places where it would else read as 0 % or 100 % and is neither."""
    if not math.isfinite(share):
        return ABSENT
    value = 100 * share
    while places < 6 and (float(f"{value:.{places}f}") in (0.0, 100.0)) and value not in (0.0, 100.0):
        places += 1
    text = f"{abs(value):,.{places}f}"
    if value in (0.0, 100.0):
        text = f"{abs(value):.0f}"
    elif float(text.replace(",", "")) == 0:
        text = number(abs(value), 2)
    return f"{'−' if value < 0 else ''}{text}{SPACE}%"


def _short(text: str) -> str:
    """The number without zeros at the end of its fraction."""
    return text.rstrip("0").rstrip(".") if "." in text else text
