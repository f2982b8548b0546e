"""Who asks: tokens for this server, wherever a request to an Actor carries them."""

from dataclasses import dataclass

from callboard.api.app import Authenticate
from callboard.api.errors import InvalidToken, TokenNotProvided
from callboard.core.caller import Caller
from callboard.gateway.heads import Head


@dataclass(frozen=True)
class Access:
    """The first caller that a token stands for, and all tokens that are this server's own."""

    found: Caller | None
    secrets: tuple[str, ...]
    has_tried: bool

    @property
    def caller(self) -> Caller:
        """Raises TokenNotProvided or InvalidToken."""
        if self.found is None:
            raise InvalidToken if self.has_tried else TokenNotProvided
        return self.found


async def access_of(head: Head, authenticate: Authenticate) -> Access:
    tokens = head.tokens()
    callers = [(token, await authenticate(token)) for token in tokens]
    known = [(token, caller) for token, caller in callers if caller is not None]
    return Access(
        found=known[0][1] if known else None,
        secrets=tuple(token for token, _ in known),
        has_tried=bool(tokens),
    )
