"""What jobs keep on disk is measured whole, whatever they do to hide it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from callboard.executors.launcher.runners import own_program

MEGABYTE = 1024 * 1024
USER = 65534
PYTHON = "/usr/bin/python3"
READABLE = all(
    parent.stat().st_mode & 0o005 == 0o005 for parent in Path(__file__).resolve().parents
)


def measured(folder: Path, *pids: int, prefix: tuple[str, ...] = ()) -> int:
    argv = own_program("callboard.executors.launcher.namespaces.measure")
    python = (PYTHON, *argv[1:]) if prefix else argv
    question = json.dumps([[str(folder), pids]])
    done = subprocess.run([*prefix, *python], input=question, capture_output=True, text=True)
    assert done.stderr == ""
    return json.loads(done.stdout)[0]


def write(path: Path, mbytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(MEGABYTE) * mbytes)


def test_all_files_count_once_and_holes_not_at_all(tmp_path: Path):
    write(tmp_path / "a" / "b" / "file", 2)
    os.link(tmp_path / "a" / "b" / "file", tmp_path / "again")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(100 * MEGABYTE)
    (tmp_path / "out").symlink_to(sys.base_prefix)
    assert 2 * MEGABYTE <= measured(tmp_path) < 2.2 * MEGABYTE


def test_deleted_files_count_while_a_process_holds_them(tmp_path: Path):
    write(tmp_path / "file", 3)
    with (tmp_path / "file").open("rb") as held:
        (tmp_path / "file").unlink()
        assert 3 * MEGABYTE <= measured(tmp_path, os.getpid()) < 3.2 * MEGABYTE
        assert held.read(1)
    assert measured(tmp_path, os.getpid()) < MEGABYTE


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own, which is closed to other users."""
    path = Path(f"/tmp/callboard-test-{os.urandom(6).hex()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(not READABLE, reason="another user cannot read this checkout")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason="there is no Python for another user")
def test_folders_a_job_has_closed_to_its_own_user_count(folder: Path):
    write(folder / "hidden" / "file", 2)
    for path in (folder, folder / "hidden", folder / "hidden" / "file"):
        os.chown(path, USER, USER)
    (folder / "hidden").chmod(0)
    user = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--")
    assert measured(folder, prefix=user) >= 2 * MEGABYTE
