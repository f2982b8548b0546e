"""Starts shells that wait inside their control groups and network to become a job's program.

Joining a control group can take the kernel ten milliseconds, so it is done ahead. The launcher forks nothing
itself: `posix_spawn` costs a quarter of it.
"""

import os
import signal
from collections.abc import Sequence

from callboard.executors.launcher import linux

STATUS_FD, OPTIONS_FD, FILTER_FD = 4, 5, 6
"""Descriptors of a waiting shell: one to report by, two free for the script to use."""
_SHELL = "/bin/sh"
_WAIT = 'for group do echo 0 >"$group" || exit 126; done; read -r script || exit 0; . "$script"'
_DEFAULTS = (signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def spawn_waiting(
    joins: Sequence[str], netns_path: str | None, *, control: int, output: int, status: int
) -> int:
    """A shell in a session of its own, in the groups behind the files `joins`. Returns its pid. Raises OSError.

    It reads one line from `control`, the path of the script to run, or ends when `control` is closed: it does
    not outlive the launcher. It has no environment.
    """
    argv = [_SHELL, "-c", _WAIT, "job", *joins]
    # The status descriptor comes last: its number may be in use by one of the others until then.
    targets = ((control, 0), (output, 1), (output, 2), (status, STATUS_FD))
    with linux.network_namespace(netns_path):
        return os.posix_spawn(
            _SHELL,
            argv,
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for source, target in targets],
            setsid=True,
            setsigmask=[],
            setsigdef=_DEFAULTS,
        )
