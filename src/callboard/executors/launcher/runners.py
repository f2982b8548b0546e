"""What runs a sandbox: bubblewrap, or where that is missing the program of our own in `namespaces`."""

import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import callboard
from callboard.executors.launcher.seccomp import seccomp_filter

BUBBLEWRAP, NAMESPACES, NONE = "bubblewrap", "namespaces", "none"
"""The rungs of the file system's ladder, best first."""
BWRAP = "bwrap"
_TOOL_PATH = "/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin"
_ROOT = str(Path(callboard.__file__).parent.parent)


@dataclass(frozen=True)
class SandboxCommand:
    """A command for one of the runners, to be started with an empty environment:

        with command.opened() as (argv, descriptors):
            subprocess.run(argv, pass_fds=descriptors, env={})

    Its options go through a descriptor because command lines are public and the options hold the environment.
    """

    rung: str
    options: tuple[str, ...]
    program: tuple[str, ...]

    def argv(self, options_fd: int, filter_fd: int | None) -> tuple[str, ...]:
        """`filter_fd` is where `seccomp_filter` can be read; None for no filter."""
        filtered = () if filter_fd is None else ("--seccomp", str(filter_fd))
        return (*_runner(self.rung), "--args", str(options_fd), *filtered, "--", *self.program)

    @property
    def options_bytes(self) -> bytes:
        """What must be readable at `options_fd`."""
        return b"".join(os.fsencode(word) + b"\0" for word in self.options)

    @contextmanager
    def opened(self) -> Generator[tuple[tuple[str, ...], tuple[int, ...]]]:
        """The whole command line for one start, and the descriptors to pass on to it."""
        descriptors = [in_memory(self.options_bytes)]
        try:
            if words := seccomp_filter():
                descriptors.append(in_memory(words))
            yield self.argv(descriptors[0], descriptors[1] if words else None), tuple(descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


@cache
def tool(name: str) -> str:
    """A tool's place on the host, which is also its place in the sandbox. Raises FileNotFoundError."""
    found = shutil.which(name, path=_TOOL_PATH)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found


@cache
def _runner(rung: str) -> tuple[str, ...]:
    if rung == BUBBLEWRAP:
        return (tool(BWRAP),)
    return own_program("callboard.executors.launcher.namespaces.start")


def own_program(module: str) -> tuple[str, ...]:
    """A command that calls `main` of a module that needs nothing but the standard library, started fast."""
    code = f"import sys; sys.path.insert(0, {_ROOT!r}); from {module} import main; main()"
    return (os.path.realpath(sys.executable), "-I", "-S", "-c", code)


def in_memory(data: bytes) -> int:
    """A fresh descriptor, not inherited unless passed."""
    fd = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
