"""Source files as a version carries them, checked and written out for a build.

What clients send as `sourceFiles` is hostile: a name decides where a file lands on the server's disk. So every name
is checked before anything is written, when a version is saved and again when a build starts.
"""

import base64
import binascii
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from callboard.core.errors import InvalidValue

MAX_FILES = 20_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_NAME_BYTES = 1024
MAX_SEGMENT_BYTES = 255
"""What Linux file systems take for one path segment."""


class InvalidSourceFiles(InvalidValue):
    """A version's source files that cannot be written to disk safely. The message names the file."""


@dataclass
class _Tree:
    """What the entries amount to: contents by name, and every folder named or implied."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    folders: set[str] = field(default_factory=set[str])
    declared_folders: set[str] = field(default_factory=set[str])
    size: int = 0


def check_source_files(source_files: object) -> None:
    """Raise `InvalidSourceFiles` if the wire list could not be built from. Writes nothing."""
    _read_entries(source_files)


def write_source_files(source_files: object, directory: Path) -> None:
    """Write the wire list as a tree at `directory`, which appears complete or not at all.

    Replaces what an interrupted earlier attempt left there. Raises `InvalidSourceFiles` before touching the disk.
    """
    tree = _read_entries(source_files)
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    _write_tree(tree, partial)
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)


def _write_tree(tree: _Tree, root: Path) -> None:
    root.mkdir(parents=True)
    for folder in sorted(tree.folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, content in tree.files.items():
        path = root / name
        path.write_bytes(content)
        path.chmod(0o755 if content.startswith(b"#!") else 0o644)


def _read_entries(source_files: object) -> _Tree:
    if not isinstance(source_files, Sequence) or isinstance(source_files, str | bytes):
        raise InvalidSourceFiles("Source files must be an array of objects.")
    entries = cast("Sequence[object]", source_files)
    if len(entries) > MAX_FILES:
        raise InvalidSourceFiles(
            f"There are {len(entries)} source files; at most {MAX_FILES} are allowed."
        )
    tree = _Tree()
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise InvalidSourceFiles(
                "Each source file must be an object with name, format and content."
            )
        _add_entry(tree, cast("Mapping[str, object]", entry))
    _check_folders(tree)
    return tree


def _add_entry(tree: _Tree, entry: Mapping[str, object]) -> None:
    folder = entry.get("folder") is True
    name = _checked_name(entry.get("name"), folder=folder)
    if name in tree.files or name in tree.declared_folders:
        raise InvalidSourceFiles(f"Source file {shown_name(name)} is there twice.")
    tree.folders.update(_parents(name))
    if folder:
        tree.declared_folders.add(name)
        tree.folders.add(name)
        return
    content = _content(name, entry)
    tree.size += len(content)
    if tree.size > MAX_TOTAL_BYTES:
        raise InvalidSourceFiles(
            f"The source files are larger than {MAX_TOTAL_BYTES} bytes in total."
        )
    tree.files[name] = content


def _check_folders(tree: _Tree) -> None:
    for name in tree.files:
        if name in tree.folders:
            raise InvalidSourceFiles(f"Source file {shown_name(name)} is both a file and a folder.")


def _checked_name(name: object, *, folder: bool) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidSourceFiles("Each source file needs a name.")
    if folder:
        name = name.removesuffix("/")
    reason = name_fault(name)
    if reason is not None:
        raise InvalidSourceFiles(f"Source file name {shown_name(name)} is not allowed: {reason}.")
    return name


def name_fault(name: str) -> str | None:
    """Why a file of this name cannot be written below the source folder, or None."""
    if name.startswith("/"):
        return "it is an absolute path"
    if "\\" in name:
        return "it has a backslash, use / between folders"
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
        return "it has a control character"
    segments = name.split("/")
    if ".." in segments:
        return "it climbs out of the source folder"
    if "" in segments or "." in segments:
        return "it has an empty or . segment"
    return _length_fault(name, segments)


def _length_fault(name: str, segments: Sequence[str]) -> str | None:
    try:
        lengths = [len(segment.encode()) for segment in segments]
        total = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if total > MAX_NAME_BYTES or max(lengths) > MAX_SEGMENT_BYTES:
        return "it is too long"
    return None


def _content(name: str, entry: Mapping[str, object]) -> bytes:
    content = entry.get("content", "")
    if not isinstance(content, str):
        raise InvalidSourceFiles(f"The content of source file {shown_name(name)} must be a string.")
    match entry.get("format", "TEXT"):
        case "TEXT":
            return _text_bytes(name, content)
        case "BASE64":
            return _base64_bytes(name, content)
        case other:
            raise InvalidSourceFiles(
                f"The format of source file {shown_name(name)} must be TEXT or BASE64, not {other!r}."
            )


def _text_bytes(name: str, content: str) -> bytes:
    try:
        return content.encode()
    except UnicodeEncodeError as error:
        raise InvalidSourceFiles(
            f"Source file {shown_name(name)} is not valid Unicode text."
        ) from error


def _base64_bytes(name: str, content: str) -> bytes:
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidSourceFiles(f"Source file {shown_name(name)} is not valid base64.") from error


def _parents(name: str) -> set[str]:
    segments = name.split("/")
    return {"/".join(segments[:end]) for end in range(1, len(segments))}


def shown_name(name: str) -> str:
    """A hostile name, short and printable."""
    shown = name if len(name) <= 120 else name[:117] + "..."
    return ascii(shown)
