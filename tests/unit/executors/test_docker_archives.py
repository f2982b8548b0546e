"""Archives as they are put into containers."""

import io
import tarfile

import pytest

from callboard.executors.docker.archives import packed


@pytest.mark.parametrize("length", [0, 5, 512, 9000])
def test_an_archive_ends_with_its_two_empty_blocks(length: int):
    entry, content = tarfile.TarInfo("file"), b"x" * length
    entry.size = length
    archive = packed(lambda archive: archive.addfile(entry, io.BytesIO(content)))
    blocks = [archive[start : start + 512] for start in range(0, len(archive), 512)]
    assert [any(block) for block in blocks[-3:]] == [True, False, False]
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        file = read.extractfile("file")
        assert file is not None and file.read() == content
