"""Unpacking archives: what becomes a tree, and what is refused before or while it is written."""

import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.archives import (
    member,
    saved,
    tar,
    tar_of,
    tree,
    zip_info,
    zip_of,
    zipped,
)

from callboard.builders.fetching.archive import unpack
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.limits import Limits

PROJECT = {"main.py": "print(1)\n", "src/inner/a.txt": "a\n"}
SMALL = Limits(unpacked_bytes=300_000, ratio=20, ratio_from_bytes=100_000, files=20)


@pytest.mark.parametrize(
    "content",
    [
        tar_of(PROJECT, compression=""),
        tar_of(PROJECT, compression="gz"),
        tar_of(PROJECT, compression="bz2"),
        tar_of(PROJECT, compression="xz"),
        lzma.compress(tar_of(PROJECT, compression="")[:700])
        + lzma.compress(tar_of(PROJECT, compression="")[700:]),
        gzip.compress(tar_of(PROJECT)),
        gzip.compress(zip_of(PROJECT)),
        zip_of(PROJECT),
    ],
    ids=["tar", "gz", "bz2", "xz", "xz-in-two-streams", "gz-twice", "gz-of-zip", "zip"],
)
def test_every_format_becomes_the_same_tree(tmp_path: Path, content: bytes) -> None:
    unpacked = unpack(saved(tmp_path, content), tmp_path / "tree")
    assert tree(tmp_path / "tree") == PROJECT
    assert (unpacked.files, unpacked.size_bytes) == (2, 11)


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ({"repo-1a2b/package.json": "{}", "repo-1a2b/src/m.js": ""}, {"package.json", "src/m.js"}),
        ({"repo/.actor/actor.json": "{}"}, {".actor/actor.json"}),
        ({"repo/my_actor/__main__.py": ""}, {"my_actor/__main__.py"}),
        ({".actor/Dockerfile": ""}, {".actor/Dockerfile"}),
        ({"src/__main__.py": ""}, {"src/__main__.py"}),
        ({"my_actor/__main__.py": ""}, {"my_actor/__main__.py"}),
        ({"a/main.py": "", "b/main.py": ""}, {"a/main.py", "b/main.py"}),
        ({"__MACOSX/._main.py": "", "repo/main.py": ""}, {"main.py"}),
        ({"./repo//main.py": "", "./": ""}, {"main.py"}),
    ],
    ids=["node", "actor", "bare", "only-actor", "src", "package", "two", "macos", "dots"],
)
def test_only_a_folder_that_wraps_the_project_is_entered(
    tmp_path: Path, files: dict[str, str], kept: set[str]
) -> None:
    members = [member(name, b"x") if not name.endswith("/") else folder(name) for name in files]
    unpack(saved(tmp_path, tar(*members)), tmp_path / "tree")
    assert set(tree(tmp_path / "tree")) == kept


def folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.DIRTYPE, mode=0o777)


def test_modes_are_reduced_to_what_a_project_needs(tmp_path: Path) -> None:
    members = [
        member("plain", b"x", mode=0o6666),
        member("program", b"x", mode=0o4711),
        member("script", b"#!/bin/sh\n", mode=0o600),
        folder("sub"),
    ]
    unpack(saved(tmp_path, tar(*members)), tmp_path / "tree")
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "tree").iterdir()}
    assert modes == {"plain": 0o644, "program": 0o755, "script": 0o755, "sub": 0o755}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_links_that_stay_in_the_tree_are_kept(tmp_path: Path, kind: str) -> None:
    links = {"CLAUDE.md": "AGENTS.md", "docs/read.md": "../AGENTS.md"}
    if kind == "tar":
        made = [member(name, type=tarfile.SYMTYPE, linkname=to) for name, to in links.items()]
        content = tar(*made, member("AGENTS.md", b"text"))
    else:
        link = stat.S_IFLNK | 0o777
        entries = [(zip_info(name, link), to.encode()) for name, to in links.items()]
        content = zipped(*entries, (zip_info("AGENTS.md"), b"text"))
    unpack(saved(tmp_path, content), tmp_path / "tree")
    found = tree(tmp_path / "tree")
    assert found["CLAUDE.md"] == "-> AGENTS.md"
    assert (tmp_path / "tree/docs/read.md").read_text() == "text"


def damaged(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def resized(content: bytes, field: bytes) -> bytes:
    """A tar whose first header claims another size."""
    header = bytearray(content[:512])
    header[124:136] = field.ljust(12, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content[512:]


def long_header(size: int) -> bytes:
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, size
    return info.tobuf() + b"x" * 1024


def many(count: int) -> bytes:
    return tar(*(member(f"f{number}", b"x") for number in range(count)))


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def nested_headers(depth: int) -> bytes:
    info = tarfile.TarInfo("deep")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    return (info.tobuf() + b"x".ljust(512, b"\0")) * depth


def huge_directory() -> bytes:
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 2**31, 0, 0)
    return b"PK\3\4" + b"\0" * 100 + end


def encrypted() -> bytes:
    content = bytearray(zip_of({"secret.py": "x"}))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def bzip2_zip() -> bytes:
    info = zip_info("packed.py")
    info.compress_type = zipfile.ZIP_BZIP2
    return zipped((info, b"x"))


def lying_zip() -> bytes:
    """The directory says 1 byte, the entry holds 400 kB."""
    content = bytearray(zip_of({"liar.py": "x" * 400_000}))
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<L", 1)
    return bytes(content)


def twice() -> bytes:
    with pytest.warns(UserWarning):
        return zipped((zip_info("a.py"), b"1"), (zip_info("a.py"), b"2"))


def sparse_bomb() -> bytes:
    """A terabyte of nothing, as GNU tar would note it."""
    info = tarfile.TarInfo("sparse.bin")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:398] = b"%011o\0" % 0
    header[398:410] = b"%011o\0" % 512
    header[483:495] = b"\x80" + (2**40).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"x" * 512 + b"\0" * 1024


