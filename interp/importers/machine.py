"""The state of a pickle's reader, and the operations that its opcodes are made of: see ``pickled``."""

import struct
from collections.abc import Callable
from typing import Any

from train.errors import DataError

from .records import Name, Record, call, key, tell

MAX_CALLS = 120_000
"""Largest number of objects, tensors included, that a file may make: room for 60,000 epochs' losses as tensors."""
MAX_COPIED = 50_000_000
"""Largest total number of items and bytes that a file may copy from one container into another."""
Persistent = Callable[[Any], Any]
"""Makes the object that a persistent id stands for, such as a storage."""
MARK = object()
"""Sentinel on the stack below the items of a container that is being built."""


class Machine:
    """The state of a pickle interpreter: a stack, a memo and a position in the bytes."""

    def __init__(self, data: bytes, start: int, persistent: Persistent) -> None:
        self.data, self.at, self.persistent = data, start, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.left, self.calls = MAX_COPIED, 0

    # ---- bytes -----------------------------------------------------------------------------------

    def take(self, n: int) -> bytes:
        """The next ``n`` bytes."""
        if not 0 <= n <= len(self.data) - self.at:
            raise IndexError
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, form: str) -> Any:
        """The next number, in a format of ``struct``."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """The text up to the next line end."""
        end = self.data.index(b"\n", self.at)
        text = self.take(end - self.at).decode("latin1")
        self.at += 1
        return text

    # ---- the stack -------------------------------------------------------------------------------

    def pop(self) -> Any:
        """Remove and return the topmost value."""
        value = self.stack.pop()
        if value is MARK:
            raise ValueError
        return value

    def above(self) -> list[Any]:
        """Remove and return the values above the last mark; the mark is removed too."""
        place = self.marks.pop()
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def copied(self, *values: Any) -> None:
        """Count a call and the size of its arguments, before it is made."""
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise DataError(f"it holds more than {MAX_CALLS:,} objects: no model here has so many")
        self.left -= sum(len(value) for value in values if isinstance(value, str | bytes | list | tuple | dict))
        if self.left < 0:
            raise DataError("it copies its own parts over and over, as no model's file does")

    # ---- opcodes ---------------------------------------------------------------------------------

    def get_1(self) -> None:
        """Push the memo's entry under a one-byte number."""
        self.stack.append(self.memo[self.data[self.at]])
        self.at += 1

    def put_1(self) -> None:
        """Store the topmost value in the memo under a one-byte number."""
        self.memo[self.data[self.at]] = self.stack[-1]
        self.at += 1

    def put_next(self) -> None:
        """Store the topmost value in the memo under the next number."""
        self.memo[len(self.memo)] = self.stack[-1]

    def mark(self) -> None:
        """Mark the beginning of a container's items."""
        self.marks.append(len(self.stack))
        self.stack.append(MARK)

    def group(self, n: int) -> None:
        """Replace the topmost ``n`` values by a tuple of them."""
        values = tuple(self.pop() for _ in range(n))[::-1]
        self.stack.append(values)

    def extend(self, items: list[Any]) -> None:
        """Append items to the topmost list, set or list-like object."""
        target = self.stack[-1]
        elements = target.items if isinstance(target, Record) else target
        if not isinstance(elements, list):
            raise ValueError
        elements.extend(items)

    def put_items(self, items: list[Any]) -> None:
        """Put keys and values, in turn, into the topmost dictionary or dictionary-like object."""
        target = self.stack[-1]
        mapping = target.fields if isinstance(target, Record) else target
        if not isinstance(mapping, dict):
            raise ValueError
        for name, value in zip(items[::2], items[1::2], strict=True):
            mapping[key(name)] = value

    def dictionary(self, items: list[Any]) -> None:
        """Push a dictionary of keys and values, in turn."""
        self.stack.append({})
        self.put_items(items)

    def reduce(self) -> None:
        """Replace a function (or class) and its arguments by the result, by the closed list of ``records``."""
        args, function = self.pop(), self.pop()
        self.copied(*(args if isinstance(args, tuple) else ()))
        self.stack.append(call(function, args))

    def new_with_names(self) -> None:
        """Replace a class, its arguments and its keyword arguments by a new object."""
        names, args, kind = self.pop(), self.pop(), self.pop()
        made = call(kind, args)
        tell(made, names)
        self.stack.append(made)

    def build(self) -> None:
        """Set attributes of the object below the topmost value, which holds them."""
        state = self.pop()
        self.copied(*(state if isinstance(state, tuple) else (state,)))
        tell(self.stack[-1], state)

    def named(self) -> None:
        """Replace a module's and a class's or function's name by a ``Name``."""
        name, module = self.pop(), self.pop()
        self.stack.append(Name(str(module), str(name)))

    def instance(self, kind: Any, args: list[Any]) -> None:
        """Push an object of an old-style class."""
        self.copied(args)
        self.stack.append(call(kind, tuple(args)))
