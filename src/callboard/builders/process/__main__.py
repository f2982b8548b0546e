"""`python -m callboard.builders.process BUILD_DIR/spec.json`: the build driver, started by the executor."""

import os
import sys
from pathlib import Path

from callboard.builders.base import BuildResult, BuildSpec
from callboard.builders.driven import drive
from callboard.builders.process.driver import build
from callboard.builders.process.errors import BuildFailed
from callboard.inputs.input_schema.check import check_schema


def _build(spec: BuildSpec) -> BuildResult:
    """Everything the result speaks of is on disk before the result is."""
    result = build(spec, check_schema=check_schema)
    os.sync()
    return result


if __name__ == "__main__":
    sys.exit(drive(Path(sys.argv[1]), _build, failures=(BuildFailed,)))
