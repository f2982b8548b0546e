"""The rungs without root, held by a process of another user while this one plays the host around it."""

import json
import os
import select
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.another_user import (
    PYTHON,
    SOURCE,
    USER,
    as_another_user,
    needs_another_user,
    open_folder,
)

from callboard.executors.launcher import linux

RESOLVER = "127.0.0.1"
METADATA = "169.254.169.254"
# Opens the network, then answers one JSON line for each it reads until the end of its input.
LAUNCHER = """
import json, subprocess, sys
from pathlib import Path
from callboard.executors.launcher import network_usermode as usermode
from callboard.executors.launcher.network_lease import Network
from callboard.executors.launcher.network_sockets import open_socket

def said(process):
    return process.stdout.readline().strip()

opener, folder, api_port, allow_local = sys.argv[1:]
try:
    plumbing = getattr(usermode, opener)(
        Path(folder), api_port=int(api_port), allow_local=allow_local == "True"
    )
except OSError as error:
    print(json.dumps({"failure": str(error)}), flush=True)
    raise SystemExit
network = Network(plumbing)
leases = [network.lease(), network.lease()]
hosts = [dict(lease.hosts) for lease in leases]
about = {"api": network.api_address, "hosts": hosts[0]}
about["nameserver"] = Path(leases[0].resolv_conf).read_text().split()[1]
print(json.dumps(about), flush=True)
servers = []
for line in sys.stdin:
    number, argv, stays = json.loads(line)
    if argv[0] == "from inside":
        with open_socket(leases[number]) as connection:
            connection.connect(("127.0.0.1", int(argv[1])))
            print(json.dumps(connection.recv(100).decode()), flush=True)
        continue
    process = subprocess.Popen([*leases[number].argv_prefix, *argv], stdout=-1, stderr=-1, text=True)
    if stays:
        servers.append(process)
        answer = process.stdout.readline()
    else:
        answer = process.communicate(timeout=20)[0]
    print(json.dumps(answer.strip()), flush=True)
for server in servers:
    server.kill()
    server.communicate()
network.close()
print(json.dumps(sorted(str(path) for path in Path(folder).glob("*"))), flush=True)
"""

CLIENT = """
import socket, sys
client = socket.socket()
client.settimeout(float(sys.argv[3]))
try:
    client.connect((sys.argv[1], int(sys.argv[2])))
    print(client.recv(100).decode())
except OSError as error:
    print("closed", repr(error))
"""

SERVER = """
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
print("listens", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(sys.argv[2].encode())
    connection.close()
"""

