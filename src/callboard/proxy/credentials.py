"""What a client's credentials say: the password whose account it is, the username how its requests are to go out."""

import base64
import binascii
import re
from dataclasses import dataclass
from http import HTTPStatus

from callboard.proxy.errors import ProxyError

_AUTO = "auto"
_PARAMETERS = {
    "groups": re.compile(r"[A-Za-z0-9_.~]+(?:\+[A-Za-z0-9_.~]+)*"),
    "session": re.compile(r"[A-Za-z0-9_.~]{1,50}"),
    "country": re.compile(r"[A-Z]{2}(?:_[A-Z0-9]{1,3})?"),
}


@dataclass(frozen=True)
class Wish:
    """How requests are to go out. All that is not given is up to the proxy."""

    groups: tuple[str, ...] = ()
    session: str | None = None
    country: str | None = None


def parse_credentials(header: bytes | None) -> tuple[str, str]:
    """Username and password of a Proxy-Authorization header. Raises ProxyError when there are none."""
    scheme, _, encoded = (header or b"").strip().partition(b" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    username, colon, password = text.partition(":")
    if scheme.lower() != b"basic" or not colon:
        raise ProxyError(
            HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, "Proxy credentials are required."
        )
    return username, password


def parse_wish(username: str) -> Wish:
    """From `auto` or `groups-A+B,session-x,country-US`, in any order. Raises ProxyError."""
    if username == _AUTO:
        return Wish()
    found: dict[str, str] = {}
    for part in username.split(","):
        name, _, value = part.partition("-")
        pattern = _PARAMETERS.get(name)
        if pattern is None or name in found or not pattern.fullmatch(value):
            raise ProxyError(
                HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
                'The proxy username is neither "auto" nor like "groups-A+B,session-x,country-US".',
            )
        found[name] = value
    groups = tuple(found["groups"].split("+")) if "groups" in found else ()
    return Wish(groups, found.get("session"), found.get("country"))
