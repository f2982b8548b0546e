"""The rungs without root: namespaces of the launcher's own user, each with a user-mode stack kept running.

A small process holds the namespaces of a lease; the job's argv is put behind an `nsenter` into them. Its
rules are set while it has the capabilities to; a job that enters has none, and cannot undo them.

Not enforced here, unlike on the veth rung: addresses that the host gets later stay open until the lease
is made anew; a run's traffic is not measured, and it is as fast as one process can copy.

Nothing is led into a run: who wants to reach what it listens on has a socket made inside, see `network_sockets`.
"""

import ipaddress
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from callboard.executors.launcher import network_resolver as resolver
from callboard.executors.launcher.network_firewall import METADATA
from callboard.executors.launcher.network_kept import Kept
from callboard.executors.launcher.network_lease import HOST_NAME, Lease
from callboard.executors.launcher.network_restrictions import Restrictions
from callboard.executors.launcher.network_stacks import Pasta, Site, Slirp4netns, Stack

_COMMAND_TIMEOUT_SECS = 20

_HOLDER = """
set -e
echo entered
read -r _
echo 1 2>/dev/null >/proc/sys/net/ipv6/conf/default/disable_ipv6 || :
ip link set lo up
echo made
read -r _
printf %s "$1" | ip -batch -
echo closed
exec cat
"""
_KEEPER = """
"$@" </dev/null &
stack=$!
exec >/dev/null
cat
kill "$stack"
wait "$stack"
"""


def open_pasta(state_dir: Path, *, api_port: int, allow_local: bool) -> "UserPlumbing":
    """Raises OSError when pasta or user namespaces cannot be used here."""
    return _open(Pasta(), state_dir, api_port=api_port, allow_local=allow_local)


def open_slirp4netns(state_dir: Path, *, api_port: int, allow_local: bool) -> "UserPlumbing":
    """Raises OSError when slirp4netns or user namespaces cannot be used here."""
    return _open(Slirp4netns(), state_dir, api_port=api_port, allow_local=allow_local)


def _open(stack: Stack, state_dir: Path, *, api_port: int, allow_local: bool) -> "UserPlumbing":
    for program in ("unshare", "nsenter", "ip", stack.program):
        if shutil.which(program) is None:
            raise OSError(f"{program} is not installed")
    shutil.rmtree(state_dir, ignore_errors=True)
    state_dir.mkdir(parents=True)
    resolvers = resolver.read_resolvers(resolver.SOURCES)
    local = None if resolvers.nameservers else resolvers.local
    resolv_conf = state_dir / "resolv.conf"
    resolv_conf.write_text(resolvers.render(local_as=stack.nameserver))
    site = Site(state_dir, api_port, allow_local, resolvers.nameservers, local)
    plumbing = UserPlumbing(stack, site, resolv_conf)
    try:
        plumbing.probe()
    except BaseException:
        plumbing.close()
        raise
    return plumbing


@dataclass(frozen=True)
class _Behind:
    """The processes behind a lease."""

    holder: Kept
    stack: Kept

    def end(self) -> None:
        self.stack.end()
        self.holder.end()


