"""Rows of users and tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from callboard.core.ids import new_id, new_secret
from callboard.db.prepared import Prepared
from callboard.db.tables import tokens, users
from callboard.users.model import User

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


def add_token(tx: Connection, user_id: str, *, name: str, token_hash: str, at: datetime) -> None:
    tx.execute(
        insert(tokens).values(
            id=new_id(), user_id=user_id, name=name, hash=token_hash, created_at=at
        )
    )


def user_by_token_hash(tx: Connection, token_hash: str, *, at: datetime) -> User | None:
    """The owner of an unexpired token."""
    row = tx.execute(
        _SELECT.join(tokens, tokens.c.user_id == users.c.id).where(
            tokens.c.hash == token_hash,
            (tokens.c.expires_at.is_(None)) | (tokens.c.expires_at > at),
        )
    ).first()
    return _user(row)
