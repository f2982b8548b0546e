"""URLs under which Actors' own web servers are reached: names below a domain of their own, or else paths."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

CONTAINERS_PATH = "/containers/"
STANDBY_ACTORS_PATH = "/standby/actors/"
STANDBY_TASKS_PATH = "/standby/tasks/"
OWNER_SEPARATOR = "--"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class ActorUrls:
    """`base_url` is the server's own, without a trailing slash. `domain` may bring a port of its own."""

    base_url: str
    domain: str | None = None

    def container(self, run_id: str) -> str:
        """Of the web server of one run."""
        if self.domain is None:
            return f"{self.base_url}{CONTAINERS_PATH}{run_id}"
        return self._named(run_id.lower())

    def standby_actor(self, actor_id: str, *, username: str, name: str) -> str:
        """Of an Actor in Standby mode."""
        if self.domain is None:
            return f"{self.base_url}{STANDBY_ACTORS_PATH}{username}~{name}"
        return self._named(_label(actor_id, username, name))

    def standby_task(self, task_id: str, *, username: str, name: str) -> str:
        """Of an Actor task in Standby mode."""
        if self.domain is None:
            return f"{self.base_url}{STANDBY_TASKS_PATH}{username}~{name}"
        return self._named(task_id.lower())  # its name may be that of an Actor, too

    def _named(self, label: str) -> str:
        own = urlsplit(self.base_url)
        domain = self.domain or ""
        port = "" if ":" in domain or own.port is None else f":{own.port}"
        return f"{own.scheme}://{label}.{domain}{port}"


def _label(own_id: str, username: str, name: str) -> str:
    """One label of a host name, which is what wildcard certificates cover.

    It stands for nothing else: case does not count in it, and owner and name have to be told apart.
    """
    label = f"{username}{OWNER_SEPARATOR}{name}"
    is_clear = label.partition(OWNER_SEPARATOR) == (username, OWNER_SEPARATOR, name)
    return label if is_clear and _LABEL.fullmatch(label) else own_id.lower()
