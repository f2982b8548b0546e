"""Accounts, API tokens, and the tokens that runs get.

An API token is random and kept as a hash. The token of a run is not kept at all: it is the run's id signed with the
server's key, and it is good for as long as the run is alive.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from callboard.core import clock
from callboard.core.caller import Caller
from callboard.core.errors import ApiError
from callboard.core.ids import new_id, new_secret
from callboard.core.scopes import Scopes, checked_scopes
from callboard.core.vault import Vault
from callboard.db.base import Database
from callboard.users import repository
from callboard.users.model import Token, User

USERNAME = re.compile(r"[a-z0-9][a-z0-9_.-]{2,29}")
API_TOKEN_PREFIX = "callboard_api_"
RUN_TOKEN_PREFIX = "callboard_run_"
WEBHOOK_TOKEN_PREFIX = "callboard_webhook_"
WEBHOOK_TOKEN_SECS = 600
REMEMBER_SECS = 10.0
REMEMBER_MAX = 10_000

FindRunCaller: TypeAlias = Callable[[Connection, str], Caller | None]
"""From a run's id to the caller its token stands for, None when the run has ended."""


class UserNotFound(ApiError):
    status, type = 404, "user-not-found"
    message = "User was not found."


class TokenNotFound(ApiError):
    status, type = 404, "record-not-found"
    message = "There is no API token with that ID."


class InvalidUsername(ApiError):
    status, type = 400, "invalid-value"
    message = "A username has 3 to 30 characters: a to z, 0 to 9, underscore, dot and hyphen."


class UsernameTaken(ApiError):
    status, type = 409, "username-already-taken"
    message = "There is a user of that name already."