HOSTILE = {
    "absolute": (lambda: tar(member("/etc/passwd", b"x")), "absolute"),
    "climbing": (lambda: tar(member("a/../../b", b"x")), "a/../../b.*climbs"),
    "backslash": (lambda: zip_of({"a\\..\\b": "x"}), "backslash"),
    "control": (lambda: tar(member("a\nb", b"x")), "control character"),
    "not-unicode": (lambda: tar(member("a\udcffb", b"x")), "Unicode"),
    "too-long": (lambda: tar(member("a" * 300, b"x")), "too long"),
    "zip-climbing": (lambda: zip_of({"../evil.py": "x"}), "evil.*climbs"),
    "zip-absolute": (lambda: zip_of({"/evil.py": "x"}), "evil.*absolute"),
    "hard-link": (lambda: tar(member("hard", type=tarfile.LNKTYPE, linkname="a")), "hard link"),
    "link-out": (lambda: tar(link("out", "../../etc/passwd")), "out.*leads out"),
    "link-absolute": (lambda: tar(link("out", "/etc/passwd")), "out.*leads out"),
    "link-through-link": (
        lambda: tar(member("x", b"x"), link("d/up", ".."), link("d/out", "up/../../x")),
        "d/out.*straight",
    ),
    "link-out-once-entered": (
        lambda: tar(member("repo/main.py", b"x"), link("repo/out", "../other")),
        "out.*leads out",
    ),
    "through-link": (
        lambda: tar(link("a", "b"), member("a/evil", b"x")),
        "both a link and a folder",
    ),
    "zip-link-out": (
        lambda: zipped((zip_info("out", stat.S_IFLNK | 0o777), b"/etc")),
        "out.*leads out",
    ),
    "zip-device": (lambda: zipped((zip_info("dev", stat.S_IFBLK), b"")), "dev.*device"),
    "device": (lambda: tar(member("dev", type=tarfile.CHRTYPE)), "dev.*device"),
    "pipe": (lambda: tar(member("pipe", type=tarfile.FIFOTYPE)), "pipe.*named pipe"),
    "twice": (lambda: tar(member("a", b"1"), member("./a", b"2")), "'a' is there twice"),
    "zip-twice": (twice, "there twice"),
    "file-and-folder": (lambda: tar(member("a", b"x"), member("a/b", b"x")), "both a file and"),
    "too-many": (lambda: many(21), "more than 20 entries"),
    "bomb": (lambda: tar(member("zeros", bytes(200_000)), compression="gz"), "too much"),
    "xz-bomb": (lambda: tar(member("zeros", bytes(900_000)), compression="xz"), "too much"),
    "zip-bomb": (lambda: zip_of({"zeros": "\0" * 250_000}), "too much.*zeros"),
    "too-large": (lambda: tar(member("big", bytes(400_000))), "too much.*big"),
    "sparse-bomb": (sparse_bomb, "too much.*sparse"),
    "lying-zip": (lying_zip, "liar"),
    "negative-size": (lambda: resized(tar(member("a", b"x")), b"\xff" * 12), "damaged"),
    "larger-than-it-is": (lambda: resized(tar(member("a", b"x")), b"00077777777"), "damaged"),
    "long-header": (lambda: long_header(2**30), "too long"),
    "nested-headers": (lambda: nested_headers(3000), "damaged|no archive"),
    "damaged-header": (
        lambda: damaged(tar(member("a", b"x"), member("b", b"x")), 1030),
        "after 'a'",
    ),
    "huge-directory": (huge_directory, "directory|damaged"),
    "encrypted": (encrypted, "secret.py.*encrypted"),
    "unusual-zip": (bzip2_zip, "packed.py.*usual"),
    "cut-gz": (lambda: tar_of(PROJECT)[:-12], "cut off"),
    "cut-xz": (lambda: tar_of(PROJECT, compression="xz")[:-30], "cut off"),
    "cut-zip": (lambda: zip_of(PROJECT)[:-30], "cut off"),
    "damaged-zip": (lambda: damaged(zip_of(PROJECT), 40), "damaged"),
    "empty": (lambda: tar(folder("a")), "no files"),
    "nothing": (lambda: b"", "no archive"),
    "page": (lambda: b"\n<!DOCTYPE html><title>404</title>", "web page"),
    "text": (lambda: b"not an archive" * 100, "no archive"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_by_name(tmp_path: Path, case: str) -> None:
    make, words = HOSTILE[case]
    outside = set(tmp_path.parent.iterdir())
    with pytest.raises(FetchFailed, match=f"(?s){words}"):
        unpack(saved(tmp_path, make()), tmp_path / "tree", SMALL)
    assert set(tmp_path.parent.iterdir()) == outside
    assert {path.name for path in tmp_path.iterdir()} <= {"archive", "archive.0", "tree"}


def test_nothing_is_written_of_an_archive_with_one_bad_name(tmp_path: Path) -> None:
    content = tar(member("good.py", b"x"), member("../bad.py", b"x"))
    with pytest.raises(FetchFailed):
        unpack(saved(tmp_path, content), tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_an_xz_file_cannot_ask_for_much_memory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 512 * 1024 * 1024, "preset": 0}]
    compressor = lzma.LZMACompressor(filters=filters)
    buffer.write(compressor.compress(b"x") + compressor.flush())
    with pytest.raises(FetchFailed, match="cannot be decompressed"):
        unpack(saved(tmp_path, buffer.getvalue()), tmp_path / "tree")
