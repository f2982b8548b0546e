"""Files of runs and builds whose rows are gone: a deletion takes the row first, so a crash can leave only files."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from callboard.core.ids import ID_LENGTH
from callboard.db.base import Database
from callboard.reaper import repository

MIN_AGE_SECS = 3600.0
"""Younger ones are let be: their row may be about to be written."""
_CHUNK = 500


async def leftovers(db: Database, folder: Path, *, suffix: str = "") -> list[str]:
    """Ids of the entries `<id><suffix>` of a folder that belong to no run or build."""
    entries = await asyncio.to_thread(lambda: list(_old_entries(folder, suffix)))
    left: list[str] = []
    chunks = iter(entries)
    while chunk := list(islice(chunks, _CHUNK)):
        known = await db.read(lambda tx, chunk=chunk: repository.known_jobs(tx, chunk))
        left += _without(chunk, known)
    return left


def _without(ids: Sequence[str], known: set[str]) -> list[str]:
    return [one for one in ids if one not in known]


def _old_entries(folder: Path, suffix: str) -> Iterator[str]:
    oldest = time.time() - MIN_AGE_SECS
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.removesuffix(suffix)
            is_ours = len(name) == ID_LENGTH and name.isalnum() and entry.name == name + suffix
            if is_ours and entry.stat(follow_symlinks=False).st_mtime < oldest:
                yield name
