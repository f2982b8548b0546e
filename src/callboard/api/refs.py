"""References to Actors, tasks and storages in a path: `id`, `username~name`, `~name`, `me~name`."""

from dataclasses import dataclass
from typing import TypeAlias

from callboard.core.caller import Caller


@dataclass(frozen=True)
class ById:
    id: str


@dataclass(frozen=True)
class ByName:
    """`username` None means the caller's own account."""

    username: str | None
    name: str


Ref: TypeAlias = ById | ByName


def parse_ref(text: str, caller: Caller | None) -> Ref:
    """Read a reference. Usernames and names hold neither `~` nor `/`, so the first separator decides."""
    for separator in ("~", "/"):
        username, found, name = text.partition(separator)
        if found:
            is_own = username in ("", "me") or (caller is not None and username == caller.username)
            return ByName(None if is_own else username, name)
    return ById(text)
