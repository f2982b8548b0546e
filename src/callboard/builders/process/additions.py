"""ADD: files from elsewhere and archives, which COPY leaves as they are."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from callboard.builders.fetching.urls import shown_url
from callboard.builders.process.actions import AddUrl
from callboard.builders.process.copying import Origin
from callboard.builders.process.errors import BuildFailed


class Additions:
    """The downloads of one build. `download` writes what is at a URL to a new folder and returns the file."""

    def __init__(self, folder: Path, download: Callable[[str, Path], Path]) -> None:
        self._folder = folder
        self._download = download
        self._files: dict[str, Path] = {}

    def get(self, item: AddUrl) -> Path:
        """The file, downloaded once. Raises `BuildFailed`, also when it is not the one that was asked for."""
        if item.url not in self._files:
            self._folder.mkdir(exist_ok=True)
            self._files[item.url] = self._download(item.url, self._folder / str(len(self._files)))
        file = self._files[item.url]
        if item.checksum and _sha256(file) != item.checksum:
            raise BuildFailed(f"{shown_url(item.url)} has another checksum than --checksum says.")
        return file

    def digest(self, item: AddUrl) -> str:
        """What decides whether a step that adds it has been done before."""
        return _sha256(self.get(item))

    @staticmethod
    def name_of(url: str) -> str:
        """What the file is called in a folder."""
        name = os.path.basename(unquote(urlsplit(url).path))
        if name in {"", ".", ".."} or not name.isprintable():
            raise BuildFailed(f"ADD: {shown_url(url)} names no file.")
        return name


def archives(origin: Origin, patterns: Sequence[str]) -> Mapping[str, Path]:
    """Those of the named files that are tar archives, which their content tells."""
    found: dict[str, Path] = {}
    for match in origin.matches(patterns):
        place = origin.place(match)
        if place.is_file() and _is_archive(place):
            found[match] = place
    return found


def _is_archive(place: Path) -> bool:
    try:
        with tarfile.open(place) as archive:
            return archive.next() is not None
    except (tarfile.TarError, OSError, EOFError):
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