class UserService:
    """`find_run_caller` looks up the run of a run token; runs are not this slice's business."""

    def __init__(self, db: Database, vault: Vault, *, find_run_caller: FindRunCaller) -> None:
        self._db = db
        self._vault = vault
        self._find_run_caller = find_run_caller
        self._remembered: dict[str, tuple[float, Caller]] = {}
        self._forgotten = 0
        self._remembered_passwords: dict[str, tuple[float, str]] = {}

    async def create(self, username: str) -> User:
        """Raises InvalidUsername or UsernameTaken."""
        if not USERNAME.fullmatch(username) or username == "me":
            raise InvalidUsername
        try:
            return await self._db.write(
                lambda tx: repository.create_user(tx, username, at=clock.now())
            )
        except IntegrityError as error:
            raise UsernameTaken from error

    async def create_token(
        self,
        username: str,
        *,
        name: str = "default",
        lifetime: timedelta | None = None,
        scopes: list[str] | None = None,
    ) -> str:
        """A new API token of the user, shown this once: only its hash is kept.

        Without `scopes` it is good for everything. Raises UserNotFound or InvalidScope.
        """
        token = API_TOKEN_PREFIX + new_secret()
        if scopes is not None:
            checked_scopes(scopes)
        at = clock.now()

        def unit(tx: Connection) -> None:
            user = _found(repository.user_by_name(tx, username))
            expires_at = None if lifetime is None else at + lifetime
            made = Token(new_id(), user.id, name, at, expires_at, scopes, username)
            repository.add_token(tx, made, token_hash=_hash(token))

        await self._db.write(unit)
        return token

    async def tokens_of(self, username: str) -> list[Token]:
        """All API tokens of the user, the oldest first. Raises UserNotFound."""

        def unit(tx: Connection) -> list[Token]:
            return repository.tokens_of(tx, _found(repository.user_by_name(tx, username)).id)

        return await self._db.read(unit)

    async def revoke_token(self, token_id: str) -> None:
        """Within some seconds nobody gets in with it any more. Raises TokenNotFound."""
        if not await self._db.write(lambda tx: repository.remove_token(tx, token_id)):
            raise TokenNotFound

    async def by_id(self, user_id: str) -> User:
        user = await self._db.read(lambda tx: repository.user_by_id(tx, user_id))
        if user is None:
            raise UserNotFound
        return user

    async def by_ref(self, text: str) -> User:
        """By id or username. Raises UserNotFound."""
        user = await self._db.read(
            lambda tx: repository.user_by_id(tx, text) or repository.user_by_name(tx, text)
        )
        if user is None:
            raise UserNotFound
        return user

    async def save_settings(self, user_id: str, changes: dict[str, object]) -> User:
        """Change some of an account's own limits."""

        def unit(tx: Connection) -> User:
            user = repository.user_by_id(tx, user_id)
            if user is None:
                raise UserNotFound
            settings = {**user.settings, **changes}
            repository.save_settings(tx, user_id, settings)
            return User(user.id, user.username, user.created_at, user.proxy_password, settings)

        return await self._db.write(unit)

    async def by_proxy_password(self, password: str) -> str | None:
        """The id of the account whose proxy password it is. Remembered for some seconds."""
        digest = _hash(password)
        remembered = self._remembered_passwords.get(digest)
        if remembered is not None and remembered[0] > time.monotonic():
            return remembered[1]
        users = await self._db.read(repository.all_users)
        # All are compared, each in constant time: how long it takes tells nothing of any of them.
        given = password.encode()
        found = [
            user.id for user in users if hmac.compare_digest(user.proxy_password.encode(), given)
        ]
        if not found or not password:
            return None
        if len(self._remembered_passwords) >= REMEMBER_MAX:
            self._remembered_passwords.clear()
        self._remembered_passwords[digest] = (time.monotonic() + REMEMBER_SECS, found[0])
        return found[0]

    def run_token(self, run_id: str) -> str:
        """The token a run's processes get. The same for all starts of the run."""
        return f"{RUN_TOKEN_PREFIX}{run_id}_{self._vault.sign('run-token', run_id)}"

    def webhook_token(self, user_id: str) -> str:
        """A token of the account, good for ten minutes, for webhooks that call this server's own API."""
        claim = f"{user_id}.{int(time.time()) + WEBHOOK_TOKEN_SECS}"
        return f"{WEBHOOK_TOKEN_PREFIX}{claim}_{self._vault.sign('webhook-token', claim)}"

    async def authenticate(self, token: str) -> Caller | None:
        """Whom the token stands for, None when it is unknown, expired or its run has ended.

        Remembered for some seconds, so a storage call costs no look-up of its token.
        """
        remembered = self._remembered.get(token)
        if remembered is not None and remembered[0] > time.monotonic():
            return remembered[1]
        forgotten = self._forgotten
        caller, expires_at = await self._look_up(token)
        # A run that ended during the look-up was forgotten before there was anything to forget.
        if caller is not None and (caller.run_id is None or forgotten == self._forgotten):
            if len(self._remembered) >= REMEMBER_MAX:
                self._remembered.clear()
            self._remembered[token] = (time.monotonic() + _remember_secs(expires_at), caller)
        return caller

    async def _look_up(self, token: str) -> tuple[Caller | None, datetime | None]:
        """The caller, and when its token expires."""
        run_id = self._signed_run_id(token)
        if run_id is not None:
            return await self._db.read(lambda tx: self._find_run_caller(tx, run_id)), None
        user_id = self._claimed_user_id(token)
        if user_id is not None:
            user = await self._db.read(lambda tx: repository.user_by_id(tx, user_id))
            return None if user is None else Caller(user.id, user.username), None
        found = await self._db.read(
            lambda tx: repository.token_by_hash(tx, _hash(token), at=clock.now())
        )
        if found is None:
            return None, None
        scopes = None if found.scopes is None else Scopes(frozenset(found.scopes))
        caller = Caller(found.user_id, found.username, token_id=found.id, scopes=scopes)
        return caller, found.expires_at

    def _claimed_user_id(self, token: str) -> str | None:
        """The account of a webhook token that is genuine and has not run out."""
        if not token.startswith(WEBHOOK_TOKEN_PREFIX):
            return None
        claim, _, signature = token.removeprefix(WEBHOOK_TOKEN_PREFIX).partition("_")
        if not self._vault.verify("webhook-token", claim, signature):
            return None
        user_id, _, until = claim.partition(".")
        return user_id if int(until) > time.time() else None

    def _signed_run_id(self, token: str) -> str | None:
        run_id, _, signature = token.removeprefix(RUN_TOKEN_PREFIX).partition("_")
        if not token.startswith(RUN_TOKEN_PREFIX):
            return None
        expected = self._vault.sign("run-token", run_id)
        return run_id if hmac.compare_digest(expected.encode(), signature.encode()) else None

    def forget_run(self, run_id: str) -> None:
        """Stop accepting the run's token at once: it has ended."""
        self._forgotten += 1
        self._remembered.pop(self.run_token(run_id), None)


def _found(user: User | None) -> User:
    if user is None:
        raise UserNotFound
    return user


def _remember_secs(expires_at: datetime | None) -> float:
    if expires_at is None:
        return REMEMBER_SECS
    return min(REMEMBER_SECS, (expires_at - clock.now()).total_seconds())


def _hash(token: str) -> str:
    # Tokens carry over 200 random bits, so a plain hash cannot be reversed by guessing.
    return hashlib.sha256(token.encode()).hexdigest()
