"""Trees kept from earlier builds, by the identity of the step that made them, so that a step is not run twice.

The identity of a step covers everything that decides what it does: the step before it, its text and environment, the
content of the files copied. So whoever brings about the same identity has run the same code on the same files, and
the cache can be shared by all builds. Trees are shared as hard links; nobody writes into a file of such a tree.

What a build keeps here is counted as what it keeps in its own folder is: a step may delete what an earlier one made.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from callboard.builders.process import tree
from callboard.builders.removing import remove_tree

FORMAT = "2"
"""Change it when what a step does changes, so that older trees are not used again."""
_BLOCK_BYTES = 512
MAX_AGE_SECS = 14 * 24 * 3600
MAX_LAYERS = 60
"""How many trees are kept; the ones not used for longest go first."""


def identity(*parts: str) -> str:
    """A name for what the parts decide together. Parts are kept apart, so none can pretend to be two."""
    digest = hashlib.sha256(FORMAT.encode())
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(f"{len(encoded)}:".encode() + encoded)
    return digest.hexdigest()[:40]


class Layers:
    """The trees below one folder, as one build uses them, which may keep `limit_bytes`. Several use it at once."""

    def __init__(self, directory: Path, *, limit_bytes: int) -> None:
        self._directory = directory
        self._left_bytes = limit_bytes
        self._counted: set[int] = set()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def has(self, key: str) -> bool:
        return (self._directory / key).is_dir()

    def restore(self, key: str, target: Path) -> bool:
        """Make `target` a tree that shares its files with the kept one. False if that is gone meanwhile."""
        with self._locked(fcntl.LOCK_SH):
            if not self.has(key):
                return False
            os.utime(self._directory / key)
            tree.clone(self._directory / key / "root", target, link=True)
            return True

    def save(self, key: str, source: Path) -> None:
        """Keep a tree, sharing its files. The caller writes into none of them from now on. Complete or not at all.

        Raises OSError, also when the build has kept its share.
        """
        self._count(source)
        partial = self._directory / f"{uuid4().hex}.partial"
        partial.mkdir(mode=0o700)
        try:
            tree.clone(source, partial / "root", link=True)
            partial.rename(self._directory / key)
        except OSError:
            remove_tree(partial)
            if not self.has(key):  # another build was first with the same tree otherwise
                raise

    def _count(self, source: Path) -> None:
        files = {one.st_ino: one.st_blocks for one in tree.files(source)}
        new = files.keys() - self._counted
        size = sum(files[inode] for inode in new) * _BLOCK_BYTES
        if size > self._left_bytes:
            raise OSError("with it the build would keep more than its disk limit")
        self._left_bytes -= size
        self._counted |= new

    def prune(self) -> None:
        """Drop trees that are old or too many, and what interrupted builds left behind."""
        with self._locked(fcntl.LOCK_EX):
            now = time.time()
            found = sorted(self._entries(), key=lambda entry: entry[0], reverse=True)
            for index, (used_at, path) in enumerate(found):
                half_made = path.suffix == ".partial"
                if index >= MAX_LAYERS or now - used_at > (3600 * 6 if half_made else MAX_AGE_SECS):
                    remove_tree(path)

    def _entries(self) -> Iterator[tuple[float, Path]]:
        for entry in os.scandir(self._directory):
            if entry.is_dir(follow_symlinks=False):
                yield entry.stat(follow_symlinks=False).st_mtime, Path(entry.path)

    @contextmanager
    def _locked(self, mode: int) -> Generator[None]:
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)
