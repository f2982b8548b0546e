"""Jobs in the executor's hands, with stops that may come before the start has returned."""

import asyncio
import socket
from collections.abc import Collection

from callboard.executors.base import Executor, Exit, Handle, LaunchSpec


class Launches:
    """Starts jobs and waits for them. A stop asked for at any moment reaches the job."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._handles: dict[str, Handle] = {}
        self._stops: dict[str, float] = {}
        self._ports: dict[str, int] = {}

    async def run(self, spec: LaunchSpec) -> Exit:
        """Start the job, or find it again when it was started before, and return how it ended."""
        handle = await self._executor.start(spec)
        self._handles[spec.job_id] = handle
        if spec.web_server_port is not None:
            self._ports[spec.job_id] = spec.web_server_port
        if spec.job_id in self._stops:
            await self._executor.stop(handle, grace_secs=self._stops[spec.job_id])
        return await self._executor.wait(handle)

    async def connect(self, job_id: str) -> socket.socket:
        """A connection to the job's web server. Raises OSError when there is none, or not yet."""
        handle, port = self._handles.get(job_id), self._ports.get(job_id)
        if handle is None or port is None:
            raise ConnectionRefusedError("the job has not been started")
        return await self._executor.connect(handle, port)

    async def stop(self, job_id: str, *, grace_secs: float = 0) -> None:
        """End the job; harmless when it has ended."""
        self._stops[job_id] = grace_secs
        handle = self._handles.get(job_id)
        if handle is not None:
            await self._executor.stop(handle, grace_secs=grace_secs)

    async def drop(self, job_id: str) -> None:
        """Stop and forget a job whose end is of no interest any more."""
        handle = self._handles.get(job_id)
        if handle is not None:
            await self._drop(handle)
        self._stops.pop(job_id, None)
        self._ports.pop(job_id, None)
        self._handles.pop(job_id, None)

    async def drop_all_but(self, job_ids: Collection[str]) -> None:
        """Stop and forget what earlier servers left behind without an owner."""
        known = self._executor.jobs()
        unowned = [handle for job_id, handle in known.items() if job_id not in job_ids]
        await asyncio.gather(*(self._drop(handle) for handle in unowned))

    async def _drop(self, handle: Handle) -> None:
        await self._executor.stop(handle)
        await self._executor.wait(handle)
        await self._executor.forget(handle)

    async def forget(self, job_id: str) -> None:
        """Drop what is kept of the job, once its end is on record."""
        self._stops.pop(job_id, None)
        self._ports.pop(job_id, None)
        handle = self._handles.pop(job_id, None)
        if handle is not None:
            await self._executor.forget(handle)
