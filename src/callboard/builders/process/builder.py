"""The process builder: starts the build driver as a job of its own and reads what it left."""

import os
import shutil
import sys
from pathlib import Path

import msgspec

from callboard.builders.base import Builder, BuildResult, BuildSpec
from callboard.builders.process.registries import passed_environment
from callboard.executors.base import LaunchSpec

_PASSED = (
    "PATH",
    "PYTHONPATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "PYENV_ROOT",
    "UV_PYTHON_INSTALL_DIR",
    "PIP_CONFIG_FILE",
)
"""Where interpreters and the operator's registry configuration are found. Read by the driver, not given to steps."""
_BUILD_CPUS = 2.0


class ProcessBuilder(Builder):
    """Builds on this host, without containers."""

    name = "process"

    def launch_spec(self, spec: BuildSpec, *, log_path: Path) -> LaunchSpec:
        folder = Path(spec.build_dir)
        _write_atomically(folder / "spec.json", msgspec.json.encode(spec))
        return LaunchSpec(
            job_id=f"{spec.build_id}-1",  # the first and only start of the build
            argv=(
                sys.executable,
                "-P",
                "-m",
                "callboard.builders.process",
                str(folder / "spec.json"),
            ),
            env=_driver_environment(),
            cwd=str(folder),
            log_path=log_path,
            log_id=spec.build_id,
            memory_mbytes=spec.memory_mbytes,
            cpus=_BUILD_CPUS,
            timeout_secs=spec.timeout_secs,
            sandboxed=False,
            secrets=tuple(value for value in spec.build_args.values() if len(value) >= 8),
        )

    def result(self, build_dir: Path) -> BuildResult | None:
        try:
            return msgspec.json.decode((build_dir / "result.json").read_bytes(), type=BuildResult)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def remove(self, build_dir: Path) -> None:
        shutil.rmtree(build_dir, ignore_errors=True)


def _driver_environment() -> dict[str, str]:
    own = {name: os.environ[name] for name in _PASSED if name in os.environ}
    config = {
        name: value for name, value in os.environ.items() if name.upper().startswith("NPM_CONFIG_")
    }
    return {
        **own,
        **config,
        **passed_environment(os.environ),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:replace",
    }


def _write_atomically(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.rename(path)
