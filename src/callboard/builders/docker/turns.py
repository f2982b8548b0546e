"""Images are made and removed by turns where the engine is Podman.

There, removing an image takes its layers, too, while a build stands on them, and that build fails. The folder of all
builds is what drivers and the server lock; the kernel lets go of what a process that died had locked.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class ImagesAreMade(Exception):
    """No image is removed now: builds are going on."""


@contextmanager
def making_images(builds_folder: Path) -> Generator[None]:
    """Many builds at once may. Waits while images are removed."""
    with _locked(builds_folder, fcntl.LOCK_SH):
        yield


@contextmanager
def removing_images(builds_folder: Path) -> Generator[None]:
    """Raises ImagesAreMade at once, as a build may take long."""
    try:
        with _locked(builds_folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield
    except BlockingIOError:
        raise ImagesAreMade("builds are going on") from None


@contextmanager
def _locked(folder: Path, operation: int) -> Generator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)
