"""How a step that is root of its stage is started: by a program that makes it so, inside the sandbox.

The filter of system calls would forbid that program to make a user namespace, so the program gets it to put it on.
Until then it has rights that nothing of the stage may get at: it is started with the host's libraries.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager

from callboard.builders.process.interpreters import own_python
from callboard.builders.process.toolbox import AS_ROOT
from callboard.executors.launcher.runners import SandboxCommand, in_memory
from callboard.executors.launcher.sandbox import trusted
from callboard.executors.launcher.seccomp import seccomp_filter


@contextmanager
def root_command(
    outer: SandboxCommand, step: bytes
) -> Generator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """The command line for one start, and the descriptors to pass on. `step` is what `as_root.py` reads."""
    contents = (outer.options_bytes, step, seccomp_filter() or b"")
    descriptors = [in_memory(content) for content in contents]
    try:
        options_fd, *others = descriptors
        python = own_python()
        start = trusted(str(python.executable), str(python.prefix / "lib"))
        program = (*start, "-I", "-S", AS_ROOT, *map(str, others))
        inner = SandboxCommand(outer.rung, outer.options, program)
        yield inner.argv(options_fd, None), tuple(descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
