"""What turns a version's sources into something an executor can start: the builder contract.

A build is a job like a run: the builder names a driver program, the executor starts it, its output is the build
log, and it leaves its result in a file. So a build outlives the server, is aborted and timed out by the same code
as a run, and no build step ever runs inside the server.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from pathlib import Path

import msgspec

from callboard.executors.base import LaunchSpec, disk_mbytes


class Image(msgspec.Struct, frozen=True, rename="camel"):
    """A built Actor, ready to start. Stored as JSON with the build."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    mounts: tuple["ImageMount", ...] = ()
    reference: str | None = None
    """The container image it is in, for `LaunchSpec.image`."""
    user: str | None = None
    """For `LaunchSpec.user`."""


class ImageMount(msgspec.Struct, frozen=True, rename="camel"):
    """A folder of the build's output, relative to it, and where the Actor sees it."""

    source: str
    target: str
    mode: str
    """A `MountMode` value."""


SOURCE_NAME = "source"
"""The folder of source files in a build's folder."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are, on any Linux."""
WORK_NAME = "work"
"""That of what a driver needs until it has ended."""


class SourceKind(StrEnum):
    FILES = "files"
    """Already in `source/`, written and checked by the server."""
    ARCHIVE = "archive"
    GIT = "git"


class BuildSource(msgspec.Struct, frozen=True, rename="camel"):
    """Where a driver gets the sources from. Whatever it fetches is hostile."""

    kind: SourceKind = SourceKind.FILES
    url: str = ""
    """May hold secrets: see `fetching.urls.shown_url`."""
    direct: bool = False
    """Whether the URL is this server's own, reached without a proxy."""
    deploy_key: str | None = None
    """A file with the Actor's private key for SSH. Gone after the build."""
    known_hosts: str | None = None
    """A file of the Actor's that remembers the hosts it has met. Stays for later builds."""


class BuildSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What a driver is told, as JSON in `<build_dir>/spec.json`."""

    build_id: str
    build_dir: str
    """Private to this build. `source/` in it holds the source files unless `source` says otherwise."""
    cache_dir: str
    """Download caches shared by all builds."""
    actor_name: str
    build_number: str
    use_cache: bool
    build_args: dict[str, str]
    """Environment given to build steps; empty unless the version applies its variables to builds."""
    memory_mbytes: int
    timeout_secs: float
    source: BuildSource = BuildSource()

    @property
    def disk_bytes(self) -> int:
        """Most that it may keep on disk: `LaunchSpec.disk_bytes` of its job."""
        return disk_mbytes(self.memory_mbytes) * 1024 * 1024


class BuildResult(msgspec.Struct, frozen=True, rename="camel"):
    """What a driver leaves in `<build_dir>/result.json` when it succeeds (exit code 0)."""

    image: Image
    image_size_bytes: int
    actor_definition: dict[str, object] | None = None
    """`.actor/actor.json` with the schemas it refers to put in place of their paths."""
    input_schema: str | None = None
    """Text of the input schema, as in the sources."""
    readme: str | None = None
    changelog: str | None = None


class Builder(ABC):
    """Names the driver for a build and reads what it left. `tests/conformance/test_builders.py` holds it to this."""

    name: str

    @abstractmethod
    def launch_spec(self, spec: BuildSpec, *, log_path: Path) -> LaunchSpec:
        """The driver's start for `spec`. Writes `spec.json`. The same build started twice gives the same job."""

    @abstractmethod
    def result(self, build_dir: Path) -> BuildResult | None:
        """What the driver left, or None when it did not finish well."""

    @abstractmethod
    def remove(self, build_dir: Path) -> None:
        """Reclaim everything the build left. Harmless when already gone. Blocks: to be called in a thread.

        What cannot be reclaimed now stays, and its folder with it, to be tried again.
        """
