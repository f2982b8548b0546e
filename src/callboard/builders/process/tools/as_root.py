"""Becomes root of a stage, and of nothing else, and runs a step.

`as_root.py STEP_FD FILTER_FD` finds JSON of `argv`, `env` and `cwd` at the first and a filter of system calls, which
may be empty, at the second.

In a user namespace of its own, where the stage's root stands for a user that owns nothing on the host. Started with
the right to map users, which the step does not get: it runs with what installing packages takes and no more.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import TypedDict

FIRST_UID = 644_840_000
"""What root of a stage is on the host; the others follow."""
COUNT = 65_536
JOB_UID = 64_484
"""Who owns the Actor's files, inside as outside."""

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
SECCOMP_MODE_FILTER = 2
INSTRUCTION_BYTES = 8
CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SYS_CHROOT = 0, 1, 3, 4, 5, 6, 7, 18
KEPT = {CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SYS_CHROOT}
LAST_CAPABILITY = 63
FAILED = 126

libc = ctypes.CDLL(None, use_errno=True)


def identity_map() -> str:
    """Lines of inside, outside and length. The Actor's user stays who it is."""
    above = JOB_UID + 1
    return (
        f"0 {FIRST_UID} {JOB_UID}\n{JOB_UID} {JOB_UID} 1\n"
        f"{above} {FIRST_UID + above} {COUNT - above}\n"
    )


def call(name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def become_root(ready: int, mapped: int) -> None:
    call("prctl", PR_SET_PDEATHSIG, 9, 0, 0, 0)
    call("unshare", CLONE_NEWUSER)
    os.write(ready, b"r")
    if os.read(mapped, 1) != b"m":
        raise OSError("the users of the stage could not be mapped")
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    for capability in range(LAST_CAPABILITY + 1):
        if capability not in KEPT:
            libc.prctl(
                PR_CAPBSET_DROP, capability, 0, 0, 0
            )  # fails for those the kernel does not know
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


class Step(TypedDict):
    argv: list[str]
    env: dict[str, str]
    cwd: str


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def refuse_calls(instructions: bytes) -> None:
    if instructions:
        program = Filter(len(instructions) // INSTRUCTION_BYTES, instructions)
        address = ctypes.c_ulong(ctypes.addressof(program))
        call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0)


def run_step(step: Step, instructions: bytes, ready: int, mapped: int) -> None:
    """Never returns."""
    try:
        become_root(ready, mapped)
        refuse_calls(instructions)
        os.close(ready)
        os.close(mapped)
        os.umask(0o022)
        os.chdir(step["cwd"])
        os.execvpe(step["argv"][0], step["argv"], step["env"])
    except OSError as error:
        os.write(2, f"{step['argv'][0]}: {error}\n".encode())
    finally:
        os._exit(FAILED)


def main(step_fd: int, filter_fd: int) -> int:
    with open(step_fd, encoding="utf-8") as file:
        step: Step = json.load(file)
    with open(filter_fd, "rb") as file:
        instructions = file.read()
    ready_out, ready_in = os.pipe()
    mapped_out, mapped_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready_out)
        os.close(mapped_in)
        run_step(step, instructions, ready_in, mapped_out)
    os.close(ready_in)
    os.close(mapped_out)
    if os.read(ready_out, 1) == b"r":
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "w") as file:
                file.write(identity_map())
        os.write(mapped_in, b"m")
    os.close(mapped_in)
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
