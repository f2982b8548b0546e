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
