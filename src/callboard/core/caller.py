"""Who asks: the identity that services decide permissions on. `None` in place of a caller is an anonymous one."""

from dataclasses import dataclass
from enum import StrEnum

from callboard.core.errors import InsufficientPermissions, RecordNotFound
from callboard.core.scopes import Scopes


class GeneralAccess(StrEnum):
    """Who may read a run or storage besides its owner. The setting of an account is always RESTRICTED."""

    FOLLOW_USER_SETTING = "FOLLOW_USER_SETTING"
    RESTRICTED = "RESTRICTED"
    ANYONE_WITH_ID_CAN_READ = "ANYONE_WITH_ID_CAN_READ"
    ANYONE_WITH_NAME_CAN_READ = "ANYONE_WITH_NAME_CAN_READ"

    @property
    def allows_id_readers(self) -> bool:
        return self in (self.ANYONE_WITH_ID_CAN_READ, self.ANYONE_WITH_NAME_CAN_READ)


@dataclass(frozen=True)
class Caller:
    """An account, by one of its API tokens or, with `run_id`, by the token of one of its runs."""

    user_id: str
    username: str
    run_id: str | None = None
    actor_id: str | None = None
    """The Actor of that run."""
    is_limited: bool = False
    """A run with LIMITED_PERMISSIONS: it reaches its own storages and what it created, not the whole account."""
    origin: str = "API"
    token_id: str | None = None
    """The API token, where it is one."""
    scopes: Scopes | None = None
    """What that token is good for, unless it is good for everything."""

    def owns(self, owner_id: str) -> bool:
        return self.user_id == owner_id

    def reaches_run(self, run_id: str, *, started_by: str | None) -> bool:
        """Of the account's runs all, by a limited run only itself and what it started."""
        return not self.is_limited or self.run_id in (run_id, started_by)


def require_owner(caller: Caller | None, owner_id: str) -> None:
    """Raise RecordNotFound unless the caller owns it: whether others' things exist is not told."""
    if caller is None or not caller.owns(owner_id):
        raise RecordNotFound


def require_account(caller: Caller | None) -> Caller:
    """Raise InsufficientPermissions for a limited run: it may not act for the whole account."""
    if caller is None or caller.is_limited:
        raise InsufficientPermissions
    return caller
