"""The processes of a sandbox: one outside that waits, the first inside, and the program.

The first process of a process namespace is special: it gets orphans, and ignores signals it has no handler for. So
the program is its child, and it does nothing but wait. When the outer one is killed the kernel kills the inner one,
and with that everything in its namespace.
"""

from __future__ import annotations

import os
import sys

from callboard.executors.launcher.namespaces import calls, view
from callboard.executors.launcher.namespaces.options import Options, read_options

TYPE_CHECKING = False  # Importing it would take longer than all that is done here.
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_NAMESPACES = {
    "--unshare-pid": calls.NEW_PID,
    "--unshare-ipc": calls.NEW_IPC,
    "--unshare-uts": calls.NEW_UTS,
}
_NOT_STARTED, _SIGNALLED = 1, 128


def main() -> None:
    """Never returns. The exit code is the program's, 128 more than the signal that ended it, or 1 without a start."""
    _guarded(lambda: _run(read_options(sys.argv[1:])))


def _guarded(work: Callable[[], None]) -> NoReturn:
    """Do work that ends the process by itself unless it fails, which the job's log is told."""
    try:
        work()
    except (OSError, ValueError, KeyError, IndexError, view.Failed) as error:
        os.write(2, f"sandbox: {error}\n".encode(errors="replace"))
    os._exit(_NOT_STARTED)


def _run(options: Options) -> None:
    _enter_namespaces(options)
    if "--die-with-parent" in options.flags:
        calls.die_with_parent()
    reading, report = os.pipe()
    first = os.fork()
    if first == 0:
        _guarded(lambda: _be_first(options, report))
    os.close(report)
    _tell(options, "child-pid", first)
    calls.keep_capabilities([])
    _, status = os.waitpid(first, 0)
    if code := os.read(reading, 1):
        _tell(options, "exit-code", code[0])
    os._exit(_exit_code(status))


def _enter_namespaces(options: Options) -> None:
    if options.status_fd is not None:
        os.set_inheritable(options.status_fd, False)
    if "--unshare-user" in options.flags:
        outside = os.geteuid(), os.getegid()
        calls.unshare(calls.NEW_USER)
        _map_user(options, *outside)
    wanted = [kind for flag, kind in _NAMESPACES.items() if flag in options.flags]
    calls.unshare(sum(wanted) | calls.NEW_MOUNT)
    if "--unshare-cgroup-try" in options.flags:
        _try_unshare(calls.NEW_CGROUP)
    if options.hostname:
        calls.set_hostname(options.hostname)


def _map_user(options: Options, uid: int, gid: int) -> None:
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{options.uid} {uid} 1\n")
    _write("/proc/self/gid_map", f"{options.gid} {gid} 1\n")


def _try_unshare(flags: int) -> None:
    try:
        calls.unshare(flags)
    except OSError:
        return


def _be_first(options: Options, report: int) -> None:
    """Tells `report` the program's exit code if it was started."""
    calls.die_with_parent()
    os.umask(0o022)
    view.make_view(options.steps)
    calls.gain_no_rights()
    if options.filter:
        calls.filter_calls(options.filter)
    calls.hide_from_debuggers()
    reading, failed = os.pipe()
    program = os.fork()
    if program == 0:
        _guarded(lambda: _be_program(options, failed))
    os.close(failed)
    calls.keep_capabilities([])
    was_started = not os.read(reading, 1)  # The descriptor is closed by a start.
    code = _wait_for(program)
    if was_started:
        os.write(report, bytes([code]))
    os._exit(code)


def _be_program(options: Options, failed: int) -> None:
    """Become it, or write to `failed`."""
    calls.heed_signals()
    name, env = options.program[0], options.env
    try:
        if "--new-session" in options.flags:
            os.setsid()
        calls.keep_capabilities(options.capabilities)
        os.chdir(options.cwd)
        os.execvpe(
            name, options.program, env if "--clearenv" in options.flags else os.environ | env
        )
    except OSError as error:
        os.write(failed, b"!")
        what = options.cwd if error.filename == options.cwd else name
        raise OSError(f"{what}: {error.strerror}") from None


def _wait_for(program: int) -> int:
    """Collect orphans until the program itself has ended. Everything else dies with us."""
    while True:
        pid, status = os.wait()
        if pid == program:
            return _exit_code(status)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SIGNALLED - code


def _tell(options: Options, what: str, number: int) -> None:
    if options.status_fd is not None:
        os.write(options.status_fd, f'{{"{what}": {number}}}\n'.encode())


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
