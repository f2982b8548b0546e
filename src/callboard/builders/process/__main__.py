"""`python -m callboard.builders.process BUILD_DIR/spec.json`: the build driver, started by the executor.

Exit code 0 means `result.json` is complete on disk; 1 that the last line of the log says what went wrong.
"""

import os
import sys
from pathlib import Path

import msgspec

from callboard.builders.base import BuildResult, BuildSpec
from callboard.builders.process.driver import build
from callboard.builders.process.errors import BuildFailed
from callboard.inputs.input_schema.check import check_schema


def main(spec_path: Path) -> int:
    spec = msgspec.json.decode(spec_path.read_bytes(), type=BuildSpec)
    try:
        result = build(spec, check_schema=check_schema)
    except (BuildFailed, OSError) as error:
        print(f"Build failed: {error}", flush=True)
        return 1
    _leave(result, Path(spec.build_dir))
    return 0


def _leave(result: BuildResult, folder: Path) -> None:
    """Write the result so that after a power loss it is whole or absent, and so are the files it speaks of."""
    os.sync()
    partial = folder / "result.json.partial"
    with partial.open("wb") as file:
        file.write(msgspec.json.encode(result))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / "result.json")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
