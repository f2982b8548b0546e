"""The token of a run ends with the run, also when somebody was just looking it up."""

import asyncio
from pathlib import Path

from sqlalchemy import Connection

from callboard.core.caller import Caller
from callboard.core.vault import Vault
from callboard.db.sqlite import SqliteDatabase
from callboard.users.service import UserService

RUN = Caller("ann", "ann", run_id="run")


async def test_a_run_that_ends_while_its_token_is_looked_up_is_not_remembered(tmp_path: Path):
    alive = True
    loop = asyncio.get_running_loop()

    def find(_: Connection, run_id: str) -> Caller | None:
        nonlocal alive
        found = RUN if alive else None
        if alive:  # The run ends between this and the answer to who asks.
            alive = False
            asyncio.run_coroutine_threadsafe(end(run_id), loop).result(10)
        return found

    async def end(run_id: str) -> None:
        accounts.forget_run(run_id)

    db = SqliteDatabase(tmp_path / "test.db")
    accounts = UserService(db, Vault(bytes(32)), find_run_caller=find)
    token = accounts.run_token("run")
    await asyncio.wait_for(accounts.authenticate(token), 20)
    assert await accounts.authenticate(token) is None
    await db.close()
