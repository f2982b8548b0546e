"""Dockerfiles for projects without one, in the images that builds without an engine imitate."""

from collections.abc import Callable
from pathlib import Path

from callboard.builders.process.defaults import default_dockerfile

_BASES = {
    "FROM node\n": "FROM apify/actor-node\n",
    "FROM scratch\n": "FROM apify/actor-python\n",  # for its shell
}
_UV = "pip install --quiet uv && uv pip install --system --break-system-packages"
_EXPORT = (
    "uv export --quiet --frozen --no-dev --no-emit-project --output-file /tmp/requirements.txt"
)
_LOCKED = f"pip install --quiet uv && {_EXPORT} && uv pip install --system --break-system-packages"


def default_text(project: Path, *, say: Callable[[str], None]) -> str:
    """The Dockerfile, said to be one of ours. Raises BuildFailed if nothing in the project can be started."""
    default = default_dockerfile(project)
    say(f"The sources have no Dockerfile; building for {default.reason}.")
    text = default.dockerfile
    for of_process, of_image in _BASES.items():
        text = text.replace(of_process, of_image)
    return "".join(_line(line) for line in text.splitlines(keepends=True))


def _line(line: str) -> str:
    """Images have no uv and no virtual environment."""
    if line.startswith("RUN UV_PROJECT_ENVIRONMENT="):
        return f"RUN {_LOCKED} -r /tmp/requirements.txt\n"
    return line.replace("RUN uv pip install", f"RUN {_UV}")
