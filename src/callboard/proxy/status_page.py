"""The page that SDKs ask before they use the proxy: `STATUS_URL/?format=json`."""

from typing import Final

import msgspec

from callboard.proxy.targets import Target

USUAL_HOST: Final = Target("proxy.apify.com", 80)
"""Where SDKs look when they are told nothing else. They ask through the proxy, so it never comes to that host."""
PATH: Final = b"/?format=json"


def status_page(error: str | None) -> bytes:
    """`error` is why the credentials cannot be used. Raised as it stands by the SDKs."""
    return msgspec.json.encode(
        {"connected": error is None, "connectionError": error, "isManInTheMiddle": False}
    )
