"""What the figures were measured on."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime


def describe() -> dict[str, str]:
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": str(os.cpu_count()),
        "memory": f"{pages / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "node": _node_version(),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _node_version() -> str:
    if shutil.which("node") is None:
        return "none"
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("v")
