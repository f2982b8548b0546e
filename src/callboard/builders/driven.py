"""What builders have in common: a driver program with a specification in a file, and a result in another."""

import errno
import os
import signal
import sys
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

import msgspec

from callboard.builders.base import Builder, BuildResult, BuildSpec
from callboard.builders.removing import remove_tree
from callboard.executors.base import LaunchSpec

_SPEC, _RESULT = "spec.json", "result.json"
_BUILD_CPUS = 2.0
FILE_TOO_LARGE = 128 + signal.SIGXFSZ
"""How a step ends that the kernel has stopped for it, and the driver then: executors take it for the disk limit."""


class FileTooLarge(Exception):
    """A step was ended for a file that is larger than all that the build may keep."""


class DrivenBuilder(Builder):
    """`module` is run as `python -m MODULE BUILD_DIR/spec.json`."""

    module: str

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """All of the driver's environment."""

    def launch_spec(self, spec: BuildSpec, *, log_path: Path) -> LaunchSpec:
        folder = Path(spec.build_dir)
        _write_atomically(folder / _SPEC, msgspec.json.encode(spec))
        return LaunchSpec(
            job_id=f"{spec.build_id}-1",  # the first and only start of the build
            argv=(sys.executable, "-P", "-m", self.module, str(folder / _SPEC)),
            env={
                **self.environment(),
                "PYTHONUNBUFFERED": "1",
                "PYTHONIOENCODING": "utf-8:replace",
            },
            cwd=str(folder),
            log_path=log_path,
            log_id=spec.build_id,
            memory_mbytes=spec.memory_mbytes,
            cpus=_BUILD_CPUS,
            timeout_secs=spec.timeout_secs,
            sandboxed=False,
            disk_folder=folder,
        )

    def result(self, build_dir: Path) -> BuildResult | None:
        try:
            return msgspec.json.decode((build_dir / _RESULT).read_bytes(), type=BuildResult)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def remove(self, build_dir: Path) -> None:
        remove_tree(build_dir)


def drive(
    spec_path: Path,
    build: Callable[[BuildSpec], BuildResult],
    *,
    failures: tuple[type[Exception], ...],
) -> int:
    """The driver's exit code: 0 when the result is complete on disk, else the log's last line says why not."""
    spec = msgspec.json.decode(spec_path.read_bytes(), type=BuildSpec)
    try:
        result = build(spec)
        _leave(result, Path(spec.build_dir))
    except (*failures, OSError) as error:
        print(f"Build failed: {error}", flush=True)
        return FILE_TOO_LARGE if _is_too_large(error) else 1
    return 0


def _is_too_large(error: Exception) -> bool:
    """The driver itself is told by an error where its steps are by a signal."""
    return isinstance(error, FileTooLarge) or getattr(error, "errno", None) == errno.EFBIG


def _leave(result: BuildResult, folder: Path) -> None:
    """Write the result so that after a power loss it is whole or absent."""
    partial = folder / f"{_RESULT}.partial"
    with partial.open("wb") as file:
        file.write(msgspec.json.encode(result))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / _RESULT)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_atomically(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.rename(path)
