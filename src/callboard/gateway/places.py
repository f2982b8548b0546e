"""Which Actor's web server a request is for, read from its path or from the name of the host it was sent to. Pure."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote

from callboard.core.actor_urls import (
    CONTAINERS_PATH,
    OWNER_SEPARATOR,
    STANDBY_ACTORS_PATH,
    STANDBY_TASKS_PATH,
)

_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
_LABEL = re.compile(rf"[a-z0-9]{{17}}|.+{OWNER_SEPARATOR}.+")
"""An id, or owner and name. Other names may be those of the API itself."""
_LOCAL_DOMAIN = "localhost"


class Kind(Enum):
    RUN = CONTAINERS_PATH
    ACTOR = STANDBY_ACTORS_PATH
    TASK = STANDBY_TASKS_PATH
    NAME = ""
    """A label of a host name, which may be any of the others."""


_BY_PATH = {kind.value: kind for kind in (Kind.RUN, Kind.ACTOR, Kind.TASK)}


@dataclass(frozen=True)
class Place:
    """`ref` names it. `prefix` is the part of the path that is ours; without one, the host is the Actor's own."""

    kind: Kind
    ref: str
    prefix: str = ""

    @property
    def has_own_host(self) -> bool:
        return self.kind is Kind.NAME


@dataclass(frozen=True)
class Domains:
    """`domain` is that of the settings, port and all; names below localhost lead here in any case."""

    domain: str | None = None

    def place_of(self, host: str, path: str) -> Place | None:
        """None when the request is one for the API."""
        label = _label(host, self.domain)
        return _of_path(path) if label is None else Place(Kind.NAME, label)

    def beside(self, host: str) -> str | None:
        """The domain for names of what a client reached by path at `host`; None when it would not find them."""
        if self.domain is not None:
            return self.domain
        match = _LOOPBACK.fullmatch(host.lower())
        return f"{_LOCAL_DOMAIN}{match[2] or ''}" if match else None


@lru_cache(64)
def _label(host: str, own_domain: str | None) -> str | None:
    """Clients of the API say the same host thousands of times. Few are kept, as each may be as long as a head."""
    name = host.lower().rpartition(":")[0] if _has_port(host) else host.lower()
    for domain in (_LOCAL_DOMAIN, (own_domain or "").partition(":")[0]):
        label, _, rest = name.partition(".")
        if domain and rest == domain and _LABEL.fullmatch(label):
            return label
    return None


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit()


def _of_path(path: str) -> Place | None:
    for prefix, kind in _BY_PATH.items():
        if path.startswith(prefix):
            ref = path[len(prefix) :].partition("/")[0]
            return Place(kind, unquote(ref), prefix + ref) if ref else None
    return None
