"""Reads a regular expression of the JavaScript kind into the few shapes that matter for its run time.

Only what decides how many ways there are to match is kept: sets of characters, sequence, choice and
repetition. Anchors, boundaries and back references match nothing here; lookarounds stand apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from callboard.inputs.input_schema.char_sets import (
    CLASSES,
    EVERYTHING,
    NOT_LINE_END,
    PROPERTIES,
    Chars,
    all_but,
    char_set,
)

_MAX_DEPTH: Final = 100


@dataclass(frozen=True)
class Sequence:
    parts: tuple["Node", ...] = ()


@dataclass(frozen=True)
class Choice:
    options: tuple["Node", ...]


@dataclass(frozen=True)
class Repeat:
    body: "Node"
    least: int
    most: int | None


@dataclass(frozen=True)
class Look:
    """A lookahead or lookbehind: takes no characters itself."""

    body: "Node"


Node = Chars | Sequence | Choice | Repeat | Look
NOTHING: Final = Sequence()


class Unreadable(Exception):
    """The expression is not one this reader follows; whoever compiles it says whether it is valid."""


def children(node: Node) -> Iterator[Node]:
    match node:
        case Sequence(parts):
            yield from parts
        case Choice(options):
            yield from options
        case Repeat(body=body) | Look(body=body):
            yield body
        case Chars():
            return


_CONTROLS: Final = {"n": 10, "r": 13, "t": 9, "v": 11, "f": 12, "0": 0}


def parse(pattern: str) -> Node:
    """Raises `Unreadable`."""
    reader = _Reader(pattern)
    node = reader.choice(depth=0)
    if not reader.ended:
        raise Unreadable
    return node


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at >= len(self._text)

    def _peek(self, what: str) -> bool:
        return self._text.startswith(what, self._at)

    def _skip(self, what: str) -> bool:
        found = self._peek(what)
        self._at += len(what) if found else 0
        return found

    def _next(self) -> str:
        if self.ended:
            raise Unreadable
        self._at += 1
        return self._text[self._at - 1]

    def _until(self, end: str) -> str:
        stop = self._text.find(end, self._at)
        if stop < 0:
            raise Unreadable
        text, self._at = self._text[self._at : stop], stop + len(end)
        return text

    def choice(self, *, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise Unreadable
        options = [self._sequence(depth)]
        while self._skip("|"):
            options.append(self._sequence(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while not self.ended and not self._peek("|") and not self._peek(")"):
            parts.append(self._quantified(self._atom(depth)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _quantified(self, atom: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return atom
        self._skip("?")
        return Repeat(atom, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._skip(sign):
                return bounds
        if not self._skip("{"):
            return None
        least, comma, most = self._until("}").partition(",")
        if not least.isdecimal() or not (most.isdecimal() or most == ""):
            raise Unreadable
        return int(least), (int(most) if most else None if comma else int(least))

    def _atom(self, depth: int) -> Node:
        char = self._next()
        if char in "^$":
            return NOTHING
        if char == ".":
            return NOT_LINE_END
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape() or NOTHING
        if char in "*+?{":
            raise Unreadable
        return char_set((ord(char), ord(char)))

    def _group(self, depth: int) -> Node:
        looks = any(self._skip(sign) for sign in ("?=", "?!", "?<=", "?<!"))
        if not looks and not self._skip("?:") and self._skip("?<"):
            self._until(">")
        body = self.choice(depth=depth + 1)
        if not self._skip(")"):
            raise Unreadable
        return Look(body) if looks else body

    def _escape(self) -> Chars | None:
        """The characters an escape stands for, or None when it takes none."""
        char = self._next()
        if char in "bB" or char in "123456789":
            return None
        if char == "k" and self._skip("<"):
            self._until(">")
            return None
        if char in CLASSES:
            return CLASSES[char]
        if char in "pP" and self._skip("{"):
            found = PROPERTIES.get(self._until("}")[:1], EVERYTHING)
            return found if char == "p" else EVERYTHING
        code = self._code(char)
        return char_set((code, code))

    def _code(self, char: str) -> int:
        if char == "u" and self._skip("{"):
            return self._hex(self._until("}"))
        if char in "ux":
            digits = "".join(self._next() for _ in range(4 if char == "u" else 2))
            return self._hex(digits)
        if char == "c":
            return ord(self._next()) % 32
        return _CONTROLS.get(char, ord(char))

    def _hex(self, digits: str) -> int:
        try:
            return int(digits, 16)
        except ValueError as error:
            raise Unreadable from error

    def _class(self) -> Chars:
        negated = self._skip("^")
        ranges: list[tuple[int, int]] = []
        while not self._skip("]"):
            low = self._class_atom()
            if self._peek("-") and not self._peek("-]") and len(low.ranges) == 1:
                self._skip("-")
                high = self._class_atom()
                ranges.append((low.ranges[0][0], high.ranges[-1][1]))
            else:
                ranges.extend(low.ranges)
        chars = char_set(*ranges)
        return all_but(chars) if negated else chars

    def _class_atom(self) -> Chars:
        char = self._next()
        if char == "\\":
            return self._escape() or char_set((8, 8))
        return char_set((ord(char), ord(char)))
