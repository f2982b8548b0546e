"""Accounts and their API tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class User:
    id: str
    username: str
    created_at: datetime
    proxy_password: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Token:
    """What is known of an API token: not the token itself. `scopes` is None for one that is good for everything."""

    id: str
    user_id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    scopes: list[str] | None
    username: str
