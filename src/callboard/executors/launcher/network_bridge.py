"""The host's side of the veth rung: a bridge with an address, forwarding, and its removal."""

import errno
import ipaddress
import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callboard.executors.launcher import network_firewall as firewall
from callboard.executors.launcher.network_registry import Claim

_COMMAND_TIMEOUT_SECS = 20
_MTU_DEFAULT = 1500
_SYSCTL = Path("/proc/sys/net")


@dataclass(frozen=True)
class HostRoutes:
    taken: tuple[ipaddress.IPv4Network, ...]
    """What the host routes somewhere, its own addresses included, the default route left out."""
    mtu: int
    """Of the way out."""


def read_host_routes() -> HostRoutes:
    """Raises OSError when there is no working `ip`."""
    routes = json.loads(_ip("-json", "-4", "route", "show", "table", "all") or "[]")
    destinations = [route["dst"] for route in routes if route["dst"] != "default"]
    taken = tuple(ipaddress.IPv4Network(destination) for destination in destinations)
    return HostRoutes(taken, min(_mtus_of_default_routes(routes), default=_MTU_DEFAULT))


def create_bridge(claim: Claim, *, mtu: int, route_localnet: bool) -> None:
    """Raises OSError when the host forbids it; what was made until then is left for `remove_bridge`.

    Forwarding is switched on for the host as a whole, as Docker does, and stays on: others may have come
    to rely on it.
    """
    # Of its own MAC, as it would else take, and change, that of a port, and runs would lose its trace.
    mac = ":".join(f"{byte:02x}" for byte in b"\x02" + secrets.token_bytes(5))
    link = f"name {claim.bridge} group {claim.group} address {mac} mtu {mtu}"
    _ip("link", "add", *link.split(), "type", "bridge", "mcast_snooping", "0")
    _set(f"ipv6/conf/{claim.bridge}/disable_ipv6", "1")
    _set(f"ipv4/conf/{claim.bridge}/route_localnet", "1" if route_localnet else "0")
    _set("ipv4/ip_forward", "1")
    address = f"{claim.gateway}/{claim.subnet.prefixlen}"
    _ip("address", "add", address, "dev", claim.bridge)
    _ip("link", "set", claim.bridge, "up")


def remove_bridge(claim: Claim) -> None:
    """Remove the bridge, its links and its rules, as far as they are there. Raises OSError."""
    try:
        _ip("link", "delete", "group", str(claim.group))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
    firewall.withdraw_from_other_firewalls(claim)
    firewall.remove(claim)


def _mtus_of_default_routes(routes: list[dict[str, Any]]) -> list[int]:
    links = {route.get("dev", "") for route in routes if route["dst"] == "default"}
    files = [Path("/sys/class/net") / link / "mtu" for link in links if link]
    return [int(file.read_text()) for file in files if file.exists()]


def _set(name: str, value: str) -> None:
    setting = _SYSCTL / name
    if setting.exists() and setting.read_text().strip() != value:
        setting.write_text(value)


def _ip(*argv: str) -> str:
    try:
        done = subprocess.run(
            ["ip", *argv], capture_output=True, text=True, check=True, timeout=_COMMAND_TIMEOUT_SECS
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip()
        code = errno.ENODEV if "No such device" in said else errno.EIO
        raise OSError(code, f"ip {' '.join(argv[:2])}: {said[:500]}") from None
    except subprocess.TimeoutExpired:
        raise OSError(errno.EIO, f"ip {' '.join(argv[:2])}: no answer") from None
    return done.stdout
