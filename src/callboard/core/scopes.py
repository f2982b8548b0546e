"""What an API token is good for when it is not good for everything: permissions such as `datasets:read`.

A permission names a kind of thing, what may be done, and perhaps the one thing it is for: `actors:run:ID`. Nothing
here lets a token make or change Actors, webhooks or schedules: each of those would act with all of the account's
rights.
"""

from dataclasses import dataclass
from enum import StrEnum

from callboard.core.errors import ApiError


class Kind(StrEnum):
    ACTORS = "actors"
    TASKS = "actor-tasks"
    RUNS = "actor-runs"
    BUILDS = "actor-builds"
    DATASETS = "datasets"
    STORES = "key-value-stores"
    QUEUES = "request-queues"
    WEBHOOKS = "webhooks"
    SCHEDULES = "schedules"


class Action(StrEnum):
    READ = "read"
    WRITE = "write"
    """Change and delete, and read too."""
    CREATE = "create"
    """Make new ones, which are then the token's to use. Needs no more."""
    RUN = "run"
    """Start runs, which are then the token's to use. Needs no more."""


_STORAGES = {Action.READ, Action.WRITE, Action.CREATE}
ACTIONS: dict[Kind, set[Action]] = {
    Kind.ACTORS: {Action.READ, Action.RUN},
    Kind.TASKS: {Action.READ, Action.WRITE, Action.RUN},
    Kind.RUNS: {Action.READ, Action.WRITE},
    Kind.BUILDS: {Action.READ},
    Kind.DATASETS: _STORAGES,
    Kind.STORES: _STORAGES,
    Kind.QUEUES: _STORAGES,
    Kind.WEBHOOKS: {Action.READ},
    Kind.SCHEDULES: {Action.READ},
}
"""What a token can be allowed at all."""


class InvalidScope(ApiError):
    status, type = 400, "invalid-value"


@dataclass(frozen=True)
class Scopes:
    """The permissions of a token."""

    permissions: frozenset[str]

    def allow(self, kind: Kind, action: Action, one: str | None = None) -> bool:
        """Whether the token may do so with that one thing, or with all of its kind."""
        actions = [action, Action.WRITE] if action is Action.READ else [action]
        wanted = [f"{kind}:{each}" for each in actions]
        if one is not None:
            wanted += [f"{kind}:{each}:{one}" for each in actions]
        return not self.permissions.isdisjoint(wanted)


def checked_scopes(texts: list[str]) -> Scopes:
    """Raises InvalidScope for a permission that there is not."""
    for text in texts:
        kind, _, rest = text.partition(":")
        action, separator, one = rest.partition(":")
        known = ACTIONS.get(Kind(kind), set()) if kind in set(Kind) else set[Action]()
        if action not in known or (separator and not one.isalnum()):
            raise InvalidScope(
                f'There is no permission "{text}". Use one of {", ".join(_all_permissions())}, '
                "and :ID behind it for a single one."
            )
        if one and action == Action.CREATE:
            raise InvalidScope(f'"{text}": what is to be created has no ID yet.')
    return Scopes(frozenset(texts))


def _all_permissions() -> list[str]:
    return [f"{kind}:{action}" for kind, actions in ACTIONS.items() for action in sorted(actions)]
