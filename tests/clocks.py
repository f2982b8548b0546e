"""A clock that can be set: for programs of a test, by a library loaded before theirs."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest


class SettableClock:
    """What programs started with `environment` take for the time of day. Their monotonic clock goes on undisturbed.

    Skips the test where the library is missing.
    """

    def __init__(self, folder: Path) -> None:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            pytest.skip("the clock of a program cannot be set without Debian's package faketime")
        self._file = folder / "clock"
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.set(timedelta())

    def set(self, ahead: timedelta) -> None:
        """Let it be so much ahead of the true time, or behind."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead.total_seconds():+.0f}\n")
        fresh.replace(self._file)
