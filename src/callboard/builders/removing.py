"""Removing what builds leave. Their steps may close folders, also to their own user: where we are not root, to us."""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Take away a folder with all in it, following no link; what cannot be removed stays. Harmless when repeated."""
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.isdir(folder) and not os.path.islink(folder):
        _open_up(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _open_up(folder: Path) -> None:
    """Top down, as what is in a closed folder cannot be listed before it is opened."""
    _open(str(folder))
    for path, names, _ in os.walk(folder):
        for name in names:
            _open(os.path.join(path, name))


def _open(path: str) -> None:
    with suppress(OSError):  # what stays closed, the caller finds still there
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.chmod(path, stat.S_IRWXU)
