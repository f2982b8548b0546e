"""Opening the accounts of a data folder from a command, whether or not a server runs on it."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from callboard import config
from callboard.cli.failures import CommandFailed
from callboard.core.vault import Vault
from callboard.db.migrate import UnknownDatabase
from callboard.db.sqlite import SqliteDatabase
from callboard.runs import repository as run_rows
from callboard.users.service import UserService


@asynccontextmanager
async def opened_accounts(data_dir: Path | None) -> AsyncGenerator[UserService]:
    """The accounts. Raises CommandFailed when no server has been started on the folder yet."""
    root = config.load({"data_dir": data_dir}, os.environ).data_dir
    if not (root / "callboard.db").exists():
        raise CommandFailed(f"There is nothing in {root} yet. Start `callboard up` first.")
    try:
        db = SqliteDatabase(root / "callboard.db")
    except UnknownDatabase as error:
        raise CommandFailed(str(error)) from error
    try:
        vault = Vault((root / "master.key").read_bytes())
        yield UserService(db, vault, find_run_caller=run_rows.caller_of)
    finally:
        await db.close()
