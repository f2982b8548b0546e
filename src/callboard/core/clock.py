"""Time as the platform sees it: aware UTC datetimes of millisecond precision."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, cut to milliseconds so that what is stored equals what is shown."""
    instant = datetime.now(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`, the contract's only date format."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def iso_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else iso(instant)


def parse_iso(text: str) -> datetime:
    """Read an ISO 8601 instant; one without an offset is UTC. Raises ValueError for anything else."""
    instant = datetime.fromisoformat(text)
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error


def to_millis(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def from_millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
