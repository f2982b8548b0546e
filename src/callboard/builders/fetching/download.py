"""Downloading an archive over HTTP, from a server that may be hostile, without ever naming a URL's secrets.

Also the program `python -m callboard.builders.fetching.download TARGET LIMIT_BYTES [direct]` with the URL in
`CALLBOARD_URL`, which prints why it failed. Needs nothing but the standard library.
"""

import base64
import http.client
import os
import ssl
import sys
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError

from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.limits import MIB
from callboard.builders.fetching.urls import InvalidUrl, archive_address, shown_url

_SILENCE_SECS = 60.0
"""How long the server may send nothing; the whole is bounded by the timeout of the build."""
_CHUNK_BYTES = 256 * 1024
_HINTS = {
    **dict.fromkeys((301, 302, 303, 307, 308), " It redirects in circles or too often."),
    401: " It asks for credentials.",
    403: " It refuses access: is a signature or token missing from the URL, or has it expired?",
    404: " Is the URL right, and is the file still there?",
}


def download(url: str, target: Path, *, limit_bytes: int, direct: bool = False) -> int:
    """Write what is at `url` to the new file `target` and return its size. `direct` takes no proxy.

    Raises FetchFailed in plain words; then `target` may hold a part.
    """
    shown = shown_url(url)
    try:
        with _opener(direct=direct).open(_request(url), timeout=_SILENCE_SECS) as response:
            return _save(response, target, limit_bytes=limit_bytes, shown=shown)
    except InvalidUrl as error:
        raise FetchFailed(f"{shown} cannot be downloaded. {error}") from None
    except HTTPError as error:
        reason = http.client.responses.get(error.code, "")
        raise FetchFailed(
            f"{shown} was answered with {error.code} {reason}.{_HINTS.get(error.code, '')}"
        ) from None
    except URLError as error:
        raise FetchFailed(f"{shown} cannot be downloaded: {_cause(error.reason)}.") from None
    except TimeoutError:
        raise FetchFailed(f"{shown}: the server sent nothing for {_SILENCE_SECS:.0f} s.") from None
    except (http.client.HTTPException, ConnectionError) as error:
        raise FetchFailed(f"{shown}: the download broke off ({type(error).__name__}).") from None


def _cause(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "the server does not answer"
    return getattr(reason, "strerror", None) or str(reason)


def _opener(*, direct: bool) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()  # knows no file:, ftp: or data: URLs
    for handler in (
        urllib.request.ProxyHandler({} if direct else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _request(url: str) -> urllib.request.Request:
    address = archive_address(url)
    headers = {"User-Agent": "callboard-build", "Accept": "*/*", "Accept-Encoding": "identity"}
    request = urllib.request.Request(address.url, headers=headers)
    if address.credentials is not None:
        pair = f"{address.credentials.username}:{address.credentials.password}".encode()
        # Not for whoever the server may redirect to.
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    return request


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request:
        if req.type == "https" and not newurl.startswith("https://"):
            raise InvalidUrl("The server redirects to an address that is not secure.")
        return _request(newurl)


def _save(response: http.client.HTTPResponse, target: Path, *, limit_bytes: int, shown: str) -> int:
    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isascii() and length.isdecimal() else None
    if expected is not None and expected > limit_bytes:
        raise _too_large(shown, limit_bytes)
    size = 0
    with target.open("xb") as file:
        while chunk := response.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > limit_bytes:
                raise _too_large(shown, limit_bytes)
            file.write(chunk)
    if expected is not None and size != expected:
        raise FetchFailed(f"{shown}: the download broke off after {size} of {expected} bytes.")
    return size


def _too_large(shown: str, limit_bytes: int) -> FetchFailed:
    return FetchFailed(f"{shown} is larger than {limit_bytes / MIB:.0f} MB, the limit for sources.")


def main(target: str, limit_bytes: str, way: str = "") -> int:
    try:
        url = os.environ["CALLBOARD_URL"]
        download(url, Path(target), limit_bytes=int(limit_bytes), direct=way == "direct")
    except (FetchFailed, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
