"""Heads of requests and answers as they pass the gateway: what is taken out of them, and what is added.

Credentials for this server never reach an Actor: its code may be somebody else's. What looks like a token but is none
of ours is the Actor's business, and passes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote_plus

from callboard.api.headers import first
from callboard.gateway.places import Place
from callboard.proxy.wire import OF_ONE_CONNECTION

Headers: TypeAlias = list[tuple[bytes, bytes]]

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_READY_PROBE = b"x-apify-container-server-readiness-probe"
_OWN = frozenset({b"expect", b"forwarded", _READY_PROBE})
"""Said by the gateway or not at all."""
_OPAQUE = b"sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"


@dataclass(frozen=True)
class Head:
    """Of a request, as it came."""

    method: str
    target: bytes
    """Raw path and query."""
    headers: Headers
    client_ip: str | None
    scheme: str

    def first(self, name: bytes) -> bytes | None:
        return first(self.headers, name)

    @property
    def host(self) -> str:
        return host_of(self.headers)

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode("latin-1")

    @property
    def user_agent(self) -> str | None:
        value = self.first(b"user-agent")
        return None if value is None else value.decode("latin-1")

    @property
    def is_navigation(self) -> bool:
        """Whether a browser is about to show the answer as a page."""
        return self.method == "GET" and self.first(b"sec-fetch-mode") == b"navigate"

    @property
    def is_preflight(self) -> bool:
        return self.method == "OPTIONS" and self.first(b"access-control-request-method") is not None

    def tokens(self) -> list[str]:
        """What may be a token for this server, the header's first."""
        given = [value.partition(b" ") for key, value in self.headers if key == b"authorization"]
        found = [value.strip() for scheme, _, value in given if scheme.lower() == b"bearer"]
        found += [_value(pair) for pair in _pairs(self.target) if _is_token(pair)]
        return [text.decode("latin-1") for text in found if text]


def host_of(headers: Headers) -> str:
    """The host that a request was sent to; empty when it does not say."""
    return (first(headers, b"host") or b"").decode("latin-1")


def probe() -> Headers:
    """Headers of the question whether an Actor serves already, by which Actors know it."""
    return [(b"host", b"localhost"), (_READY_PROBE, b"1"), (b"connection", b"close")]


def outgoing(
    head: Head, place: Place, *, secrets: Iterable[str], upgrade: bytes | None = None
) -> tuple[bytes, Headers]:
    """Target and headers as the Actor gets them, without these tokens; `upgrade` is a protocol to change to."""
    hidden = {secret.encode("latin-1") for secret in secrets}
    headers = [
        (name, value)
        for name, value in without_hops(head.headers, keep=_FRAMING)
        if name not in _OWN
        and not (name == b"authorization" and value.partition(b" ")[2].strip() in hidden)
        and (place.has_own_host or name != b"cookie")
        # A page that was opened with a token says so in what it asks for.
        and not (name == b"referer" and any(map(_is_token, _pairs(value))))
        and not name.startswith(b"x-forwarded-")
    ]
    headers += _forwarded(head, place)
    headers += (
        [(b"connection", b"close")]
        if upgrade is None
        else [(b"connection", b"upgrade"), (b"upgrade", upgrade)]
    )
    return _own_target(head.target, place, hidden), headers


def incoming(headers: Iterable[tuple[bytes, bytes]], place: Place, *, is_open: bool) -> Headers:
    """Headers of an answer as the client gets them. `is_open`: pages of other origins may read it."""
    passed = [
        (name, value)
        for name, value in without_hops(headers, keep=frozenset({b"content-length"}))
        if name != b"date" and (place.has_own_host or name != b"set-cookie")
    ]
    if not place.has_own_host:
        # The page shares its origin with the API and with other Actors, so it gets one of its own.
        passed.append((b"content-security-policy", _OPAQUE))
    if is_open and not any(name == b"access-control-allow-origin" for name, _ in passed):
        passed.append((b"access-control-allow-origin", b"*"))
    return passed


def without_hops(headers: Iterable[tuple[bytes, bytes]], *, keep: frozenset[bytes]) -> Headers:
    """In lower case, without what concerns one connection, by itself or by being named in a Connection header."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = set(OF_ONE_CONNECTION | _FRAMING) - keep
    for name, value in lowered:
        if name == b"connection":
            dropped.update(token.strip().lower() for token in value.split(b","))
    dropped -= keep
    return [(name, value) for name, value in lowered if name not in dropped]


def _forwarded(head: Head, place: Place) -> Headers:
    """What clients say of this themselves is not passed on: anyone could say anything."""
    added = [(b"x-forwarded-proto", head.scheme.encode())]
    if head.client_ip:
        added.append((b"x-forwarded-for", head.client_ip.encode()))
    if host := head.first(b"host"):
        added.append((b"x-forwarded-host", host))
    if place.prefix:
        added.append((b"x-forwarded-prefix", place.prefix.encode("latin-1")))
    return added


def _own_target(target: bytes, place: Place, hidden: set[bytes]) -> bytes:
    path, question, query = target.partition(b"?")
    own_path = path[len(place.prefix) :] or b"/"
    if not question:
        return own_path
    kept = [pair for pair in query.split(b"&") if not (_is_token(pair) and _value(pair) in hidden)]
    return own_path + (b"?" + b"&".join(kept) if kept else b"")


def _pairs(target: bytes) -> list[bytes]:
    return target.partition(b"?")[2].split(b"&")


def _is_token(pair: bytes) -> bool:
    return unquote_plus(pair.partition(b"=")[0].decode("latin-1")) == "token"


def _value(pair: bytes) -> bytes:
    text = unquote_plus(pair.partition(b"=")[2].decode("latin-1"), encoding="latin-1")
    return text.encode("latin-1")