ASKING = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
client.sendto(b"asked", (sys.argv[1], 53))
print(client.recv(100).decode())
"""

_PROGRAMS = ("ip", "unshare", "setpriv", "nsenter", "pasta", "slirp4netns")
_MISSING = [name for name in _PROGRAMS if shutil.which(name) is None]
pytestmark = [
    needs_another_user,
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]


class OtherUser:
    """A launcher of `USER` with two leases, numbered 0 and 1."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.about: dict[str, Any] = self._read()

    def run(self, lease: int, *argv: str, stays: bool = False) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([lease, argv, stays]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def connect(self, lease: int, host: str, port: int, *, within_secs: float = 5) -> str:
        return self.run(lease, PYTHON, "-c", CLIENT, host, str(port), str(within_secs))

    def finds_closed(self, lease: int, host: str, port: int) -> bool:
        return self.connect(lease, host, port, within_secs=0.7).startswith("closed ")

    def serve(self, lease: int, port: int, answer: str) -> None:
        assert self.run(lease, PYTHON, "-c", SERVER, str(port), answer, stays=True) == "listens"

    def close(self) -> Any:
        """End the servers, close the network, and say which files are left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._read()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def is_open(self) -> bool:
        return (
            self._process.poll() is None
            and self._process.stdin is not None
            and not self._process.stdin.closed
        )

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@pytest.fixture(params=["open_pasta", "open_slirp4netns"])
def opener(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder() -> Generator[Path]:
    """With `RESOLVER` as the only name server."""
    with open_folder() as path:
        (path / "state").mkdir()
        os.chown(path / "state", USER, USER)
        (path / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
        yield path


@pytest.fixture
def api() -> Generator[int]:
    with _serving("127.0.0.1", "api") as port:
        yield port


@pytest.fixture
def user(opener: str, folder: Path, api: int) -> Generator[OtherUser]:
    with _other_user(opener, folder, api) as user:
        yield user


def test_a_run_reaches_the_api_and_no_other_local_service(user: OtherUser, api: int) -> None:
    host, _, port = user.about["api"].rpartition(":")
    with _serving("0.0.0.0", "other") as other:
        assert user.connect(0, host, int(port)) == "api"
        for address in (host, "127.0.0.1", *_host_addresses()):
            assert user.finds_closed(0, address, other)


def test_metadata_services_are_closed(user: OtherUser) -> None:
    with _address_on_loopback(METADATA), _serving(METADATA, "secrets") as port:
        with socket.create_connection((METADATA, port)) as seen_by_host:
            assert seen_by_host.recv(100) == b"secrets"
        assert user.finds_closed(0, METADATA, port)


def test_a_run_reaches_the_outside(opener: str, folder: Path, api: int) -> None:
    with ExitStack() as stack:
        user = stack.enter_context(_other_user(opener, folder, api))
        # Of an address the host got after the lease was made, nothing says that it is the host's.
        stack.enter_context(_address_on_loopback("203.0.113.7"))
        port = stack.enter_context(_serving("203.0.113.7", "outside"))
        assert user.connect(0, "203.0.113.7", port) == "outside"


def test_two_runs_listen_on_one_port(user: OtherUser) -> None:
    for lease in (0, 1):
        user.serve(lease, 8080, f"run {lease}")
    for lease in (0, 1):
        assert user.connect(lease, "127.0.0.1", 8080) == f"run {lease}"


def test_a_socket_of_a_run_reaches_what_it_listens_on(user: OtherUser) -> None:
    for lease in (0, 1):
        user.serve(lease, 8080, f"run {lease}")
        assert user.run(lease, "from inside", "8080") == f"run {lease}"


def test_local_services_are_open_by_name_when_allowed(opener: str, folder: Path, api: int) -> None:
    with _other_user(opener, folder, api, allow_local=True) as user:
        host = user.about["hosts"]["host.callboard.internal"]
        with _serving("127.0.0.1", "local") as port:
            assert user.connect(0, host, port) == "local"


def test_a_name_server_on_the_hosts_loopback_is_reached(user: OtherUser) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind((RESOLVER, 53))
        except OSError:
            pytest.skip("this host has a name server of its own on 127.0.0.1")
        server.settimeout(10)
        echo = Thread(target=lambda: server.sendto(*server.recvfrom(100)))
        echo.start()
        assert user.run(0, PYTHON, "-c", ASKING, user.about["nameserver"]) == "asked"
        echo.join()


def test_a_run_cannot_change_its_network(user: OtherUser) -> None:
    attempt = "ip rule del pref 200 || ip link set lo down || nft flush ruleset || echo refused"
    assert user.run(0, "sh", "-c", attempt) == "refused"


def test_closing_ends_all_processes_and_removes_all_files(user: OtherUser, folder: Path) -> None:
    processes = _processes_of(user)
    assert user.close() == []
    assert all(_ends(process) for process in processes)


def test_nothing_outlives_a_killed_launcher(opener: str, folder: Path, api: int) -> None:
    with _other_user(opener, folder, api) as user:
        processes = _processes_of(user)
        user.kill()
    assert all(_ends(process) for process in processes)


@contextmanager
def _other_user(
    opener: str, folder: Path, api: int, *, allow_local: bool = False
) -> Generator[OtherUser]:
    launcher = (
        PYTHON,
        "-c",
        LAUNCHER,
        opener,
        str(folder / "state" / "network"),
        str(api),
        str(allow_local),
    )
    process = subprocess.Popen(
        as_another_user(folder, *launcher),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    with process:
        try:
            user = OtherUser(process)
            if "user namespaces" in user.about.get("failure", ""):
                pytest.skip(user.about["failure"])
            assert "failure" not in user.about, user.about
            yield user
            if user.is_open():
                user.close()
        finally:
            process.kill()


@contextmanager
def _serving(address: str, answer: str) -> Generator[int]:
    """A server of the host that tells its name to whoever connects."""
    server = socket.create_server((address, 0))

    def serve() -> None:
        with suppress(OSError):  # Shut down.
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(answer.encode())

    thread = Thread(target=serve)
    thread.start()
    with server:
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@contextmanager
def _address_on_loopback(address: str) -> Generator[None]:
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)


def _host_addresses() -> list[str]:
    shown = subprocess.run(
        ["ip", "-br", "-4", "address"], capture_output=True, text=True, check=True
    )
    found = [word.partition("/")[0] for word in shown.stdout.split() if word.count(".") == 3]
    return [address for address in found if not address.startswith("127.")]


def _processes_of(user: OtherUser) -> list[int]:
    """Descriptors of the launcher, of the stacks with their keepers, and of the holders."""
    found = [user.pid]
    for pid in found:
        found += linux.children(pid)
    assert len(found) >= 7
    return [os.pidfd_open(pid) for pid in found]


def _ends(process: int) -> bool:
    try:
        return bool(select.select([process], [], [], 10)[0])
    finally:
        os.close(process)
