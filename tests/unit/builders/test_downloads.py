"""Download caches: what fills them, and when."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from callboard.builders.process import overlays
from callboard.builders.process.downloads import Downloads

pytestmark = pytest.mark.skipif(
    not overlays.available(Path(tempfile.gettempdir())), reason="this machine lacks overlays"
)


@pytest.fixture
def downloads(tmp_path: Path) -> Iterator[Downloads]:
    downloads = Downloads(tmp_path / "shared", tmp_path / "own")
    yield downloads
    downloads.close()


@pytest.fixture
def caches(tmp_path: Path, downloads: Downloads) -> Path:
    uv = tmp_path / "shared" / "caches" / "uv"
    for name in ("archive/old/file", "index"):
        (uv / name).parent.mkdir(parents=True, exist_ok=True)
        (uv / name).write_text("old")
    return uv


def written_by(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_what_is_fetched_is_the_builds_own_until_all_is_there(
    tmp_path: Path, downloads: Downloads, caches: Path
) -> None:
    with downloads.to_fill() as view:
        assert view is not None
        (view / "uv/archive/new").mkdir()
        (view / "uv/archive/new/file").write_text("new")
        (view / "uv/index").write_text("new")
        assert not (caches / "archive/new").exists()
        assert "file" in written_by(tmp_path / "own")
    assert (caches / "archive/new/file").read_text() == "new"
    assert (caches / "archive/old/file").read_text() == "old"
    assert (caches / "index").read_text() == "new"


def test_what_fetching_deletes_is_deleted(downloads: Downloads, caches: Path) -> None:
    with downloads.to_fill() as view:
        assert view is not None
        (view / "uv/archive/old/file").unlink()
        (view / "uv/archive/old").rmdir()
        (view / "uv/index").unlink()
        (view / "uv/index").mkdir()
        (view / "uv/index/file").write_text("new")
    assert not (caches / "archive/old").exists()
    assert (caches / "index/file").read_text() == "new"
    assert not any(stat.S_ISCHR(os.lstat(path).st_mode) for path in caches.rglob("*"))


def test_nothing_is_kept_of_a_fetching_that_fails(downloads: Downloads, caches: Path) -> None:
    with pytest.raises(RuntimeError), downloads.to_fill() as view:
        assert view is not None
        (view / "uv/index").write_text("new")
        raise RuntimeError
    assert (caches / "index").read_text() == "old"
    with downloads.to_fill() as view:
        assert view is not None


def test_the_caches_are_not_filled_while_a_build_looks_at_them(
    tmp_path: Path, downloads: Downloads
) -> None:
    other = Downloads(tmp_path / "shared", tmp_path / "other")
    other.view()
    with downloads.to_fill() as view:
        assert view is None
    other.close()
