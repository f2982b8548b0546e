"""What builds leave goes, however they leave it."""

import os
import subprocess
from pathlib import Path

from tests.another_user import BECOME, PYTHON, SOURCE, USER, needs_another_user, open_folder

from callboard.builders.removing import remove_tree


def test_links_are_removed_and_not_followed(tmp_path: Path):
    (tmp_path / "outside" / "kept").mkdir(parents=True)
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "link").symlink_to(tmp_path / "outside")
    remove_tree(tmp_path / "left")
    assert not (tmp_path / "left").exists()
    assert (tmp_path / "outside" / "kept").exists()
    remove_tree(tmp_path / "left")


def test_a_link_in_the_place_of_the_folder_opens_nothing(tmp_path: Path):
    closed = tmp_path / "outside" / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o500)
    (tmp_path / "left").symlink_to(tmp_path / "outside")
    remove_tree(tmp_path / "left")
    assert closed.stat().st_mode & 0o777 == 0o500


@needs_another_user
def test_folders_that_a_step_has_closed_are_removed_without_root():
    with open_folder() as folder:
        inner = folder / "left" / "closed" / "inner"
        inner.mkdir(parents=True)
        (inner / "file").touch()
        (inner / "link").symlink_to(folder)
        os.chown(folder, USER, USER)
        for path in (inner / "file", inner, inner.parent, folder / "left"):
            os.chown(path, USER, USER)
            path.chmod(0)
        remove = f"from pathlib import Path; remove_tree(Path({str(folder / 'left')!r}))"
        script = f"from callboard.builders.removing import remove_tree; {remove}"
        subprocess.run(
            [*BECOME, PYTHON, "-c", script], env={"PYTHONPATH": str(SOURCE)}, cwd="/", check=True
        )
        assert not (folder / "left").exists()
        assert folder.stat().st_mode & 0o777 == 0o755
