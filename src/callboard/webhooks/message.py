"""One webhook call before it is sent: its URL, headers and payload, from a dispatch and its templates."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from yarl import URL

from callboard.webhooks import templates
from callboard.webhooks.errors import InvalidTemplate
from callboard.webhooks.model import Delivery
from callboard.webhooks.targets import parse_url

TokenFor: TypeAlias = Callable[[str], str | None]
"""From a user's id to a token of theirs for this platform's own API, if there is one to give."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")

_NOT_FROM_TEMPLATES: Final = frozenset(
    {
        # The contract's own, always set by the platform.
        "host",
        "content-type",
        "x-apify-webhook",
        "x-apify-webhook-dispatch-id",
        "x-apify-request-origin",
        # What frames the message: a user's value could make it mean something else on the way.
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True)
class Message:
    """`private_headers` came from the user and are for the server that the user named, no other."""

    url: URL
    platform_headers: Mapping[str, str]
    private_headers: Mapping[str, str]
    payload: bytes
    is_to_own_api: bool
    ignore_ssl_errors: bool


class Composer:
    """Makes messages. `own_urls` are the base URLs of this platform's API, without `/v2`."""

    def __init__(self, *, own_urls: Collection[str], token_for: TokenFor) -> None:
        self._own = [URL(url) for url in own_urls]
        self._token_for = token_for

    def compose(self, delivery: Delivery) -> Message:
        """Pure but for the token. Raises InvalidWebhook or InvalidTemplate."""
        definition, dispatch = delivery.definition, delivery.dispatch
        values = templates.variables(
            user_id=dispatch.user_id,
            created_at=dispatch.created_at,
            event_type=dispatch.event_type,
            event_data=dispatch.event_data,
            resource=delivery.resource,
        )
        interpolate = definition.should_interpolate_strings
        headers = _permitted(
            templates.render_headers(definition.headers_template, values, interpolate=interpolate)
        )
        url = parse_url(definition.request_url)
        is_own = self._is_own(url)
        if is_own:
            headers = self._with_token(url, headers, dispatch.user_id)
        return Message(
            url=url,
            platform_headers=_platform_headers(dispatch.id),
            private_headers=headers,
            payload=templates.render_payload(
                definition.payload_template, values, interpolate=interpolate
            ),
            is_to_own_api=is_own,
            ignore_ssl_errors=definition.ignore_ssl_errors,
        )

    def _is_own(self, url: URL) -> bool:
        return any(
            url.origin() == own.origin() and url.path.startswith(own.path.rstrip("/") + "/v2/")
            for own in self._own
        )

    def _with_token(self, url: URL, headers: dict[str, str], user_id: str) -> dict[str, str]:
        is_given = "token" in url.query or any(name.lower() == "authorization" for name in headers)
        token = None if is_given else self._token_for(user_id)
        return headers if token is None else headers | {"Authorization": f"Bearer {token}"}


def _platform_headers(dispatch_id: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-Apify-Webhook": "1",
        "X-Apify-Webhook-Dispatch-Id": dispatch_id,
        "X-Apify-Request-Origin": "WEBHOOK",
        # A call's answer is kept as text and bounded: a compressed one could be neither.
        "Accept-Encoding": "identity",
    }


def _permitted(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InvalidTemplate(
                f"headersTemplate gives {name!r}, which is not a header that can be sent."
            )
    return {
        name: value for name, value in headers.items() if name.lower() not in _NOT_FROM_TEMPLATES
    }
