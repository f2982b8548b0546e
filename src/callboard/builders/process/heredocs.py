"""Here-documents of Dockerfiles, taken out of the text before it is split into instructions.

The kept parser does not know them and would read their lines as instructions.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from callboard.builders.process.errors import BuildFailed

_TAKING = re.compile(r"\s*(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s", re.IGNORECASE)
_MARK = re.compile(r"(?<![<\w])<<(-?)\s*([\"']?)([A-Za-z_]\w*)\2")
_COMMENT = re.compile(r"\s*#")

Lines: TypeAlias = list[tuple[int, str]]


@dataclass(frozen=True)
class Heredoc:
    """`expands`: whether variables in it are put in, which quotes around its name prevent."""

    name: str
    content: str
    expands: bool


def without_marks(text: str) -> str:
    """What is left of an instruction's value without the names of its here-documents."""
    return _MARK.sub("", text)


def take_out(text: str, escape: str) -> tuple[Lines, dict[int, tuple[Heredoc, ...]]]:
    """The other lines with their 1-based numbers, and the documents by the line their instruction starts in."""
    source = list(enumerate(text.splitlines(), start=1))
    kept: Lines = []
    found: dict[int, tuple[Heredoc, ...]] = {}
    at = 0
    while at < len(source):
        end = _instruction_end(source, at, escape)
        kept += source[at:end]
        start = source[at][0]
        whole = " ".join(line for _, line in source[at:end] if not _COMMENT.match(line))
        at = end
        if _TAKING.match(whole) and (marks := list(_MARK.finditer(whole))):
            documents = list(_documents(marks, source, at))
            found[start] = tuple(document for document, _ in documents)
            at = documents[-1][1]
    return kept, found


def _instruction_end(source: Lines, at: int, escape: str) -> int:
    """The index after the last line of what starts at `at`; comments and blank lines do not end it."""
    is_open = False
    while at < len(source):
        line = source[at][1]
        at += 1
        if line.strip() and not _COMMENT.match(line):
            is_open = line.rstrip().endswith(escape)
        if not is_open:
            break
    return at


def _documents(
    marks: Sequence[re.Match[str]], source: Lines, at: int
) -> Iterator[tuple[Heredoc, int]]:
    """Each document, and the index after its last line."""
    for mark in marks:
        strips, quote, name = mark.groups()
        body: list[str] = []
        for number, (_, line) in enumerate(source[at:], start=at + 1):
            shown = line.lstrip("\t") if strips else line
            if shown == name:
                at = number
                break
            body.append(shown + "\n")
        else:
            raise BuildFailed(
                f"Dockerfile line {source[at - 1][0]}: the here-document {name} has no end."
            )
        yield Heredoc(name, "".join(body), not quote), at
