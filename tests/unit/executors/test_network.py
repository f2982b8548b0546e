"""The veth rung, with real namespaces, links and rules. All traffic stays on this machine."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TextIO

import pytest

from callboard.executors.launcher import netns
from callboard.executors.launcher.network import Lease, Network, open_network
from callboard.executors.launcher.network_registry import REGISTRY
from callboard.executors.launcher.network_veth import open_veth

_CAN = os.geteuid() == 0 and shutil.which("ip") is not None and shutil.which("nft") is not None
pytestmark = pytest.mark.skipif(not _CAN, reason="veth networks need root, ip and nft")

HOST_OUTSIDE, OUTSIDE = "198.51.100.1", "198.51.100.2"
METADATA_ON_HOST, METADATA_OUTSIDE = "169.254.169.254", "100.100.100.200"
ANSWER_WITHIN_SECS = 5
CLOSED_AFTER_SECS = 0.5

Open = Callable[..., Network]


@dataclass(frozen=True)
class Outside:
    """A namespace that plays the world beyond the host, linked to it by addresses of its own."""

    namespace: int

    @contextmanager
    def serving(self, address: str = OUTSIDE) -> Generator[int]:
        with netns.inside(self.namespace):
            server = socket.create_server((address, 0))
        with server:
            yield server.getsockname()[1]


@pytest.fixture
def outside() -> Generator[Outside]:
    link, namespace = f"cbtest{os.getpid()}", netns.create_namespace()
    into = ("nsenter", f"--net={netns.path_of(namespace)}", "ip")
    with _one_at_a_time():
        try:
            _run(
                "ip",
                "link",
                "add",
                link,
                "type",
                "veth",
                "peer",
                "eth0",
                "netns",
                netns.path_of(namespace),
            )
            for address in (HOST_OUTSIDE, METADATA_ON_HOST):
                _run("ip", "address", "add", f"{address}/24", "dev", link)
            for address in (OUTSIDE, METADATA_OUTSIDE):
                _run(*into, "address", "add", f"{address}/24", "dev", "eth0")
            _run(*into, "link", "set", "eth0", "up")
            _run("ip", "link", "set", link, "up")
            _run("ip", "route", "add", METADATA_OUTSIDE, "dev", link)
            yield Outside(namespace)
        finally:
            subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
            os.close(namespace)


@pytest.fixture
def opened(tmp_path: Path) -> Generator[Open]:
    networks: list[Network] = []

    def open_it(*, allow_local: bool = False) -> Network:
        state_dir = tmp_path / str(len(networks))
        network = open_network(state_dir, api_port=8484, allow_local=allow_local)
        networks.append(network)
        assert network.rung == "veth", network.description
        return network

    yield open_it
    for network in networks:
        network.close()


@pytest.fixture
def network(opened: Open) -> Network:
    return opened()


def test_a_run_reaches_the_api_at_the_gateway_and_no_other_port(network: Network) -> None:
    lease = _lease(network)
    with _serving(network.listen_address, 8484), _serving("0.0.0.0", 0) as other:
        host, _, port = network.api_address.rpartition(":")
        assert _reaches(lease, host, int(port))
        assert _closed(lease, host, other)


@pytest.mark.parametrize("address", ["127.0.0.1", HOST_OUTSIDE])
def test_host_services_are_closed_whatever_address_is_used(
    network: Network, outside: Outside, address: str
) -> None:
    with _serving("0.0.0.0", 0) as port:
        assert _reaches(None, address, port)
        assert _closed(_lease(network), address, port)


def test_a_refused_connection_fails_at_once(network: Network, outside: Outside) -> None:
    with _serving("0.0.0.0", 0) as port, pytest.raises(ConnectionRefusedError):
        _connect(_lease(network), HOST_OUTSIDE, port)


@pytest.mark.parametrize("allow_local", [False, True])
def test_a_port_published_by_address_translation_counts_as_the_hosts(
    opened: Open, outside: Outside, allow_local: bool
) -> None:
    lease = _lease(opened(allow_local=allow_local))
    with outside.serving() as port, _published(18080, f"{OUTSIDE}:{port}"):
        assert _reaches(lease, HOST_OUTSIDE, 18080) is allow_local


def test_a_run_reaches_the_outside_under_the_hosts_address(
    network: Network, outside: Outside
) -> None:
    with netns.inside(outside.namespace):
        server = socket.create_server((OUTSIDE, 0))
    with server, _connect(_lease(network), OUTSIDE, server.getsockname()[1]):
        server.settimeout(ANSWER_WITHIN_SECS)
        connection, (peer, _) = server.accept()
        connection.close()
    assert peer == HOST_OUTSIDE


@pytest.mark.parametrize("allow_local", [False, True])
def test_metadata_services_are_closed_on_the_host_and_beyond(
    opened: Open, outside: Outside, allow_local: bool
) -> None:
    lease = _lease(opened(allow_local=allow_local))
    with _serving(METADATA_ON_HOST, 0) as here, outside.serving(METADATA_OUTSIDE) as there:
        for address, port in ((METADATA_ON_HOST, here), (METADATA_OUTSIDE, there)):
            assert _reaches(None, address, port)
            assert _closed(lease, address, port)


def test_a_run_has_no_ipv6_but_its_own_loopback(network: Network) -> None:
    lease = _lease(network)
    with _inside(lease):
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with server:
        assert _reaches(lease, "::1", server.getsockname()[1])
    with pytest.raises(OSError, match=r"unreachable|assign"):
        _connect(lease, "fd00:ec2::254", 80)


def test_two_runs_listen_on_one_port_and_the_host_tells_them_apart(network: Network) -> None:
    leases = [_lease(network), _lease(network)]
    for lease in leases:
        with _inside(lease):
            server = socket.create_server(("0.0.0.0", 8080))
        with server, _connect(None, lease.address, 8080):
            connection, _ = server.accept()
            assert connection.getsockname()[0] == lease.address
            connection.close()
            assert _closed(next(other for other in leases if other != lease), lease.address, 8080)


def test_runs_of_two_launchers_do_not_reach_one_another(opened: Open) -> None:
    networks = opened(), opened(allow_local=True)
    here, there = (_lease(network) for network in networks)
    assert networks[0].gateway_address != networks[1].gateway_address
    for client, server in ((here, there), (there, here)):
        with _serving("0.0.0.0", 8080, server):
            assert _reaches(None, server.address, 8080)
            assert _closed(client, server.address, 8080)


def test_local_services_are_open_by_name_when_allowed(opened: Open) -> None:
    network = opened(allow_local=True)
    lease = _lease(network)
    host = lease.hosts["host.callboard.internal"]
    with _serving("127.0.0.1", 0) as port:
        assert _reaches(lease, host, port)
    with _serving(network.listen_address, 8484):
        assert _reaches(lease, host, 8484)


def test_local_services_have_no_name_when_not_allowed(network: Network) -> None:
    assert _lease(network).hosts == {}


def test_a_name_server_on_the_hosts_loopback_is_reached_at_the_gateway(tmp_path: Path) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.91.0.53\n")
    with (
        closing(_open_veth(tmp_path, resolv_conf)) as network,
        _echoing_datagrams("127.91.0.53", 53),
    ):
        lease = _lease(network)
        assert Path(lease.resolv_conf).read_text() == f"nameserver {network.gateway_address}\n"
        assert _asks(lease, str(network.gateway_address), 53) == b"asked"


def test_a_changed_resolv_conf_of_the_host_reaches_runs_that_go_on(tmp_path: Path) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 203.0.113.1\n")
    with closing(_open_veth(tmp_path, resolv_conf)) as network, _lease_file(network) as seen_by_run:
        replacement = tmp_path / "new"
        replacement.write_text("nameserver 203.0.113.2\nsearch example.org\n")
        replacement.rename(resolv_conf)
        network.refill()
        seen_by_run.seek(0)
        assert seen_by_run.read() == "search example.org\nnameserver 203.0.113.2\n"


@pytest.mark.parametrize("nameserver", [METADATA_ON_HOST, HOST_OUTSIDE])
def test_a_name_server_is_reached_also_where_nothing_else_is(
    tmp_path: Path, outside: Outside, nameserver: str
) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(f"nameserver {nameserver}\n")
    with closing(_open_veth(tmp_path, resolv_conf)) as network, _echoing_datagrams(nameserver, 53):
        assert _asks(_lease(network), nameserver, 53) == b"asked"


def test_a_program_started_in_the_namespace_sees_one_way_out(network: Network) -> None:
    lease = _lease(network)
    shown = _run("nsenter", f"--net={lease.netns_path}", "ip", "-br", "-4", "address")
    links = {line.split()[0].partition("@")[0]: line.split()[2] for line in shown.splitlines()}
    assert links == {"lo": "127.0.0.1/8", lease.interface: f"{lease.address}/22"}


def test_more_leases_than_are_idle_are_made_on_demand(network: Network) -> None:
    leases = [_lease(network) for _ in range(40)]
    assert len({lease.address for lease in leases}) == 40
    assert len({netns_id(lease) for lease in leases}) == 40


def test_a_released_namespace_is_leased_again_after_the_idle_ones(network: Network) -> None:
    first = _lease(network)
    network.release(first)
    network.release(first)
    again = [_lease(network) for _ in range(16)]
    assert again.index(first) == 15
    assert again.count(first) == 1


def test_refilling_ends_and_then_leases_need_no_making(opened: Open, tmp_path: Path) -> None:
    network = opened()
    while network.refill():
        pass
    made = set(_traces(_name(tmp_path / "0")))
    _lease(network)
    assert set(_traces(_name(tmp_path / "0"))) <= made


def test_released_namespaces_over_the_cap_are_removed(network: Network) -> None:
    leases = [_lease(network) for _ in range(145)]
    for lease in leases:
        network.release(lease)
    assert not Path(leases[-1].netns_path).exists()
    assert Path(leases[0].netns_path).exists()


def test_closing_leaves_nothing_on_the_host(opened: Open, tmp_path: Path) -> None:
    network = opened()
    name, leases = _name(tmp_path / "0"), [_lease(network) for _ in range(3)]
    assert len(_traces(name)) > len(leases)
    network.close()
    assert _traces(name) == []
    assert not any(Path(lease.netns_path).exists() for lease in leases)


def test_what_a_killed_launcher_left_is_removed_by_the_next_one(
    opened: Open, tmp_path: Path
) -> None:
    _open_and_die(tmp_path / "dead")
    name = _name(tmp_path / "dead")
    assert f"bridge cb-{name}" in _traces(name)
    opened()
    assert _traces(name) == []


def test_a_program_without_the_privileges_is_told_so(tmp_path: Path) -> None:
    drop = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    program = (
        "import sys, pathlib\n"
        "from callboard.executors.launcher.network_veth import open_veth\n"
        "open_veth(pathlib.Path(sys.argv[1]), api_port=8484, allow_local=False)\n"
    )
    argv = (*drop, sys.executable, "-c", program, str(tmp_path / "state"))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("OSError: it needs root, with CAP_NET_ADMIN and CAP_SYS_ADMIN\n")


def test_a_living_launcher_keeps_its_network_when_another_starts(
    opened: Open, outside: Outside
) -> None:
    network = opened()
    opened()
    with outside.serving() as port:
        assert _reaches(_lease(network), OUTSIDE, port)


@pytest.mark.skipif(shutil.which("iptables") is None, reason="the host has no iptables")
def test_a_firewall_that_forwards_nothing_is_told_of_the_bridge(
    opened: Open, tmp_path: Path
) -> None:
    network = opened()
    name = _name(tmp_path / "0")
    assert _run("iptables", "-w", "-S").count(f"-i cb-{name} -j ACCEPT") == 2
    network.close()
    assert name not in _run("iptables", "-w", "-S")


def netns_id(lease: Lease) -> int:
    return Path(lease.netns_path).stat().st_ino


def _lease(network: Network) -> Lease:
    lease = network.lease()
    assert lease is not None
    return lease


@contextmanager
def _lease_file(network: Network) -> Generator[TextIO]:
    with Path(_lease(network).resolv_conf).open() as file:
        yield file


@contextmanager
def _inside(lease: Lease | None) -> Generator[None]:
    if lease is None:
        yield
        return
    descriptor = os.open(lease.netns_path, os.O_RDONLY)
    try:
        with netns.inside(descriptor):
            yield
    finally:
        os.close(descriptor)


@contextmanager
def _serving(address: str, port: int, lease: Lease | None = None) -> Generator[int]:
    """A server whose connections the kernel accepts, on the host or in a run."""
    with _inside(lease):
        server = socket.create_server((address, port))
    with server:
        yield server.getsockname()[1]


def _connect(
    lease: Lease | None, host: str, port: int, *, within_secs: float = ANSWER_WITHIN_SECS
) -> socket.socket:
    with _inside(lease):
        client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    client.settimeout(within_secs)
    try:
        client.connect((host, port))
    except BaseException:
        client.close()
        raise
    return client


def _reaches(lease: Lease | None, host: str, port: int) -> bool:
    try:
        _connect(lease, host, port).close()
    except OSError:
        return False
    return True


def _closed(lease: Lease | None, host: str, port: int) -> bool:
    try:
        _connect(lease, host, port, within_secs=CLOSED_AFTER_SECS).close()
    except OSError:
        return True
    return False


def _asks(lease: Lease, host: str, port: int) -> bytes:
    with _inside(lease):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(ANSWER_WITHIN_SECS)
        client.connect((host, port))
        client.send(b"asked")
        return client.recv(100)


@contextmanager
def _echoing_datagrams(address: str, port: int) -> Generator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        server.settimeout(ANSWER_WITHIN_SECS)
        echo = Thread(target=lambda: server.sendto(*server.recvfrom(100)))
        echo.start()
        yield
        echo.join()


@contextmanager
def _published(port: int, target: str) -> Generator[None]:
    """What a container engine does for a published port."""
    table = f"ip cbtest_{uuid.uuid4().hex[:8]}"
    rule = f"ip daddr {HOST_OUTSIDE} tcp dport {port} dnat to {target}"
    chain = f"type nat hook prerouting priority dstnat; {rule}"
    _run("nft", f"table {table} {{ chain published {{ {chain}; }}; }}")
    try:
        yield
    finally:
        _run("nft", "delete", "table", *table.split())


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """The addresses of `outside` are the same in all test processes."""
    with Path("/run/callboard-test-outside.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_veth(tmp_path: Path, resolv_conf: Path) -> Network:
    state_dir = tmp_path / "state"
    return Network(
        open_veth(state_dir, api_port=8484, allow_local=False, resolv_confs=(resolv_conf,))
    )


def _open_and_die(state_dir: Path) -> None:
    program = (
        "import os, signal, sys, pathlib\n"
        "from callboard.executors.launcher.network import open_network\n"
        "network = open_network(pathlib.Path(sys.argv[1]), api_port=8484, allow_local=False)\n"
        "network.lease()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, state_dir], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def _name(state_dir: Path) -> str:
    """What distinguishes a launcher's links and tables from those of others on this host."""
    for record in REGISTRY.glob("*.json"):
        if json.loads(record.read_bytes())["owner"] == str(state_dir / "network"):
            return record.stem
    raise AssertionError(f"no record of {state_dir}")


def _traces(name: str) -> list[str]:
    links = [line.split()[0] for line in _run("ip", "-br", "link").splitlines() if name in line]
    bridges = [f"bridge {link}" for link in links if link == f"cb-{name}"]
    tables = [line for line in _run("nft", "list", "tables").splitlines() if name in line]
    records = [str(record) for record in REGISTRY.glob(f"*{name}*")]
    return sorted(links + bridges + tables + records)


def _run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
