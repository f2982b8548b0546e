"""Why the proxy does not do what it was asked to: as a status and a sentence for the client."""

from http import HTTPStatus
from typing import Final

NO_UPSTREAM: Final = 590
"""No proxy of the operator serves what was asked for, or the one that does refused."""
NAME_NOT_FOUND: Final = 593
CONNECTION_REFUSED: Final = 594
CONNECTION_RESET: Final = 595
UPSTREAM_CREDENTIALS: Final = 597
BROKEN: Final = 599
"""What came back makes no sense, or cannot be reached for another reason."""


class ProxyError(Exception):
    """Statuses from 590 on are for proxies: crawlers know by them that it was not the site that answered."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    @property
    def reason(self) -> str:
        return "Proxy Error" if self.status >= NO_UPSTREAM else HTTPStatus(self.status).phrase
