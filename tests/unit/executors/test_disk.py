"""What jobs keep on disk is measured whole, whatever they do to hide it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.another_user import BECOME, PYTHON, USER, needs_another_user, open_folder

from callboard.executors.launcher.runners import own_program

MEGABYTE = 1024 * 1024


def measured(folder: Path, *pids: int, prefix: Sequence[str] = ()) -> int:
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


@needs_another_user
def test_folders_a_job_has_closed_to_its_own_user_count():
    with open_folder() as folder:
        hidden = folder / "hidden"
        write(hidden / "file", 2)
        for path in (hidden, hidden / "file"):
            os.chown(path, USER, USER)
        hidden.chmod(0)
        assert measured(folder, prefix=BECOME) >= 2 * MEGABYTE
