"""Death by SIGKILL at a named step of a program, which knows nothing of it: its functions are wrapped from outside.

A step is `module:function before` or `module:Class.method after`. Death strikes when the function is called, or has
returned: at once, or while the file given to `lay` holds the step. A name that is no longer there fails at once.
"""

import functools
import inspect
import os
import signal
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any


def lay(steps: Iterable[str], due: Path | None = None) -> None:
    """Wrap the functions of all steps."""
    for step in steps:
        where, moment = step.split()
        module, _, path = where.partition(":")
        *outer, name = path.split(".")
        owner: Any = functools.reduce(getattr, outer, import_module(module))
        strike = functools.partial(_die_if_due, step, due)
        before, after = (strike, _live) if moment == "before" else (_live, strike)
        setattr(owner, name, _wrapped(getattr(owner, name), before, after))


def _wrapped(
    function: Callable[..., Any], before: Callable[[], None], after: Callable[[], None]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def awaited(*args: Any, **named: Any) -> Any:
        before()
        value = await function(*args, **named)
        after()
        return value

    @functools.wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        before()
        value = function(*args, **named)
        after()
        return value

    return awaited if inspect.iscoroutinefunction(function) else called


def _die_if_due(step: str, due: Path | None) -> None:
    if due is None or (due.exists() and due.read_text() == step):
        os.kill(os.getpid(), signal.SIGKILL)


def _live() -> None:
    """Nothing happens here."""
