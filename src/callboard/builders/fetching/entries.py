"""What an archive holds, checked as a whole before anything is written.

Names decide where files land on disk, and links where later reads lead. So an entry is taken only if its name stays
in the tree, is there once, and, for a link, if following it can never leave the tree.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import IO

from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.sources import MAX_NAME_BYTES, name_fault, shown_name

_IGNORED = "__MACOSX"
"""What macOS adds to archives, beside the tree."""
_MARKERS = frozenset(
    {
        ".actor",
        "Dockerfile",
        "INPUT_SCHEMA.json",
        "apify.json",
        "main.js",
        "main.py",
        "main.sh",
        "package.json",
        "pyproject.toml",
        "requirements.txt",
    }
)
"""What shows that a folder is a project."""
_PACKAGE_FILES = frozenset({"__init__.py", "__main__.py"})


class EntryKind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


@dataclass(frozen=True)
class Entry:
    """One entry of an archive. `open` reads a file's content; it may turn out longer than the archive says."""

    name: str
    kind: EntryKind
    is_executable: bool = False
    target: str = ""
    open: Callable[[], IO[bytes]] | None = None


def collect(entries: Iterable[Entry], *, max_files: int) -> Mapping[str, Entry]:
    """The entries by clean name, the only top-level folder taken off if it is the project. Raises FetchFailed."""
    found: dict[str, Entry] = {}
    for count, entry in enumerate(entries, 1):
        if count > max_files:
            raise FetchFailed(f"The archive holds more than {max_files} entries.")
        _add(found, entry)
    _check_parents(found)
    found = _without_top_folder(found)
    for entry in found.values():
        if entry.kind is EntryKind.LINK and (fault := link_fault(entry.name, entry.target)):
            raise FetchFailed(f"The link {shown_name(entry.name)} is not allowed: {fault}.")
    if not any(entry.kind is EntryKind.FILE for entry in found.values()):
        raise FetchFailed("The archive holds no files.")
    return found


def _add(found: dict[str, Entry], entry: Entry) -> None:
    name = clean_name(entry.name)
    if not name or name.split("/")[0] == _IGNORED:
        return
    before = found.get(name)
    if before and not (before.kind is entry.kind is EntryKind.FOLDER):
        raise FetchFailed(f"The archive entry {shown_name(name)} is there twice.")
    found[name] = replace(entry, name=name)


def clean_name(name: str) -> str:
    """The name without `./` and doubled slashes; empty for the top of the archive. Raises FetchFailed."""
    clean = name
    if not name.startswith("/"):
        clean = "/".join(segment for segment in name.split("/") if segment not in ("", "."))
    fault = name_fault(clean) if clean else None
    if fault:
        raise FetchFailed(f"The archive entry {shown_name(name)} is not allowed: {fault}.")
    return clean


def link_fault(name: str, target: str) -> str | None:
    """Why a link must not be followed, or None.

    `..` is taken at the start only, where it leads up from real folders. What comes after may pass through other
    links, and those are held to the same.
    """
    segments = target.split("/")
    ups = 0
    while ups < len(segments) and segments[ups] == "..":
        ups += 1
    if not target or target.startswith("/") or ups > name.count("/"):
        return "it leads out of the sources"
    if ".." in segments[ups:]:
        return f"it does not lead straight to its target {shown_name(target)}"
    if len(target) > MAX_NAME_BYTES or not target.isprintable():
        return "its target is not a proper path"
    return None


def _check_parents(found: Mapping[str, Entry]) -> None:
    for name in found:
        parent = name.rpartition("/")[0]
        while parent:
            above = found.get(parent)
            if above is not None and above.kind is not EntryKind.FOLDER:
                raise FetchFailed(
                    f"The archive entry {shown_name(parent)} is both a {above.kind} and a folder."
                )
            parent = parent.rpartition("/")[0]


def _without_top_folder(found: dict[str, Entry]) -> dict[str, Entry]:
    tops = {name.split("/")[0] for name in found}
    if len(tops) != 1:
        return found
    top = tops.pop()
    inside = {name.split("/")[1] for name in found if "/" in name}
    if not inside or not _is_wrapping(top, inside):
        return found
    below = {name.removeprefix(f"{top}/"): entry for name, entry in found.items() if name != top}
    return {name: replace(entry, name=name) for name, entry in below.items()}


def _is_wrapping(top: str, inside: set[str]) -> bool:
    """Whether the only folder wraps a project, as downloads from code hosts do, and is no part of one."""
    if inside & _MARKERS:
        return not top.startswith(".")
    return not (top.startswith(".") or top == "src" or inside & _PACKAGE_FILES)
