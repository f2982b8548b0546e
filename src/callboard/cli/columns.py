"""Aligned columns for terminals, logs and bug reports alike: plain text, never wrapped."""

from collections.abc import Iterable


def show_columns(rows: Iterable[tuple[str, ...]], *, indent: str = "  ") -> None:
    all_rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
    for row in all_rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print((indent + "  ".join(cells)).rstrip())
