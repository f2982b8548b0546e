"""The times that engines tell: RFC 3339 to the nanosecond, or to the second, in UTC or in a zone of the engine's."""

import re
from dataclasses import dataclass
from datetime import datetime

_SHAPE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_NO_TIME_BEFORE = 2000


@dataclass(frozen=True)
class Moment:
    whole_secs: int
    """Since 1970."""
    fraction: str
    """Digits after the point; empty when the engine wrote none."""

    @property
    def secs(self) -> float:
        return self.whole_secs + float(f"0.{self.fraction or 0}")

    @property
    def millis(self) -> int:
        return self.whole_secs * 1000 + int(self.fraction.ljust(3, "0")[:3])


def moment(text: object) -> Moment | None:
    """None for what is no time, or stands for none, as the year 1 does."""
    found = _SHAPE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    whole, fraction, zone = found.groups()
    try:
        at = datetime.fromisoformat(whole + zone.replace("Z", "+00:00"))
    except ValueError:
        return None
    return Moment(int(at.timestamp()), fraction or "") if at.year >= _NO_TIME_BEFORE else None
