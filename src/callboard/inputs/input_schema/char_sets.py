"""Sets of characters, as regular expressions name them."""

from dataclasses import dataclass
from typing import Final

_LAST: Final = 0x10FFFF


@dataclass(frozen=True)
class Chars:
    """One character out of sorted, disjoint ranges, both ends included."""

    ranges: tuple[tuple[int, int], ...]

    def meets(self, other: "Chars") -> bool:
        return any(a <= d and c <= b for a, b in self.ranges for c, d in other.ranges)


def char_set(*ranges: tuple[int, int]) -> Chars:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return Chars(tuple(merged))


def all_but(chars: Chars) -> Chars:
    gaps: list[tuple[int, int]] = []
    at = 0
    for low, high in chars.ranges:
        if at < low:
            gaps.append((at, low - 1))
        at = high + 1
    if at <= _LAST:
        gaps.append((at, _LAST))
    return Chars(tuple(gaps))


_BEYOND_ASCII: Final = (0x80, _LAST)
_DIGITS: Final = char_set((48, 57))
_WORD: Final = char_set((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final = char_set(
    (9, 13), (32, 32), (0xA0, 0xA0), (0x2000, 0x200A), (0x2028, 0x2029), (0xFEFF, 0xFEFF)
)
NOT_LINE_END: Final = all_but(char_set((10, 10), (13, 13), (0x2028, 0x2029)))
CLASSES: Final = {
    "d": _DIGITS,
    "D": all_but(_DIGITS),
    "w": _WORD,
    "W": all_but(_WORD),
    "s": _SPACE,
    "S": all_but(_SPACE),
}
PROPERTIES: Final = {
    "L": char_set((65, 90), (97, 122), _BEYOND_ASCII),
    "N": char_set((48, 57), _BEYOND_ASCII),
}
EVERYTHING: Final = char_set((0, _LAST))
