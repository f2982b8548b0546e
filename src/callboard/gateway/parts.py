"""The gateway put together."""

from dataclasses import dataclass
from typing import Self

from starlette.types import ASGIApp

from callboard.api.app import Authenticate
from callboard.core.signals import Signals
from callboard.db.base import Database
from callboard.gateway.containers import Containers
from callboard.gateway.doors import Doors
from callboard.gateway.places import Domains
from callboard.gateway.server import Gateway
from callboard.gateway.standby import Standby
from callboard.gateway.standby_runs import StandbyRuns
from callboard.gateway.tunnels import Tunnels
from callboard.jobs.admission import MemoryBudget
from callboard.jobs.launches import Launches
from callboard.jobs.observer import JobObserver
from callboard.runs.service import RunService
from callboard.tasks.service import TaskService


@dataclass(frozen=True)
class GatewayParts:
    doors: Doors
    standby: Standby
    tunnels: Tunnels

    @classmethod
    def assembled(
        cls,
        db: Database,
        launches: Launches,
        observer: JobObserver,
        runs: RunService,
        tasks: TaskService,
        signals: Signals,
        budget: MemoryBudget,
        *,
        authenticate: Authenticate,
        domain: str | None,
    ) -> Self:
        containers = Containers(db, launches, observer)
        standby_runs = StandbyRuns(db, runs, tasks, containers, signals, budget)
        standby = Standby(db, standby_runs, containers)
        doors = Doors(Domains(domain), containers, standby, authenticate=authenticate)
        return cls(doors, standby, Tunnels(doors))

    def before(self, api: ASGIApp) -> ASGIApp:
        """The API, with requests for Actors taken out."""
        return Gateway(self.doors, api)

    async def close(self) -> None:
        await self.tunnels.close()
        await self.standby.close()
