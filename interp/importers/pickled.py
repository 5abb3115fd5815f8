"""Python's pickle format, read without Python's own reader: an interpreter of its opcodes that can call nothing.

The interpreter builds plain values, containers and what ``records`` makes of the names that a file holds; no name is
ever imported and no object's method called, so that nothing in a file can run, whatever it holds. The opcodes are those
of protocols 0 to 5 as the standard library's pickletools describes them. A file may take ``MAX_OPCODES`` of them, and
builds no more than it has bytes for.
"""

import struct
from collections.abc import Callable
from typing import Any

from train.errors import DataError

from .machine import MARK, Machine, Persistent
from .records import Name

MAX_OPCODES = 6_000_000
"""Largest number of opcodes of a file: less than two seconds of work."""
MAX_DIGITS = 4000
"""Largest number of digits or bytes of an integer."""
STOP = ord(".")


def load(data: bytes, start: int, persistent: Persistent) -> tuple[Any, int]:
    """The object that begins at ``start``, and where its bytes end.

    Args:
        data: bytes of the file.
        start: index of the first opcode.
        persistent: makes the object that a persistent id stands for.

    Raises:
        DataError: the bytes are no whole object, or one that takes too much to read.
    """
    machine = Machine(data, start, persistent)
    try:
        return _run(machine), machine.at
    except DataError:
        raise
    except (IndexError, KeyError, ValueError, TypeError, struct.error, UnicodeError, OverflowError) as error:
        raise DataError(f"it is damaged: at byte {machine.at} its objects break off or make no sense") from error


def _run(machine: Machine) -> Any:
    """Execute opcodes up to the one that ends the object, and return the object."""
    data, table = machine.data, _TABLE
    for _ in range(MAX_OPCODES):
        code = data[machine.at]
        machine.at += 1
        if code == STOP:
            return machine.pop()
        table[code](machine)
    raise DataError(f"it takes more than {MAX_OPCODES:,} opcodes to read: no model here has so many objects")


def _text_number(text: str) -> int | bool:
    if len(text) > MAX_DIGITS:
        raise ValueError
    return text == "01" if text in ("00", "01") else int(text.removesuffix("L"))


def _long(machine: Machine, n: int) -> None:
    machine.stack.append(int.from_bytes(machine.take(min(n, MAX_DIGITS) if n >= 0 else n), "little", signed=True))
    machine.take(max(0, n - MAX_DIGITS))


def _object(machine: Machine) -> None:
    kind, *args = machine.above()
    machine.instance(kind, args)


def _extension(form: str) -> Callable[[Machine], None]:
    return lambda m: m.stack.append(Name("extension", str(m.number(form))))


def _quoted(text: str) -> bytes:
    """The bytes of a quoted text, as protocol 0 writes strings of Python 2; escapes are not decoded."""
    return text[1:-1].encode("latin1")


def _pop(machine: Machine) -> None:
    if machine.stack.pop() is MARK:
        machine.marks.pop()


def _value(form: str) -> Callable[[Machine], None]:
    """An operation that pushes a number of this format."""
    size, unpack = struct.calcsize(form), struct.Struct(form).unpack
    return lambda m: m.stack.append(unpack(m.take(size))[0])


def _text(form: str) -> Callable[[Machine], None]:
    return lambda m: m.stack.append(str(m.take(m.number(form)), "utf-8", "surrogatepass"))


def _bytes(form: str) -> Callable[[Machine], None]:
    return lambda m: m.stack.append(m.take(m.number(form)))


_STEPS: dict[bytes, Callable[[Machine], Any]] = {
    b"h": Machine.get_1,
    b"q": Machine.put_1,
    b"j": lambda m: m.stack.append(m.memo[m.number("<I")]),
    b"r": lambda m: m.memo.__setitem__(m.number("<I"), m.stack[-1]),
    b"\x94": Machine.put_next,
    b"(": Machine.mark,
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    b"]": lambda m: m.stack.append([]),
    b"\x8f": lambda m: m.stack.append([]),
    b"}": lambda m: m.stack.append({}),
    b")": lambda m: m.stack.append(()),
    b"J": _value("<i"),
    b"K": _value("<B"),
    b"M": _value("<H"),
    b"G": _value(">d"),
    b"X": _text("<I"),
    b"\x8c": _text("<B"),
    b"\x8d": _text("<Q"),
    b"B": _bytes("<I"),
    b"C": _bytes("<B"),
    b"\x8e": _bytes("<Q"),
    b"\x96": _bytes("<Q"),
    b"T": _bytes("<i"),
    b"U": _bytes("<B"),
    b"\x80": lambda m: m.take(1),  # protocol
    b"\x95": lambda m: m.take(8),  # frame
    b"\x98": lambda m: None,  # READONLY_BUFFER: the topmost value may not be written to
    b"0": _pop,
    b"1": Machine.above,
    b"2": lambda m: m.stack.append(m.stack[-1]),
    b"F": lambda m: m.stack.append(float(m.line())),
    b"I": lambda m: m.stack.append(_text_number(m.line())),
    b"L": lambda m: m.stack.append(_text_number(m.line())),
    b"\x8a": lambda m: _long(m, m.number("<B")),
    b"\x8b": lambda m: _long(m, m.number("<i")),
    b"S": lambda m: m.stack.append(_quoted(m.line())),
    b"V": lambda m: m.stack.append(m.line().encode("latin1").decode("raw-unicode-escape")),
    b"p": lambda m: m.memo.__setitem__(int(m.line()[:20]), m.stack[-1]),
    b"g": lambda m: m.stack.append(m.memo[int(m.line()[:20])]),
    b"t": lambda m: m.stack.append(tuple(m.above())),
    b"l": lambda m: m.stack.append(m.above()),
    b"\x91": lambda m: m.stack.append(m.above()),
    b"d": lambda m: m.dictionary(m.above()),
    b"\x85": lambda m: m.group(1),
    b"\x86": lambda m: m.group(2),
    b"\x87": lambda m: m.group(3),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.above()),
    b"\x90": lambda m: m.extend(m.above()),
    b"s": lambda m: m.put_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.put_items(m.above()),
    b"R": Machine.reduce,
    b"\x81": Machine.reduce,
    b"\x92": Machine.new_with_names,
    b"b": Machine.build,
    b"c": lambda m: m.stack.append(Name(m.line(), m.line())),
    b"\x93": Machine.named,
    b"i": lambda m: m.instance(Name(m.line(), m.line()), m.above()),
    b"o": _object,
    b"P": lambda m: m.stack.append(m.persistent(m.line())),
    b"Q": lambda m: m.stack.append(m.persistent(m.pop())),
    b"\x82": _extension("<B"),
    b"\x83": _extension("<H"),
    b"\x84": _extension("<i"),
}
"""The operation of each opcode."""


def _stop_here(_machine: Machine) -> None:
    raise ValueError


_TABLE = [_STEPS.get(bytes([code]), _stop_here) for code in range(256)]
