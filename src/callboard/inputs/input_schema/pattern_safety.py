"""Refuses regular expressions that do not compile, or that can take exponential time to match.

Callboard's own engine is bounded either way, but the Actor and the clients check the same pattern with
engines that backtrack, so the contract fails the build. The test is exact for the usual constructs: a
loop is refused when some text leads through it from one place back to the same place in two ways, as in
`(a+)+` or `(a|a)*`. Loops too large to examine pass.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Final

from callboard.inputs.input_schema.char_sets import Chars
from callboard.inputs.input_schema.js_pattern import InvalidPattern, compiled, strict
from callboard.inputs.input_schema.pattern_syntax import (
    Choice,
    Look,
    Node,
    Repeat,
    Sequence,
    Unreadable,
    children,
    parse,
)

_MANY: Final = 10
"""A count that may vary by this much is examined as if it had no upper bound."""
_MAX_PLACES: Final = 400
_MAX_STEPS: Final = 100_000


class PatternRefused(Exception):
    """The message completes the sentence "The regular expression ... "."""


@lru_cache(maxsize=256)
def check_pattern(pattern: str) -> None:
    """Raise `PatternRefused` for an expression that is invalid or unsafe."""
    try:
        compiled(pattern)
    except InvalidPattern as error:
        raise PatternRefused("must be valid") from error
    try:
        node = parse(strict(pattern))
    except Unreadable:
        return
    if _is_explosive(node):
        raise PatternRefused("may cause excessive backtracking or be unsafe to execute")


class _TooLarge(Exception):
    pass


def _is_explosive(node: Node) -> bool:
    if isinstance(node, Repeat) and _is_loop(node):
        try:
            return _loop_is_ambiguous(node.body) or _has_explosive_look(node.body)
        except _TooLarge:
            return False
    return any(_is_explosive(child) for child in children(node))


def _has_explosive_look(node: Node) -> bool:
    if isinstance(node, Look):
        return _is_explosive(node.body)
    return any(_has_explosive_look(child) for child in children(node))


def _is_loop(node: Repeat) -> bool:
    return node.most is None or node.most - node.least >= _MANY


@dataclass
class _Automaton:
    """Places are the character sets of the expression; an edge counts the ways from one to the next."""

    places: list[Chars] = field(default_factory=list[Chars])
    edges: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])

    def add(self, chars: Chars) -> int:
        if len(self.places) >= _MAX_PLACES:
            raise _TooLarge
        self.places.append(chars)
        return len(self.places) - 1

    def join(self, ends: list[int], starts: list[int]) -> None:
        if len(self.edges) + len(ends) * len(starts) > _MAX_STEPS:
            raise _TooLarge
        self.edges.update((end, start) for end in ends for start in starts)


@dataclass
class _Piece:
    """Where a part of the expression can begin and end, and whether it can match nothing."""

    starts: list[int] = field(default_factory=list[int])
    ends: list[int] = field(default_factory=list[int])
    empty: bool = True


def _build(node: Node, automaton: _Automaton) -> _Piece:
    match node:
        case Chars():
            place = automaton.add(node)
            return _Piece([place], [place], empty=False)
        case Sequence(parts):
            return _chained([_build(part, automaton) for part in parts], automaton)
        case Choice(options):
            pieces = [_build(option, automaton) for option in options]
            return _Piece(
                [start for piece in pieces for start in piece.starts],
                [end for piece in pieces for end in piece.ends],
                empty=any(piece.empty for piece in pieces),
            )
        case Repeat():
            return _repeated(node, automaton)
        case Look():
            return _Piece()


def _chained(pieces: list[_Piece], automaton: _Automaton) -> _Piece:
    whole = _Piece()
    for piece in pieces:
        automaton.join(whole.ends, piece.starts)
        whole.starts += piece.starts if whole.empty else []
        whole.ends = [*whole.ends, *piece.ends] if piece.empty else piece.ends
        whole.empty = whole.empty and piece.empty
    return whole


def _repeated(node: Repeat, automaton: _Automaton) -> _Piece:
    """Copies in a row, of which those past the least may be left off from the end."""
    pieces = [_build(node.body, automaton) for _ in range(_copies(node))]
    if not pieces:
        return _Piece()
    for piece, following in pairwise(pieces):
        automaton.join(piece.ends, following.starts)
    if _is_loop(node):
        automaton.join(pieces[-1].ends, pieces[-1].starts)
    ends = [end for piece in pieces[max(node.least, 1) - 1 :] for end in piece.ends]
    return _Piece(pieces[0].starts, ends, empty=node.least == 0 or pieces[0].empty)


def _copies(node: Repeat) -> int:
    if _is_loop(node):
        return max(node.least, 1)
    return node.least if node.most is None else node.most


def _loop_is_ambiguous(body: Node) -> bool:
    """Whether `(body)*` has two different ways to read one text from a place back to itself.

    Inside a loop every place reaches every other. So it is enough that two ways part at one place and can
    meet again on the same characters.
    """
    automaton = _Automaton()
    piece = _build(body, automaton)
    automaton.join(piece.ends, piece.starts)
    if any(ways > 1 for ways in automaton.edges.values()):
        return True
    return _parted_ways_meet(automaton)


def _parted_ways_meet(automaton: _Automaton) -> bool:
    after: defaultdict[int, list[int]] = defaultdict(list)
    for source, target in automaton.edges:
        after[source].append(target)
    steps = 0
    waiting = [(place, place) for place in list(after)]
    seen = set(waiting)
    while waiting:
        one, other = waiting.pop()
        steps += len(after[one]) * len(after[other])
        if steps > _MAX_STEPS:
            raise _TooLarge
        for pair in _next_pairs(automaton, after[one], after[other]):
            if pair[0] == pair[1] and one != other:
                return True
            if pair not in seen:
                seen.add(pair)
                waiting.append(pair)
    return False


def _next_pairs(automaton: _Automaton, ones: list[int], others: list[int]) -> list[tuple[int, int]]:
    places = automaton.places
    return [
        (min(one, other), max(one, other))
        for one in ones
        for other in others
        if places[one].meets(places[other])
    ]
