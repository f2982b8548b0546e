"""Actor tasks: an Actor saved together with an input and options."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from callboard.actors.standby import StandbyConfig, standby_config


@dataclass(frozen=True)
class ActorTask:
    id: str
    user_id: str
    username: str
    actor_id: str
    actor_name: str | None
    actor_username: str | None
    name: str
    title: str | None
    created_at: datetime
    modified_at: datetime
    input: dict[str, Any] | None
    options: dict[str, Any]
    actor_standby: dict[str, Any] | None
    description: str | None
    publication: dict[str, Any] | None
    """`isPublic` and `publicConfig`, kept for clients: there are no public pages of tasks."""
    total_runs: int
    last_run_started_at: datetime | None
    actor_fields: dict[str, Any] | None
    """The descriptive properties of its Actor, None when that is gone."""

    @property
    def standby(self) -> StandbyConfig:
        """Standby settings of the task over those of its Actor."""
        return standby_config(self.actor_fields or {}, self.actor_standby)
