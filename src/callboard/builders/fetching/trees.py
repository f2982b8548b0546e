"""Checking a tree that a program made of what strangers sent it, as `git` does of a repository."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from callboard.builders.fetching.entries import link_fault
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.limits import MIB, Limits
from callboard.builders.sources import name_fault, shown_name


def check_tree(root: Path, limits: Limits) -> None:
    """Raises FetchFailed for what could not be in an archive either, such as a link that leads out of the tree."""
    size = 0
    for count, (name, status) in enumerate(_walk(root, ""), 1):
        if count > limits.files:
            raise FetchFailed(f"The sources are more than {limits.files} files.")
        fault = name_fault(name) or _kind_fault(root, name, status)
        if fault:
            raise FetchFailed(f"{shown_name(name)} in the sources is not allowed: {fault}.")
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
        if size > limits.unpacked_bytes:
            raise FetchFailed(
                f"The sources are larger than {limits.unpacked_bytes / MIB:.0f} MB in total."
            )


def _walk(folder: Path, relative: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in sorted(os.scandir(folder), key=lambda item: item.name):
        yield f"{relative}{entry.name}", entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{relative}{entry.name}/")


def _kind_fault(root: Path, name: str, status: os.stat_result) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return link_fault(name, os.readlink(root / name))
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return "it is no file, folder or link"
    return None
