"""Which of the operator's proxies a request goes out through."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import unquote, urlsplit

from callboard.config import ProxyUpstream
from callboard.proxy.credentials import Wish
from callboard.proxy.errors import NO_UPSTREAM, ProxyError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SOCKS_PORT = 1080


@dataclass(frozen=True)
class Upstream:
    """Where a proxy of the operator's listens, and as whom it is used."""

    host: str
    port: int
    is_tls: bool
    username: str | None
    password: str | None
    socks_version: int | None
    """4 or 5; None for one that speaks HTTP."""

    @property
    def authorization(self) -> bytes | None:
        """What the Proxy-Authorization header of an HTTP one is to say."""
        if self.username is None:
            return None
        pair = f"{self.username}:{self.password or ''}"
        return b"Basic " + base64.b64encode(pair.encode())


@dataclass(frozen=True)
class _Choice:
    key: str
    upstream: Upstream | None
    groups: frozenset[str]
    country: str | None

    def suits(self, wish: Wish) -> bool:
        if wish.groups and not self.groups.intersection(wish.groups):
            return False
        if wish.country is None:
            return True
        return self.country is not None and wish.country in (
            self.country,
            self.country.partition("_")[0],
        )


class Upstreams:
    """The configured ways out. Without any, there is the direct one, for those who ask for nothing special."""

    def __init__(self, configured: Iterable[ProxyUpstream]) -> None:
        self._choices = [_choice(one) for one in configured]
        self._turns = count()

    def choose(self, user_id: str, wish: Wish) -> Upstream | None:
        """One that suits the wish, None for the direct way. Raises ProxyError when none does.

        A session of an account always gets the same one while the configuration stays, also after a restart:
        the choice follows from their names (rendezvous hashing), so there is nothing to remember or forget.
        """
        suitable = [choice for choice in self._choices if choice.suits(wish)]
        if not suitable and (self._choices or wish.groups or wish.country):
            raise ProxyError(NO_UPSTREAM, _none_suits(wish))
        if not suitable:
            return None
        if wish.session is None:
            return suitable[next(self._turns) % len(suitable)].upstream
        owner = f"{user_id}:{wish.session}"
        return max(suitable, key=lambda choice: _weight(owner, choice.key)).upstream

    def groups(self) -> list[dict[str, Any]]:
        """For `users/me`: each group with how many upstreams it has."""
        sizes = Counter(group for choice in self._choices for group in choice.groups)
        return [
            {"name": name, "description": f"Proxies of group {name}", "availableCount": size}
            for name, size in sorted(sizes.items())
        ]


def _choice(configured: ProxyUpstream) -> _Choice:
    upstream = None if configured.url == "direct" else _upstream(configured.url)
    return _Choice(configured.url, upstream, frozenset(configured.groups), configured.country)


def _upstream(text: str) -> Upstream:
    url = urlsplit(text)
    return Upstream(
        host=url.hostname or "",
        port=url.port or _DEFAULT_PORTS.get(url.scheme, _SOCKS_PORT),
        is_tls=url.scheme == "https",
        username=None if url.username is None else unquote(url.username),
        password=None if url.password is None else unquote(url.password),
        socks_version=int(url.scheme[5]) if url.scheme.startswith("socks") else None,
    )


def _weight(owner: str, key: str) -> bytes:
    return hashlib.sha256(f"{owner}\n{key}".encode()).digest()


def _none_suits(wish: Wish) -> str:
    groups = f" of group {' or '.join(wish.groups)}" if wish.groups else ""
    country = f" in country {wish.country}" if wish.country else ""
    return f"This server has no proxy{groups}{country}."
