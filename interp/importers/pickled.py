"""Python's pickle format, read without Python's own reader: an interpreter of its opcodes that can call nothing.

It builds plain values, containers and what ``records`` makes of the names that a file holds; no name is ever imported
and no object's method called, so that nothing in a file can run, whatever it holds. The opcodes are those of protocols
0 to 5 as the standard library's pickletools describes them. A file may take ``MAX_OPCODES`` of them, and builds no more
than it has bytes for.
"""

import struct
from collections.abc import Callable
from typing import Any

from train.errors import DataError

from .records import Name, Record, call, key, tell

MAX_OPCODES = 6_000_000
"""Less than two seconds of them."""
MAX_CALLS = 120_000
"""Tensors and other objects: losses of 60,000 epochs, kept as tensors."""
MAX_COPIED = 50_000_000
"""Items and bytes that containers made of containers may have in all."""
MAX_DIGITS = 4000
STOP = ord(".")
Persistent = Callable[[Any], Any]

_MARK = object()


def load(data: bytes, start: int, persistent: Persistent) -> tuple[Any, int]:
    """The object that begins at ``start``, and where it ends; ``persistent`` makes what lies outside of it.

    Raises:
        DataError: this is no whole object, or one that takes too much.
    """
    machine = _Machine(data, start, persistent)
    try:
        return machine.run(), machine.at
    except DataError:
        raise
    except (IndexError, KeyError, ValueError, TypeError, struct.error, UnicodeError, OverflowError) as error:
        raise DataError(f"it is damaged: at byte {machine.at} its objects break off or make no sense") from error


class _Machine:
    """A stack, a memo and a place in the bytes."""

    def __init__(self, data: bytes, start: int, persistent: Persistent) -> None:
        self.data, self.at, self.persistent = data, start, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.left, self.calls = MAX_COPIED, 0

    def run(self) -> Any:
        """The object at the end."""
        data, table = self.data, _TABLE
        for _ in range(MAX_OPCODES):
            code = data[self.at]
            self.at += 1
            if code == STOP:
                return self.pop()
            table[code](self)
        raise DataError(f"it takes more than {MAX_OPCODES:,} steps to read: no model here has so many objects")

    # ---- bytes -----------------------------------------------------------------------------------

    def take(self, n: int) -> bytes:
        """The next ``n`` bytes."""
        found = self.data[self.at : self.at + n] if 0 <= n <= len(self.data) - self.at else None
        if found is None:
            raise IndexError
        self.at += n
        return found

    def number(self, form: str) -> Any:
        """The next number."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """The text up to the end of the line."""
        end = self.data.index(b"\n", self.at)
        text = self.take(end - self.at).decode("latin1")
        self.at += 1
        return text

    # ---- the stack -------------------------------------------------------------------------------

    def pop(self) -> Any:
        """The topmost value."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError
        return value

    def above(self) -> list[Any]:
        """What lies above the last mark, which goes too."""
        place = self.marks.pop()
        found = self.stack[place + 1 :]
        del self.stack[place:]
        return found

    def copied(self, *values: Any) -> None:
        """Count a call, and what it is about to copy."""
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise DataError(f"it holds more than {MAX_CALLS:,} objects: no model here has so many")
        self.left -= sum(len(value) for value in values if isinstance(value, str | bytes | list | tuple | dict))
        if self.left < 0:
            raise DataError("it copies its own parts over and over: no model here is so made")

    # ---- opcodes ---------------------------------------------------------------------------------

    def get_1(self) -> None:
        """What the memo has under a number of one byte."""
        self.stack.append(self.memo[self.data[self.at]])
        self.at += 1

    def put_1(self) -> None:
        """The topmost value into the memo."""
        self.memo[self.data[self.at]] = self.stack[-1]
        self.at += 1

    def put_next(self) -> None:
        """The topmost value into the memo, under the next number."""
        self.memo[len(self.memo)] = self.stack[-1]

    def mark(self) -> None:
        """The beginning of items."""
        self.marks.append(len(self.stack))
        self.stack.append(_MARK)

    def group(self, n: int) -> None:
        """A tuple of the topmost values."""
        values = tuple(self.pop() for _ in range(n))[::-1]
        self.stack.append(values)

    def extend(self, items: list[Any]) -> None:
        """Items of a list, a set or an object like these."""
        target = self.stack[-1]
        found = target.items if isinstance(target, Record) else target
        if not isinstance(found, list):
            raise ValueError
        found.extend(items)

    def put_items(self, items: list[Any]) -> None:
        """Items of a dictionary, or of an object like it."""
        target = self.stack[-1]
        mapping = target.fields if isinstance(target, Record) else target
        if not isinstance(mapping, dict):
            raise ValueError
        for name, value in zip(items[::2], items[1::2], strict=True):
            mapping[key(name)] = value

    def dictionary(self, items: list[Any]) -> None:
        """A dictionary of items."""
        self.stack.append({})
        self.put_items(items)

    def reduce(self) -> None:
        """A call, or a new object: of the same closed list."""
        args, function = self.pop(), self.pop()
        self.copied(*(args if isinstance(args, tuple) else ()))
        self.stack.append(call(function, args))

    def new_with_names(self) -> None:
        """A new object with named arguments."""
        names, args, kind = self.pop(), self.pop(), self.pop()
        made = call(kind, args)
        tell(made, names)
        self.stack.append(made)

    def build(self) -> None:
        """Attributes of an object."""
        state = self.pop()
        self.copied(*(state if isinstance(state, tuple) else (state,)))
        tell(self.stack[-1], state)

    def named(self) -> None:
        """A class or function by two texts."""
        name, module = self.pop(), self.pop()
        self.stack.append(Name(str(module), str(name)))

    def instance(self, kind: Any, args: list[Any]) -> None:
        """An object of an old class."""
        self.copied(args)
        self.stack.append(call(kind, tuple(args)))


