"""Claims: sentences about a run, with the numbers that they quote and the baselines of these numbers."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from interp.html.numbers import number

Number = float | int


@dataclass(frozen=True)
class Claim:
    """One statement about a run's data.

    Attributes:
        id: name of the claim, such as "outcome.grokked", which does not depend on the wording.
        text: the sentence, or the part of one, in the page's markdown.
        numbers: what the text quotes, by name, unrounded; every one is finite (plain floats and ints).
        against: the baseline that the numbers are to be compared with, in words; empty where a count needs none.
    """

    id: str
    text: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    against: str = ""

    def __post_init__(self) -> None:
        plain = {name: value if isinstance(value, int) else float(value) for name, value in self.numbers.items()}
        object.__setattr__(self, "numbers", plain)
        absent = {name: value for name, value in self.numbers.items() if not math.isfinite(value)}
        assert not absent, f"claim {self.id} quotes what does not exist: {absent}"


class Said(str):
    """Text of a page that knows which claims it makes; otherwise a plain string."""

    claims: tuple[Claim, ...]

    def __new__(cls, text: str, claims: tuple[Claim, ...]) -> "Said":
        """The text with its claims."""
        self = super().__new__(cls, text)
        self.claims = claims
        return self


def said(*parts: Claim | str | None) -> Said:
    """Join sentences, leaving out None and empty ones. Plain strings are sentences about the method."""
    kept = [part for part in parts if part]
    claims = tuple(
        claim
        for part in kept
        for claim in ([part] if isinstance(part, Claim) else part.claims if isinstance(part, Said) else [])
    )
    return Said(" ".join(part.text if isinstance(part, Claim) else part for part in kept), claims)


def claims_of(blocks: Iterable[Any]) -> list[Claim]:
    """The claims in a page's blocks, in reading order, without the texts under a figure's slider."""
    found: list[Claim] = []
    for block in blocks:
        assert is_dataclass(block)
        for part in fields(block):
            value = getattr(block, part.name)
            if isinstance(value, Said):
                found += value.claims
    return found


def is_there(value: Any) -> bool:
    """Whether a value is a finite number: not None, NaN, infinite, or the reason for its absence."""
    return isinstance(value, float | int) and math.isfinite(value)


def listed(words: Sequence[str]) -> str:
    """Words as an English list: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def frequencies(ks: Iterable[int]) -> str:
    """Frequencies as an English list: "frequencies 3, 5 and 9"."""
    names = list(map(str, ks))
    return f"frequenc{'y' if len(names) == 1 else 'ies'} {listed(names)}"


def capital(text: str) -> str:
    """The text with a capital letter first."""
    return text[:1].upper() + text[1:]


def changed(
    id: str,
    what: str,
    steps: Sequence[int],
    values: Sequence[Any],
    form: Callable[[float], str] = number,
    against: str = "",
    is_step_known: bool = True,
) -> Claim | None:
    """A sentence on the first and last finite value of a curve, or on its only value; None without a value.

    Args:
        id: of the claim.
        what: subject of the sentence, a singular noun phrase.
        steps: of the values, rising.
        values: numbers; those that are not finite are passed over.
        form: writes a value, with its unit.
        against: baseline, as in ``Claim``.
        is_step_known: whether the step numbers are known; some imports do not record them.
    """
    what = capital(what)
    there = [(step, float(value)) for step, value in zip(steps, values, strict=True) if is_there(value)]
    if not there:
        return None
    (first, start), (last, end) = there[0], there[-1]
    if first == last:
        when = f" at step {last:,}" if is_step_known else ""
        return Claim(id, f"{what} is {form(end)}{when}.", {"last": end}, against)
    numbers = {"first": start, "last": end, "first_step": first, "last_step": last}
    if form(start) == form(end):
        return Claim(id, f"{what} is {form(end)} both at step {first:,} and at step {last:,}.", numbers, against)
    way = "rises" if end > start else "falls"
    text = f"{what} {way} from {form(start)} at step {first:,} to {form(end)} at step {last:,}."
    return Claim(id, text, numbers, against)