class UserPlumbing:
    warm, idle_max, batch = 2, 16, 1

    def __init__(self, stack: Stack, site: Site, resolv_conf: Path) -> None:
        self.rung = stack.program
        self.listen_address = "127.0.0.1"
        self.gateway_address: str | None = None
        self.api_address = f"{stack.api_host}:{site.api_port}"
        self.description = (
            f"a network namespace for each run ({stack.program}, without root); addresses that this host "
            f"gets later are not closed to runs, and traffic is not measured"
        )
        if site.allow_local:
            self.description += f"; services of this host are open to runs as {HOST_NAME}"
        self._stack = stack
        self._site = site
        self._resolv_conf = resolv_conf
        self._behind: dict[int, _Behind] = {}
        self._serials = count(1)

    def probe(self) -> None:
        """Make a namespace and see that it has a way out. Raises OSError."""
        (lease,) = self.make(1)
        shown = _output(*lease.argv_prefix, "ip", "-4", "route", "show", "default")
        if f"dev {lease.interface}" not in shown:
            raise OSError(f"{self.rung} gave no route out")
        self.discard(lease)

    def make(self, count: int) -> list[Lease]:
        return [self._make_one() for _ in range(count)]

    def discard(self, lease: Lease) -> None:
        behind = self._behind.pop(lease.serial)
        behind.end()
        self._stack.clean_up(self._site, target=behind.holder.pid)

    def is_intact(self, lease: Lease) -> bool:
        """The stack's end closes the output of its keeper."""
        behind = self._behind.get(lease.serial)
        return behind is not None and not behind.stack.has_closed_output()

    def refresh(self) -> None:
        """Name servers are those of the start: stacks cannot be told of others."""

    def close(self) -> None:
        for behind in self._behind.values():
            behind.end()
        self._behind.clear()
        shutil.rmtree(self._site.state_dir, ignore_errors=True)

    def _make_one(self) -> Lease:
        host = _read_host()
        rules = self._restrictions(host).as_routing_rules()
        holder = Kept("unshare", *_unshare_options(), "sh", "-c", _HOLDER, "sh", rules)
        try:
            holder.wait_for_line("user namespaces are not usable here")
            _map_users(holder.pid)
            holder.let_go_on()
            holder.wait_for_line("a network namespace cannot be set up here")
            argv = self._stack.argv(self._site, target=holder.pid)
            behind = _Behind(holder, Kept("sh", "-c", _KEEPER, "sh", *argv))
        except BaseException:
            holder.end()
            raise
        serial = next(self._serials)
        self._behind[serial] = behind
        lease = self._lease(serial, holder.pid, gateway=host.gateway)
        try:
            self._finish(behind)
        except BaseException:
            self.discard(lease)
            raise
        return lease

    def _finish(self, behind: _Behind) -> None:
        behind.stack.wait_for_line(f"{self.rung} ended before it was ready")
        # Only now, as the rules would keep the stack from setting its routes.
        behind.holder.let_go_on()
        behind.holder.wait_for_line("no rules can be set in a network namespace here")

    def _lease(self, serial: int, holder: int, *, gateway: str) -> Lease:
        hosts = {HOST_NAME: self._stack.host_address(gateway)} if self._site.allow_local else {}
        return Lease(
            serial=serial,
            netns_path="",
            argv_prefix=("nsenter", *_NSENTER, f"--target={holder}", "--", *_without_net_admin()),
            address=None,
            interface=self._stack.interface,
            hosts=hosts,
            resolv_conf=str(self._resolv_conf),
            holder_pid=holder,
        )

    def _restrictions(self, host: "_Host") -> Restrictions:
        site, stack = self._site, self._stack
        local = () if site.allow_local else (*stack.own_addresses, *host.addresses)
        return Restrictions(
            nameservers=(*site.nameservers, stack.nameserver),
            api_host=stack.api_host,
            api_port=site.api_port,
            closed=(*METADATA, *local),
        )


def _unshare_options() -> tuple[str, ...]:
    mapped = () if os.geteuid() == 0 else ("--map-current-user",)
    return ("--user", *mapped, "--keep-caps", "--net", "--")


def _map_users(holder: int) -> None:
    """Root's jobs run as other users, which the namespace has to know; others can map themselves only.

    Raises OSError.
    """
    if os.geteuid() == 0:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{holder}/{name}").write_text(f"0 0 {_ALL_IDS}\n")


_ALL_IDS = 2**32 - 1
_NSENTER = ("--preserve-credentials", "--user", "--net")


def _without_net_admin() -> tuple[str, ...]:
    """Root keeps the capabilities it has on entering, other users lose them all by starting a program."""
    if os.geteuid() != 0:
        return ()
    dropped = "-net_admin,-net_raw"
    return ("setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}", "--")


@dataclass(frozen=True)
class _Host:
    addresses: tuple[str, ...]
    gateway: str


def _read_host() -> _Host:
    links = json.loads(_output("ip", "-json", "-4", "address") or "[]")
    found = [
        info["local"] for link in links for info in link.get("addr_info", ()) if "local" in info
    ]
    addresses = tuple(address for address in found if not ipaddress.ip_address(address).is_loopback)
    routes = json.loads(_output("ip", "-json", "-4", "route", "show", "default") or "[]")
    gateway = next((route["gateway"] for route in routes if "gateway" in route), "")
    return _Host(addresses, gateway)


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=True, timeout=_COMMAND_TIMEOUT_SECS
        )
    except subprocess.CalledProcessError as error:
        raise OSError(f"{argv[0]}: {error.stderr.strip()[:500]}") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"{argv[0]}: no answer") from None
    return done.stdout
