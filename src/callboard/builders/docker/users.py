"""As whom an image's program runs. Never as root: what an image calls its users is its own business, so their numbers
are looked up in it."""

from dataclasses import dataclass

from callboard.builders.process.errors import BuildFailed
from callboard.executors.launcher.sandbox import JOB_UID

ROOT_HOME = "/root"
_MAX_ID = 2**31


@dataclass(frozen=True)
class ImageUser:
    """`uid` 0 is for an image that would have its program run as root."""

    uid: int
    gid: int
    home: str

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    @property
    def name(self) -> str:
        return f"{self.uid}:{self.gid}"


def unprivileged(home: str) -> ImageUser:
    """Who takes root's place."""
    return ImageUser(JOB_UID, JOB_UID, home)


def image_user(named: str, *, passwd: str, group: str) -> ImageUser:
    """Resolve `USER` of an image by its own lists. Raises BuildFailed for a user whom they do not have."""
    user, _, group_name = named.partition(":")
    users = _rows(passwd)
    row = _find(users, user) if user else ["root", "", "0", "0", "", ROOT_HOME]
    uid = _number(user) if row is None else _number(row[2])
    if uid is None:
        raise BuildFailed(f"The image's user {user!r} is not in its /etc/passwd.")
    gid = _number(row[3]) if row is not None else uid
    if group_name:
        group_row = _find(_rows(group), group_name)
        gid = _number(group_name) if group_row is None else _number(group_row[2])
    if gid is None:
        raise BuildFailed(f"The image's group {group_name!r} is not in its /etc/group.")
    home = row[5] if row is not None and len(row) > 5 and row[5].startswith("/") else "/tmp"
    return ImageUser(uid, gid, ROOT_HOME if uid == 0 else home)


def _rows(text: str) -> list[list[str]]:
    return [row for line in text.splitlines() if len(row := line.split(":")) >= 4]


def _find(rows: list[list[str]], named: str) -> list[str] | None:
    """By name first, as engines do, then by number."""
    by_name = (row for row in rows if row[0] == named)
    by_number = (row for row in rows if row[2] == named)
    return next(by_name, None) or next(by_number, None)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) < _MAX_ID else None
