"""From a request to a connection with the Actor it is for: who asks, what is asked for, and which run answers."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import h11

from callboard.api.app import Authenticate
from callboard.core.actor_urls import ActorUrls
from callboard.core.errors import InvalidRequest
from callboard.gateway.access import Access, access_of
from callboard.gateway.containers import Containers
from callboard.gateway.heads import Head, outgoing
from callboard.gateway.places import Domains, Place
from callboard.gateway.standby import Standby
from callboard.gateway.standby_targets import Target
from callboard.proxy.wire import Wire, opened
from callboard.runs.model import Run


@dataclass(frozen=True)
class Door:
    """What a request leads to: the web server of one run, or an Actor in Standby mode."""

    place: Place
    access: Access
    leads_to: Run | Target

    @property
    def is_standby(self) -> bool:
        return isinstance(self.leads_to, Target)


@dataclass(frozen=True)
class Passage:
    """An open connection to a run, and the request as it gets it."""

    run_id: str
    far: Wire
    request: h11.Request


class Doors:
    def __init__(
        self,
        domains: Domains,
        containers: Containers,
        standby: Standby,
        *,
        authenticate: Authenticate,
    ) -> None:
        self._domains = domains
        self._containers = containers
        self._standby = standby
        self._authenticate = authenticate

    def place_of(self, host: str, path: str) -> Place | None:
        """None when the request is one for the API."""
        return self._domains.place_of(host, path)

    async def find(self, place: Place, head: Head) -> Door:
        """Raises ApiError. Whoever knows the address of a run may ask it; Standby takes a token."""
        access = await access_of(head, self._authenticate)
        run = await self._containers.find(place)
        if run is not None:
            return Door(place, access, run)
        return Door(place, access, await self._standby.find(access.caller, place))

    @asynccontextmanager
    async def passage(
        self, door: Door, head: Head, *, upgrade: bytes | None = None
    ) -> AsyncGenerator[Passage]:
        """For the time of the block. Raises ApiError."""
        target, headers = outgoing(head, door.place, secrets=door.access.secrets, upgrade=upgrade)
        try:
            request = h11.Request(method=head.method, target=target, headers=headers)
        except h11.LocalProtocolError as error:
            raise InvalidRequest(f"What cannot be passed on: {error}.") from error
        async with self._connected(door) as (run, connection):
            streams = await opened(connection)
            try:
                yield Passage(run.id, Wire(h11.CLIENT, streams), request)
            finally:
                streams[1].close()

    @asynccontextmanager
    async def _connected(self, door: Door) -> AsyncGenerator[tuple[Run, socket.socket]]:
        if isinstance(door.leads_to, Target):
            async with self._standby.connected(door.leads_to) as connected:
                yield connected
        else:
            yield door.leads_to, await self._containers.connect(door.leads_to)

    def own_host_url(self, door: Door, head: Head) -> str | None:
        """The same page at a host of its own, for one asked for by path; None when clients would not find it."""
        domain = self._domains.beside(head.host)
        if door.place.has_own_host or domain is None:
            return None
        urls = ActorUrls(f"{head.scheme}://{head.host}", domain)
        where = door.leads_to
        base = where.url(urls) if isinstance(where, Target) else urls.container(where.id)
        rest = head.target.decode("latin-1")[len(door.place.prefix) :]
        return base + (rest if rest.startswith("/") else f"/{rest}")
