"""Source files from the wire: what is written, and what is refused before anything is written."""

import base64
from pathlib import Path

import pytest

from callboard.builders import sources
from callboard.builders.sources import InvalidSourceFiles, check_source_files, write_source_files


def text(name: str, content: str = "x") -> dict[str, object]:
    return {"name": name, "format": "TEXT", "content": content}


def test_texts_bytes_and_folders_become_a_tree(tmp_path: Path) -> None:
    files = [
        text("main.py", "print('ü')\n"),
        {
            "name": "data/blob.bin",
            "format": "BASE64",
            "content": base64.b64encode(b"\x00\xff").decode(),
        },
        {"name": "empty/inner", "folder": True},
    ]
    write_source_files(files, tmp_path / "source")
    assert (tmp_path / "source/main.py").read_text(encoding="utf-8") == "print('ü')\n"
    assert (tmp_path / "source/data/blob.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "source/empty/inner").is_dir()


def test_a_script_can_be_executed_and_other_files_cannot(tmp_path: Path) -> None:
    write_source_files([text("run", "#!/bin/sh\n"), text("plain", "#x\n")], tmp_path / "source")
    assert (tmp_path / "source/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "source/plain").stat().st_mode & 0o777 == 0o644


def test_writing_again_replaces_what_an_interrupted_attempt_left(tmp_path: Path) -> None:
    (tmp_path / "source.partial").mkdir()
    (tmp_path / "source.partial/half").write_text("half")
    write_source_files([text("old")], tmp_path / "source")
    write_source_files([text("new")], tmp_path / "source")
    assert [path.name for path in (tmp_path / "source").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil", "climbs out"),
        ("a/../../evil", "climbs out"),
        ("a/..", "climbs out"),
        ("/etc/passwd", "absolute"),
        ("a\\b", "backslash"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("./a", "empty or . segment"),
        ("a//b", "empty or . segment"),
        ("a/", "empty or . segment"),
        ("x" * 256, "too long"),
        ("a/" * 600 + "b", "too long"),
        ("\ud800", "not valid Unicode"),
        ("", "needs a name"),
    ],
)
def test_a_hostile_name_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(InvalidSourceFiles, match=reason):
        write_source_files([text("fine"), text(name)], tmp_path / "source")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([text("a"), text("a")], "there twice"),
        ([{"name": "a", "folder": True}, {"name": "a/", "folder": True}], "there twice"),
        ([text("a"), text("a/b")], "both a file and a folder"),
        ([text("a/b"), text("a")], "both a file and a folder"),
        ([text("a"), {"name": "a", "folder": True}], "there twice"),
        ([{"name": "a", "format": "BASE64", "content": "***"}], "not valid base64"),
        ([{"name": "a", "format": "GZIP", "content": ""}], "must be TEXT or BASE64"),
        ([{"name": "a", "format": "TEXT", "content": 5}], "must be a string"),
        ([text("a", "\udc80")], "not valid Unicode"),
        ([{"content": "x"}], "needs a name"),
        (["a"], "must be an object"),
        ("abc", "must be an array"),
        (None, "must be an array"),
    ],
)
def test_a_list_that_makes_no_tree_is_refused(files: object, reason: str) -> None:
    with pytest.raises(InvalidSourceFiles, match=reason):
        check_source_files(files)


def test_sources_are_limited_in_number_and_total_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILES", 2)
    monkeypatch.setattr(sources, "MAX_TOTAL_BYTES", 10)
    with pytest.raises(InvalidSourceFiles, match="at most 2"):
        check_source_files([text("a"), text("b"), text("c")])
    with pytest.raises(InvalidSourceFiles, match="larger than 10 bytes in total"):
        check_source_files([text("a", "12345"), text("b", "123456")])
    check_source_files([text("a", "12345"), text("b", "12345")])
