"""Where webhooks may go. Users choose the URL and its DNS, so the address that is dialled is what counts."""

import errno
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from yarl import URL

from callboard.core.addresses import is_allowed
from callboard.webhooks.errors import InvalidWebhook

AddressInfo: TypeAlias = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Any]
"""One answer of `getaddrinfo`."""

MAX_URL_CHARS = 4096


def parse_url(text: str) -> URL:
    """A URL that a webhook may have, before anything is known of its address. Raises InvalidWebhook."""
    if len(text) > MAX_URL_CHARS:
        raise InvalidWebhook(f"requestUrl may have at most {MAX_URL_CHARS} characters.")
    try:
        url = URL(text)
        is_usable = url.scheme in ("http", "https") and bool(url.host) and url.port != 0
    except ValueError as error:
        raise InvalidWebhook(f"requestUrl is not a valid URL: {error}") from error
    if not is_usable:
        raise InvalidWebhook("requestUrl must be an absolute http or https URL.")
    return url


def guarded_socket(*, allow_private: bool) -> Callable[[AddressInfo], socket.socket]:
    """A socket factory that refuses, with a PermissionError, addresses that are not allowed.

    It is asked for every address that is about to be dialled, whether named in a URL or found by DNS, so
    an answer that changes between a check and the connection gains nothing.
    """

    def create(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, destination = info
        if not is_allowed(str(destination[0]), allow_private=allow_private):
            raise PermissionError(errno.EACCES, "webhooks may not reach this address")
        return socket.socket(family=family, type=kind, proto=protocol)

    return create
