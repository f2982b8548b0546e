"""`python -m callboard.builders.docker BUILD_DIR/spec.json`: the build driver, started by the executor."""

import asyncio
import os
import sys
from pathlib import Path

from callboard.builders.base import BuildResult, BuildSpec
from callboard.builders.docker.driver import build
from callboard.builders.docker.place import Place
from callboard.builders.driven import drive
from callboard.builders.process.errors import BuildFailed
from callboard.executors.docker.engine import EngineGone, EngineRefused
from callboard.inputs.input_schema.check import check_schema


def _build(spec: BuildSpec) -> BuildResult:
    place = Place.from_environment(os.environ)
    return asyncio.run(build(spec, place, check_schema=check_schema))


if __name__ == "__main__":
    failures = (BuildFailed, EngineGone, EngineRefused)
    sys.exit(drive(Path(sys.argv[1]), _build, failures=failures))
