"""How commands fail: one line for the operator and exit code 1, never a traceback for what is their business."""

import sys
from collections.abc import Coroutine
from typing import Any

from callboard.config import InvalidSetting


class CommandFailed(Exception):
    """Why the command cannot do what it was asked to, in a sentence for the operator."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run an asynchronous command to its end."""
    import uvloop

    try:
        uvloop.run(main)
    except (CommandFailed, InvalidSetting) as error:
        fail(error)


def fail(error: Exception) -> None:
    """Say why and leave with exit code 1."""
    print(f"callboard: {error}", file=sys.stderr)
    raise SystemExit(1) from error
