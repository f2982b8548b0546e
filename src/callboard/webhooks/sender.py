"""Makes the HTTP call of a dispatch and says how it went. Receivers are hostile until shown otherwise.

Every address that is dialled is checked, on redirects as well; answers are read up to a limit and kept as text; no
cookie or connection is shared between calls.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from callboard.core import clock
from callboard.core.errors import ApiError
from callboard.webhooks.message import Composer, Message, TokenFor
from callboard.webhooks.model import Delivery, DispatchCall
from callboard.webhooks.targets import guarded_socket, parse_url

MAX_REDIRECTS: Final = 5
MAX_BODY_BYTES: Final = 8_192
MAX_ERROR_CHARS: Final = 500
BODY_TIMEOUT_SECS: Final = 10.0
# 303 is missing: it says that the POST was taken and names a page to GET, which is no acceptance.
_REPEAT_ELSEWHERE: Final = frozenset({301, 302, 307, 308})


class CallFailed(Exception):
    """The call led nowhere, for a reason worth telling the webhook's owner."""


class Sender:
    """Use as `async with`: the sessions inside belong to the running loop."""

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_secs: float,
        own_urls: Collection[str],
        token_for: TokenFor,
    ) -> None:
        self._allow_private = allow_private
        self._timeout_secs = timeout_secs
        self._composer = Composer(own_urls=own_urls, token_for=token_for)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        self._session = await enter(_session(allow_private=self._allow_private))
        # The operator has named where the own API is: that may well be a private address.
        self._own_session = await enter(_session(allow_private=True))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def send(self, delivery: Delivery) -> DispatchCall:
        """Make one call. Never raises for what the receiver, the network or a template does."""
        begun = clock.mark()
        status, body, error = None, None, None
        try:
            async with asyncio.timeout(self._timeout_secs):
                message = await asyncio.to_thread(self._composer.compose, delivery)
                status, body = await self._post(message)
            if not 200 <= status < 300:
                error = f"The receiver answered with status {status}."
        except TimeoutError:
            error = f"The receiver did not answer within {self._timeout_secs:g} seconds."
        except (CallFailed, ApiError, aiohttp.ClientError, OSError, ValueError) as failure:
            error = str(failure)[:MAX_ERROR_CHARS] or type(failure).__name__
        return DispatchCall(
            started_at=clock.from_millis(begun.at_millis),
            finished_at=clock.from_millis(begun.at_millis + begun.passed_millis()),
            error_message=error,
            response_status=status,
            response_body=body,
        )

    async def _post(self, message: Message) -> tuple[int, str]:
        """Status and body of the answer, from wherever redirects lead."""
        url, headers = message.url, {**message.private_headers, **message.platform_headers}
        session = self._own_session if message.is_to_own_api else self._session
        for _ in range(MAX_REDIRECTS + 1):
            async with session.post(
                _without_credentials(url, headers),
                data=message.payload,
                headers=headers,
                allow_redirects=False,
                ssl=not message.ignore_ssl_errors,
            ) as response:
                location = response.headers.get("Location")
                if response.status not in _REPEAT_ELSEWHERE or not location:
                    return response.status, await _body(response)
            target = parse_url(str(url.join(URL(location))))
            if not _is_same_place(url, target):
                # The new place is the receiver's choice: it gets neither the user's secrets nor our trust.
                headers, session = dict(message.platform_headers), self._session
            url = target
        raise CallFailed(f"The receiver redirected more than {MAX_REDIRECTS} times.")


def _session(*, allow_private: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0,
        # A connection kept open may be closed by the other side just as the next call is sent.
        force_close=True,
        use_dns_cache=False,
        socket_factory=guarded_socket(allow_private=allow_private),
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"User-Agent": "callboard-webhooks"},
    )


async def _body(response: aiohttp.ClientResponse) -> str:
    """The start of the answer. One that is cut short or takes too long counts as far as it came."""
    received = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(BODY_TIMEOUT_SECS):
            while len(received) < MAX_BODY_BYTES:
                chunk = await response.content.read(MAX_BODY_BYTES - len(received))
                if not chunk:
                    break
                received += chunk
    # Not drained: there may be no end to it.
    response.close()
    return received.decode(errors="replace")


def _is_same_place(url: URL, target: URL) -> bool:
    """The same origin, or the same host's change to https."""
    if url.origin() == target.origin():
        return True
    return url.host == target.host and (url.scheme, url.port, target.scheme, target.port) == (
        "http",
        80,
        "https",
        443,
    )


def _without_credentials(url: URL, headers: Mapping[str, str]) -> URL:
    """`user:password@` is an Authorization header in disguise; an explicit one wins."""
    has_header = any(name.lower() == "authorization" for name in headers)
    return url.with_user(None) if has_header else url
