"""Which bridges on this host belong to which launcher, so that none clashes and the dead ones go.

A record is written before the first link is made and removed after the last one, and its launcher holds
a lock on it: a record that can be locked belongs to a launcher that died without cleaning up.
"""

import fcntl
import ipaddress
import json
import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from callboard.executors.launcher.netns import own_namespace_id

REGISTRY = Path("/run/callboard-networks")

_POOLS = ("10.213.0.0/16", "172.29.0.0/16", "192.168.192.0/18")
_PREFIX = 22  # A bridge has at most 1024 ports.
_GROUP_BASE = 1 << 24


@dataclass(frozen=True)
class Claim:
    """The names one launcher uses on this host, for as long as the descriptor `lock` is open."""

    name: str
    subnet: ipaddress.IPv4Network
    lock: int

    @property
    def bridge(self) -> str:
        return f"cb-{self.name}"

    @property
    def table(self) -> str:
        return f"callboard_{self.name}"

    @property
    def group(self) -> int:
        """Of the bridge and all its links: they can be removed in one go by it."""
        return _GROUP_BASE + int(self.name, 16)

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        return self.subnet[1]

    def port(self, number: int) -> str:
        """The host's end of a link; within the 15 characters Linux allows."""
        return f"cb{self.name}v{number % 1_000_000}"

    def forget(self) -> None:
        """Remove the record and let go of its lock."""
        _record(self.name).unlink(missing_ok=True)
        os.close(self.lock)


@contextmanager
def exclusive() -> Generator[None]:
    """Only one launcher at a time looks for free names and subnets, or removes what the dead left."""
    REGISTRY.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(REGISTRY / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def claim(state_dir: Path, taken: Iterable[ipaddress.IPv4Network]) -> Claim:
    """Reserve names and a subnet that overlaps none of `taken`. Raises OSError when all do.

    Call within `exclusive`, as long as until the subnet is in use.
    """
    subnet = _free_subnet(list(taken))
    name = secrets.token_hex(3)
    descriptor = os.open(_record(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    record = {"subnet": str(subnet), "owner": str(state_dir), "netns": own_namespace_id()}
    os.write(descriptor, json.dumps(record).encode())
    return Claim(name, subnet, descriptor)


def claims_of_the_dead() -> list[Claim]:
    """Whose launcher is gone, in this network namespace. Call within `exclusive`; `forget` each."""
    found = [_take_over(path) for path in REGISTRY.glob("*.json")]
    return [dead for dead in found if dead is not None]


def _take_over(path: Path) -> Claim | None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # Its launcher ends just now.
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        record = json.loads(path.read_bytes())
        if record["netns"] == own_namespace_id():
            return Claim(path.stem, ipaddress.IPv4Network(record["subnet"]), descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass
    except (ValueError, KeyError):
        path.unlink(missing_ok=True)  # Cut off while it was written: no link had been made.
    os.close(descriptor)
    return None


def _free_subnet(taken: list[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    for pool in _POOLS:
        for subnet in ipaddress.IPv4Network(pool).subnets(new_prefix=_PREFIX):
            if not any(subnet.overlaps(other) for other in taken):
                return subnet
    raise OSError("every private subnet that a bridge could use is already routed elsewhere")


def _record(name: str) -> Path:
    return REGISTRY / f"{name}.json"
