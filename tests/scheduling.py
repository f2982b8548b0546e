"""Keeps the tests of a group with one worker.

xdist 3.8 writes the group into the ids of tests, which pytest from 9.2 on no longer allows: it would spread them over
all workers, and each would build again what the group means to build once. So the marks are read from the files.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadgroup import LoadGroupScheduling

_GROUP = re.compile(r'pytest\.mark\.xdist_group\("([^"]+)"\)')


class FileGroupScheduling(LoadGroupScheduling):
    """All tests of a file that has `xdist_group` in its `pytestmark` go to where its group is."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        self._root = config.rootpath

    def _split_scope(self, nodeid: str) -> str:
        file = self._root / nodeid.partition("::")[0]
        return _group_of(file) or super()._split_scope(nodeid)


@cache
def _group_of(file: Path) -> str | None:
    found = _GROUP.search(file.read_text(encoding="utf-8"))
    return found[1] if found else None
