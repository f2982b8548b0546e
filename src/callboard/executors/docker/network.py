"""The network of the jobs: a bridge of the engine's with rules of ours.

From it a job reaches the API at the bridge's own address, name servers, and the outside. Where this process may load
nftables rules, the same ones as for jobs without containers keep it off the machine's other services, the other jobs
and cloud metadata; where it may not, the engine's own separation is all there is, and the rung says so.
"""

import asyncio
import shutil
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from callboard.executors.docker.container import INSTANCE_LABEL
from callboard.executors.docker.engine import Engine, EngineRefused, path_of
from callboard.executors.launcher import network_bridge as bridges
from callboard.executors.launcher import network_firewall as firewall
from callboard.executors.launcher import network_resolver as resolver
from callboard.executors.launcher.network_registry import Claim

FIREWALLED, BARE = "docker-bridge+nftables", "docker-bridge"
_BRIDGED_IS_FILTERED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_NO_LOCK = -1
_LOOKS, _CAME_OR_WENT = 10, "no such network interface"
"""Podman looks for free addresses on all the machine's interfaces, and gives up when one comes or goes meanwhile."""


@dataclass(frozen=True)
class JobNetwork:
    """The network, ready. `gateway` is the machine's own address in it."""

    name: str
    gateway: str
    rung: str
    notes: tuple[str, ...] = field(default=())


def network_name(instance: str) -> str:
    return f"callboard-{instance}"


async def open_network(
    engine: Engine, instance: str, *, api_port: int, allow_local: bool, makes_bridge: bool = False
) -> JobNetwork:
    """Make the network unless it is there, and load the rules anew. Raises EngineGone, EngineRefused.

    `makes_bridge` is for an engine of this machine that makes it only with the first container: there would be no
    address to listen on before.
    """
    name = network_name(instance)
    subnet, gateway = _addresses(await _made(engine, name, instance))
    claim = Claim(instance, subnet, _NO_LOCK)
    if str(claim.gateway) != gateway:
        why = f"the engine gave the bridge the unusual address {gateway}"
        return JobNetwork(name, gateway, BARE, (_unguarded(why),))
    try:
        if makes_bridge:
            await asyncio.to_thread(_make_bridge, claim)
        await asyncio.to_thread(_guard, claim, api_port=api_port, allow_local=allow_local)
    except OSError as error:
        return JobNetwork(name, gateway, BARE, (_unguarded(str(error)),))
    return JobNetwork(name, gateway, FIREWALLED, tuple(_notes()))


async def close_network(engine: Engine, instance: str) -> None:
    """Remove network and rules, as far as they are there. Its containers must be gone."""
    with suppress(EngineRefused):  # gone, or in use by containers of others
        network = await engine.ask("GET", path_of("networks", network_name(instance)))
        subnet, _ = _addresses(network)
        await engine.ask("DELETE", path_of("networks", network_name(instance)))
        await asyncio.to_thread(_unguard, Claim(instance, subnet, _NO_LOCK))


async def _made(engine: Engine, name: str, instance: str) -> Mapping[str, Any]:
    path = path_of("networks", name)
    try:
        return await engine.ask("GET", path)
    except EngineRefused as error:
        if not error.is_missing:
            raise
    bridge = Claim(instance, IPv4Network("0.0.0.0/0"), _NO_LOCK).bridge
    body = {
        "Name": name,
        "Driver": "bridge",
        "CheckDuplicate": True,
        "Labels": {INSTANCE_LABEL: instance},
        "Options": {
            "com.docker.network.bridge.name": bridge,
            "com.docker.network.bridge.enable_icc": "false",
        },
    }
    try:
        await _make(engine, body)
    except EngineRefused:
        # Made by another since: then it is there. Engines say that with different statuses.
        with suppress(EngineRefused):
            return await engine.ask("GET", path)
        raise
    return await engine.ask("GET", path)


async def _make(engine: Engine, body: Mapping[str, Any]) -> None:
    for looks_left in reversed(range(_LOOKS)):
        try:
            await engine.ask("POST", "/networks/create", body=body)
        except EngineRefused as refusal:
            if _CAME_OR_WENT not in str(refusal) or not looks_left:
                raise
        else:
            return


def _addresses(network: Mapping[str, Any]) -> tuple[IPv4Network, str]:
    for config in network["IPAM"]["Config"]:
        subnet = config.get("Subnet", "")
        if ":" not in subnet:
            chosen = IPv4Network(subnet)
            return chosen, str(config.get("Gateway") or chosen[1]).partition("/")[0]
    raise EngineRefused(500, f"the network {network['Name']} has no IPv4 addresses")


def _make_bridge(claim: Claim) -> None:
    """Unless it is there. The engine takes it, and takes it away with the network. Raises OSError."""
    if claim.bridge not in (name for _, name in socket.if_nameindex()):
        bridges.create_bridge(claim, mtu=bridges.read_host_routes().mtu, route_localnet=False)


def _guard(claim: Claim, *, api_port: int, allow_local: bool) -> None:
    """Raises OSError when this process may not."""
    if shutil.which("nft") is None:
        raise OSError("nft is not installed")
    try:
        socket.if_nametoindex(claim.bridge)
    except OSError as error:
        raise OSError("the engine runs in another network than this server") from error
    resolvers = resolver.read_resolvers(resolver.SOURCES)
    policy = firewall.Policy(api_port, allow_local, resolvers.nameservers)
    if allow_local:
        setting = Path("/proc/sys/net/ipv4/conf", claim.bridge, "route_localnet")
        setting.write_text("1")
    firewall.install(claim, policy)
    firewall.withdraw_from_other_firewalls(claim)
    firewall.tell_other_firewalls(claim)


def _unguard(claim: Claim) -> None:
    if shutil.which("nft") is None:
        return
    with suppress(OSError):  # what stays cuts nobody off, and is replaced by the next of this name
        bridges.remove_bridge(claim)


def _notes() -> list[str]:
    try:
        filtered = _BRIDGED_IS_FILTERED.read_text().strip() == "1"
    except OSError:
        filtered = False
    if filtered:
        return []
    return [
        "Runs may reach one another: the kernel does not filter what stays on a bridge. "
        "Load the module br_netfilter."
    ]


def _unguarded(why: str) -> str:
    return (
        "Runs reach services of this machine that listen on all its addresses, and cloud metadata: "
        f"no rules could be loaded ({why})."
    )
