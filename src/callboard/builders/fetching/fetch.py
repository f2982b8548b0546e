"""From what a build is told about its sources to a folder of them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from callboard.builders.base import BuildSource, SourceKind
from callboard.builders.fetching.archive import unpack
from callboard.builders.fetching.downloading import download_in
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.git import clone, folder_in
from callboard.builders.fetching.limits import MIB, Limits
from callboard.builders.fetching.sandbox import Sandbox
from callboard.builders.fetching.ssh import Identity
from callboard.builders.fetching.urls import GitAddress, InvalidUrl, git_address, shown_url


@dataclass(frozen=True)
class Sources:
    """Where sources lie. No link below `root` leads out of it; the Actor's folder is there or below."""

    root: Path
    actor: Path


def fetch(
    source: BuildSource, work: Path, sandbox: Sandbox, *, say: Callable[[str], None]
) -> Sources:
    """Get the sources into `work`, a folder of the build's own. `say` writes to the build log. Raises FetchFailed."""
    work.mkdir()
    if source.kind is SourceKind.ARCHIVE:
        return _fetch_archive(source, work, sandbox, say)
    return _fetch_repository(source, work, sandbox, say)


def _fetch_archive(
    source: BuildSource, work: Path, sandbox: Sandbox, say: Callable[[str], None]
) -> Sources:
    say(f"Downloading {shown_url(source.url)}.")
    limits = Limits()
    folder, root = work / "archive", work / "sources"
    packed = download_in(
        sandbox, source.url, folder, limit_bytes=limits.packed_bytes, direct=source.direct
    )
    size = packed.stat().st_size
    unpacked = unpack(packed, root, limits)
    say(
        f"Downloaded {size / MIB:.1f} MB: {unpacked.files} files, {unpacked.size_bytes / MIB:.1f} MB."
    )
    shutil.rmtree(folder)
    return Sources(root, root)


def _fetch_repository(
    source: BuildSource, work: Path, sandbox: Sandbox, say: Callable[[str], None]
) -> Sources:
    address = _git_address(source.url)
    say(f"Cloning {shown_url(source.url)}{f', {address.ref}' if address.ref else ''}.")
    root = clone(address, work / "git", sandbox, identity=_identity(source))
    if (root / ".gitmodules").exists():
        say("Warning: the repository has submodules; they are not fetched.")
    return Sources(root, folder_in(root, address))


def _git_address(url: str) -> GitAddress:
    try:
        return git_address(url)
    except InvalidUrl as error:
        raise FetchFailed(f"{shown_url(url)} cannot be cloned. {error}") from None


def _identity(source: BuildSource) -> Identity | None:
    if source.deploy_key is None or source.known_hosts is None:
        return None
    return Identity(Path(source.deploy_key), Path(source.known_hosts))