def _text_number(text: str) -> int | bool:
    if len(text) > MAX_DIGITS:
        raise ValueError
    return text == "01" if text in ("00", "01") else int(text.removesuffix("L"))


def _long(machine: _Machine, n: int) -> None:
    machine.stack.append(int.from_bytes(machine.take(min(n, MAX_DIGITS) if n >= 0 else n), "little", signed=True))
    machine.take(max(0, n - MAX_DIGITS))


def _object(machine: _Machine) -> None:
    kind, *args = machine.above()
    machine.instance(kind, args)


def _extension(form: str) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(Name("extension", str(m.number(form))))


def _quoted(text: str) -> bytes:
    """A text between quotes, as protocol 0 writes the texts of Python 2; escapes stay as they are written."""
    return text[1:-1].encode("latin1")


def _pop(machine: _Machine) -> None:
    if machine.stack.pop() is _MARK:
        machine.marks.pop()


def _value(form: str) -> Callable[[_Machine], None]:
    """Pushes a number of this format."""
    size, unpack = struct.calcsize(form), struct.Struct(form).unpack
    return lambda m: m.stack.append(unpack(m.take(size))[0])


def _text(form: str) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(str(m.take(m.number(form)), "utf-8", "surrogatepass"))


def _bytes(form: str) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(m.take(m.number(form)))


_STEPS: dict[bytes, Callable[[_Machine], Any]] = {
    b"h": _Machine.get_1,
    b"q": _Machine.put_1,
    b"j": lambda m: m.stack.append(m.memo[m.number("<I")]),
    b"r": lambda m: m.memo.__setitem__(m.number("<I"), m.stack[-1]),
    b"\x94": _Machine.put_next,
    b"(": _Machine.mark,
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
    b"\x98": lambda m: None,  # what was pushed last is not to be written to
    b"0": _pop,
    b"1": _Machine.above,
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
    b"R": _Machine.reduce,
    b"\x81": _Machine.reduce,
    b"\x92": _Machine.new_with_names,
    b"b": _Machine.build,
    b"c": lambda m: m.stack.append(Name(m.line(), m.line())),
    b"\x93": _Machine.named,
    b"i": lambda m: m.instance(Name(m.line(), m.line()), m.above()),
    b"o": _object,
    b"P": lambda m: m.stack.append(m.persistent(m.line())),
    b"Q": lambda m: m.stack.append(m.persistent(m.pop())),
    b"\x82": _extension("<B"),
    b"\x83": _extension("<H"),
    b"\x84": _extension("<i"),
}
"""What each opcode does."""


def _stop_here(_machine: _Machine) -> None:
    raise ValueError


_TABLE = [_STEPS.get(bytes([code]), _stop_here) for code in range(256)]
