"""The state of a pickle's reader, and the operations that its opcodes are made of: see ``pickled``."""

import struct
from collections.abc import Callable
from typing import Any

from train.errors import DataError

from .records import Name, Record, call, key, tell

MAX_CALLS = 120_000
"""Most objects, tensors among them, that a file may make: enough for losses of 60,000 epochs kept as tensors."""
MAX_COPIED = 50_000_000
"""Most items and bytes that a file may copy from containers into others, in all."""
Persistent = Callable[[Any], Any]
"""Makes the object that a persistent id stands for, such as a storage."""
MARK = object()
"""On the stack below the items of a container that is being built."""


class Machine:
    """A stack, a memo and a place in the bytes."""

    def __init__(self, data: bytes, start: int, persistent: Persistent) -> None:
        self.data, self.at, self.persistent = data, start, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.left, self.calls = MAX_COPIED, 0

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
        if value is MARK:
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
        self.stack.append(MARK)

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
