"""The sample Actors that come with Callboard, in a checkout and in an installed package alike."""

import base64
from pathlib import Path
from typing import Any

from callboard.cli.failures import CommandFailed

_PACKAGE = Path(__file__).parent.parent
_PLACES = (_PACKAGE / "examples", _PACKAGE.parent.parent / "examples")


def sample_folder(name: str) -> Path:
    """Raises CommandFailed for an installation without samples."""
    for place in _PLACES:
        if (place / name / ".actor" / "actor.json").is_file():
            return place / name
    raise CommandFailed(f"The sample Actor {name} is not part of this installation.")


def source_files(folder: Path) -> list[dict[str, Any]]:
    """A folder as the `sourceFiles` of a version."""
    return [
        _source_file(path, path.relative_to(folder).as_posix())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def _source_file(path: Path, name: str) -> dict[str, Any]:
    content = path.read_bytes()
    try:
        return {"name": name, "format": "TEXT", "content": content.decode()}
    except UnicodeDecodeError:
        return {"name": name, "format": "BASE64", "content": base64.b64encode(content).decode()}
