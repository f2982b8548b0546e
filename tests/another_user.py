"""Programs of another user, who is nobody on this machine: the server's own user on most machines is not root."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import pytest

import callboard

USER = 65534
BECOME = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--")
"""To be put before a command."""
SOURCE = Path(callboard.__file__).resolve().parent.parent

# As on most machines everybody may use the network device that stacks in user mode need.
_WITH_NETWORKS = """
test -e "$1/tun" || mknod "$1/tun" c 10 200
chmod 666 "$1/tun" && mount --bind "$1/tun" /dev/net/tun
if test -e "$1/resolv.conf"; then mount --bind "$1/resolv.conf" /etc/resolv.conf; fi
shift
exec "$@"
"""


def _may_be_read(path: Path) -> bool:
    return path.exists() and all(
        one.stat().st_mode & 0o005 == 0o005 for one in (path, *path.parents)
    )


def _python() -> str:
    """One that the other user may start; empty for none. Without the packages of this one's environment."""
    candidates = (Path("/usr/bin/python3"), Path(sys.executable).resolve())
    return next((str(one) for one in candidates if _may_be_read(one)), "")


PYTHON = _python()


def _obstacle() -> str:
    if os.geteuid() != 0:
        return "only root can become another user"
    if not _may_be_read(SOURCE):
        return "another user cannot read this checkout"
    return "" if PYTHON else "there is no Python that another user may start"


OBSTACLE = _obstacle()
"""Why nothing can be run as another user here; empty if it can."""
needs_another_user = pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)


def as_another_user(folder: Path, *argv: str) -> list[str]:
    """A command that runs one as `USER`, who may make networks, with the `resolv.conf` that is in the folder."""
    script = ("sh", "-c", _WITH_NETWORKS, "sh", str(folder))
    return ["unshare", "--mount", *script, *BECOME, *argv]


@contextmanager
def open_folder(suffix: str = "") -> Generator[Path]:
    """A folder that other users can reach, as those below pytest's own cannot be."""
    path = Path(f"/tmp/callboard-test-{os.urandom(6).hex()}{suffix}")
    path.mkdir()
    path.chmod(0o755)
    try:
        yield path
    finally:
        rmtree(path)


def server_environment(folder: Path) -> dict[str, str]:
    """For `PYTHON -m callboard` as another user. Skips the test if that cannot be started."""
    if OBSTACLE:
        pytest.skip(OBSTACLE)
    packages = sysconfig.get_path("purelib")
    environment = {"PYTHONPATH": f"{SOURCE}:{packages}", "HOME": str(folder)}
    command = as_another_user(folder, PYTHON, "-c", "import callboard.app")
    tried = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, cwd="/"
    )
    # They are another version of Python's, or in a folder that is closed to them. Any other failure is ours.
    if re.search(r"No module named '(?!callboard)", tried.stderr):
        pytest.skip(f"another user's Python finds no packages: {tried.stderr[-300:]}")
    assert tried.returncode == 0, tried.stderr
    return environment
