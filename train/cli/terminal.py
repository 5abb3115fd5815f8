"""Printing with control characters escaped, for text from untrusted files; no other module prints."""

import sys
import unicodedata

LONGEST = 4_000
"""Upper limit on the characters of an error line."""
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: object) -> str:
    """Text as one line, with every character that could control a terminal escaped, such as ``\\x1b``.

    Escaped are control characters (which start escape sequences), line and paragraph separators, format characters
    (which can reverse the direction of text), and lone surrogates (from file names that are not UTF-8): Unicode's
    categories Cc, Zl, Zp, Cf and Cs.
    """
    plain = str(text)
    return plain if plain.isascii() and plain.isprintable() else "".join(map(_escaped, plain))


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{code:02x}" if code < 2**8 else f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


def say(*lines: object) -> None:
    """Print lines on standard output, with control characters escaped."""
    for line in lines:
        print(printable(line))


def tell(*lines: object) -> None:
    """Print lines on standard error, flushed, with control characters escaped."""
    for line in lines:
        print(printable(line), file=sys.stderr, flush=True)


def remark(line: str) -> None:
    """Print one line on standard error that begins with "note: ", for information that is not an error."""
    tell("note: " + " ".join(line.split()))


def tell_error(error: object) -> None:
    """Print one line on standard error that begins with "error: "."""
    text = " ".join(str(error).split())
    tell("error: " + (text if len(text) <= LONGEST else f"{text[:LONGEST]}..."))


def confirmed(question: str) -> bool:
    """Whether the user answers yes to a question; False if standard input is not a terminal."""
    if not sys.stdin.isatty():
        return False
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
