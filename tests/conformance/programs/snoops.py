"""Looks for what is not its own: files of the server and of other jobs, other processes, their environment."""

import os
import sys
from pathlib import Path


def look(what, find):
    try:
        print(what, find())
    except OSError as error:
        print(what, "refused", error.strerror)


for path in sys.argv[1:]:
    look(
        "found",
        lambda path=path: os.listdir(path) if os.path.isdir(path) else Path(path).read_bytes(),
    )
pids = [name for name in os.listdir("/proc") if name.isdigit()]
for pid in pids:
    look("environment", lambda pid=pid: Path(f"/proc/{pid}/environ").read_bytes())
    look("command", lambda pid=pid: Path(f"/proc/{pid}/cmdline").read_bytes())
for path in ("/etc/shadow", "/sys", "/etc/written", "/usr/written", "/written"):
    look(
        path,
        lambda path=path: Path(path).write_text("x") if "written" in path else os.listdir(path),
    )
look("kill", lambda: os.kill(1, 9) or "sent")
