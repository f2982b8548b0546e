"""Downloading an archive in a sandbox, with Python's own library, which is there on every machine."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import callboard
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.sandbox import Sandbox, Step
from callboard.builders.fetching.urls import shown_url
from callboard.executors.base import Mount, MountMode

TARGET = "/run/callboard/download"
PACKAGES = "/run/callboard/packages"
URL_VARIABLE = "CALLBOARD_URL"
"""Command lines are public; the URL may hold a signature."""

_FILE = "archive"
_NETWORK = re.compile(r"(?:https?|all|no)_proxy|SSL_CERT_(?:FILE|DIR)", re.IGNORECASE)


def network_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The operator's settings of proxies and of trust."""
    return {name: value for name, value in environ.items() if _NETWORK.fullmatch(name)}


def download_in(
    sandbox: Sandbox, url: str, work: Path, *, limit_bytes: int, direct: bool = False
) -> Path:
    """Download to the new folder `work`, and return the file. `direct` takes no proxy. Raises FetchFailed."""
    work.mkdir()
    home, tmp, target = (sandbox.folder(work / name) for name in ("home", "tmp", "download"))
    python = sandbox.python()
    env = {**network_environment(os.environ), URL_VARIABLE: url, "PYTHONPATH": PACKAGES}
    way = ["direct"] if direct else []
    module = ("-S", "-P", "-B", "-m", "callboard.builders.fetching.download")
    step = Step(
        (python.executable, *module, f"{TARGET}/{_FILE}", str(limit_bytes), *way),
        env | {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8:replace"},
        "/tmp",
        home,
        tmp,
        (
            Mount(target, TARGET, MountMode.READ_WRITE),
            Mount(Path(callboard.__path__[0]).parent, PACKAGES),
            *python.mounts,
        ),
    )
    file = target / _FILE
    if sandbox.run(step) != 0 or file.is_symlink() or not file.is_file():
        raise FetchFailed(f"{shown_url(url)} could not be fetched; the line above says why.")
    return file
