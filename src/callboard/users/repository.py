"""Rows of users and tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from callboard.core.ids import new_id, new_secret
from callboard.db.prepared import Prepared
from callboard.db.tables import tokens, users
from callboard.users.model import Token, User

_SELECT = select(
    users.c.id, users.c.username, users.c.created_at, users.c.proxy_password, users.c.settings
)

_BY_ID = Prepared(_SELECT.where(users.c.id == bindparam("id")))


def _user(row: Sequence[Any] | None) -> User | None:
    return None if row is None else User(*row)


def create_user(tx: Connection, username: str, *, at: datetime) -> User:
    user = User(new_id(), username, at, new_secret(24), {})
    tx.execute(
        insert(users).values(
            id=user.id,
            username=user.username,
            created_at=user.created_at,
            proxy_password=user.proxy_password,
            settings=user.settings,
        )
    )
    return user


def user_by_id(tx: Connection, user_id: str) -> User | None:
    return _user(_BY_ID.first(tx, {"id": user_id}))


def user_by_name(tx: Connection, username: str) -> User | None:
    return _user(tx.execute(_SELECT.where(users.c.username == username)).first())


def all_users(tx: Connection) -> list[User]:
    return [User(*row) for row in tx.execute(_SELECT)]


def save_settings(tx: Connection, user_id: str, settings: dict[str, Any]) -> None:
    tx.execute(update(users).where(users.c.id == user_id).values(settings=settings))


_TOKEN = select(
    *(tokens.c[name] for name in ("id", "user_id", "name", "created_at", "expires_at", "scopes")),
    users.c.username,
).join(users, users.c.id == tokens.c.user_id)


def add_token(tx: Connection, token: Token, *, token_hash: str) -> None:
    tx.execute(
        insert(tokens).values(
            id=token.id,
            user_id=token.user_id,
            name=token.name,
            hash=token_hash,
            created_at=token.created_at,
            expires_at=token.expires_at,
            scopes=token.scopes,
        )
    )


def token_by_hash(tx: Connection, token_hash: str, *, at: datetime) -> Token | None:
    """The token, unless it has expired."""
    is_alive = tokens.c.expires_at.is_(None) | (tokens.c.expires_at > at)
    row = tx.execute(_TOKEN.where(tokens.c.hash == token_hash, is_alive)).first()
    return None if row is None else Token(*row)


def tokens_of(tx: Connection, user_id: str) -> list[Token]:
    rows = tx.execute(_TOKEN.where(tokens.c.user_id == user_id).order_by(tokens.c.created_at))
    return [Token(*row) for row in rows]


def remove_token(tx: Connection, token_id: str) -> bool:
    """False when there is none."""
    return tx.execute(delete(tokens).where(tokens.c.id == token_id)).rowcount > 0
