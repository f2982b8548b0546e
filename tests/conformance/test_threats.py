"""What an Actor that means harm can do: nothing. Each test is a claim of docs/explanation/threat-model.md.

One job tries everything, in each kind of sandbox, with a launcher of root's and with one of an ordinary user; the
tests look at how its attempts ended.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from callboard.executors.base import LaunchSpec, Mount, MountMode
from callboard.executors.launcher import protocol
from callboard.executors.launcher.protocol import Options
from callboard.executors.launcher.runners import BUBBLEWRAP, NAMESPACES
from tests.another_user import OBSTACLE, PYTHON, SOURCE, USER, as_another_user, open_folder

from .conftest import PROGRAMS

ABSTRACT = f"callboard-test-{os.getpid()}"
METADATA = {
    "the usual metadata service": "169.254.169.254",
    "metadata of tasks": "169.254.170.2",
    "Azure's agent": "168.63.129.16",
    "Alibaba's metadata": "100.100.100.200",
    "metadata by IPv6": "fd00:ec2::254",
    "Google's metadata by IPv6": "fd20:ce::254",
}
NOT_REACHED = {
    "ECONNREFUSED",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "EADDRNOTAVAIL",
    "EACCES",
    "timed out",
}

pytestmark = [
    pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed"),
    # Not beside a container engine, which gives this machine more addresses while a job is running.
    pytest.mark.xdist_group("docker"),
]


@dataclass(frozen=True)
class Attack:
    """How each attempt ended, by name, and the rungs in force meanwhile."""

    ends: dict[str, str]
    rungs: dict[str, str]

    def to(self, *names: str) -> set[str]:
        """The ends of connections; skips where runs share the network of the machine, as is announced."""
        if self.rungs["network"] == "host":
            pytest.skip("runs have no network of their own here")
        return {self.ends[f"to {name}"] for name in names}

    def of(self, first: str) -> set[str]:
        """The ends of all attempts whose name begins so."""
        found = {end for name, end in self.ends.items() if name.startswith(first + " ")}
        assert found, f"nothing was tried of {first!r}"
        return found


class Driver:
    """A launcher of root's or of another user, and jobs for it."""

    def __init__(self, folder: Path, api_port: int, sandbox: str) -> None:
        """What the folder's name ends with tells whose launcher it is."""
        self.folder = folder
        unprivileged = folder.name.endswith("-user")
        self.python = PYTHON if unprivileged else f"{sys.base_prefix}/bin/python3"
        options = json.dumps(asdict(Options(api_port=api_port, sandbox=sandbox)))
        script = Path(__file__).with_name("drives_launcher.py")
        argv = [self.python, str(script), str(folder / "launcher"), options]
        if unprivileged:
            argv = as_another_user(folder, *argv)
        if folder.name.endswith("-limited"):
            argv = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", *argv]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=env, text=True)
        self.rungs: dict[str, str] = self._read()["rungs"]

    def ask(self, do: str, what: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([do, what]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def spec(self, program: str, *args: str, **env: str) -> LaunchSpec:
        job_id = f"{program.partition('.')[0]}-{os.urandom(3).hex()}"
        prefix = Path(self.python).parent.parent
        shown = {self.folder / "given": "/given", PROGRAMS: "/programs"}
        if not prefix.is_relative_to("/usr"):
            shown[prefix] = str(prefix)
        return LaunchSpec(
            job_id=job_id,
            argv=(self.python, "-I", "-S", f"/programs/{program}", *args),
            env={"PATH": "/usr/bin:/bin", **env},
            cwd="/tmp",
            log_path=self.folder / "launcher" / f"{job_id}.log",
            log_id=job_id,
            memory_mbytes=128,
            cpus=1,
            mounts=tuple(Mount(source, target) for source, target in shown.items()),
        )

    def start(self, spec: LaunchSpec) -> Any:
        return self.ask("start", protocol.spec_to_json(spec))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def local_port() -> Iterator[int]:
    """Of a service of this machine, on all its addresses, that is none of a run's business."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def listening_abstractly() -> Generator[None]:
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind("\0" + ABSTRACT)
        server.listen()
        yield


@pytest.fixture(scope="module", params=["root", "user", "limited"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Whose it is: root's, an ordinary user's, or root's without the right to make networks."""
    if request.param == "user" and OBSTACLE:
        pytest.skip(OBSTACLE)
    if request.param == "limited" and os.geteuid() != 0:
        pytest.skip("only root has a right to be taken away")
    with open_folder(f"-{request.param}") as path:
        (path / "launcher").mkdir(mode=0o700)
        (path / "given").mkdir()
        (path / "given" / "file").touch()
        (path / "given").chmod(0o777)
        (path / "given" / "file").chmod(0o666)
        if request.param == "user":
            os.chown(path / "launcher", USER, USER)
        yield path


@pytest.fixture(scope="module", params=[BUBBLEWRAP, NAMESPACES])
def driver(request: pytest.FixtureRequest, folder: Path, api_port: int) -> Iterator[Driver]:
    driver = Driver(folder, api_port, request.param)
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def attack(driver: Driver, local_port: int) -> Attack:
    with listening_abstractly():
        return Attack(attacked(driver, local_port), driver.rungs)


def attacked(driver: Driver, local_port: int) -> dict[str, str]:
    other = driver.spec("listens.py", SECRET="of-another-run")
    answer = driver.start(other)
    wanted = {
        "files": [str(path) for path in private_files(driver.folder, other.log_path)],
        "addresses": addresses(answer["address"], local_port),
        "socket": ABSTRACT,
    }
    spec = driver.spec("attacks.py", json.dumps(wanted), OUTSIDE=str(driver.folder))
    driver.start(spec)
    end = driver.ask("wait", spec.job_id)
    log = [line.partition(" ")[2] for line in spec.log_path.read_text().splitlines()]
    assert end["exit_code"] == 0, (end, log[-5:])
    return dict(json.loads(line) for line in log)


def private_files(folder: Path, other_log: Path) -> list[Path]:
    """The server's data folder and what is in it; another run's files; what reaches other services."""
    return [
        folder,
        folder / "launcher" / "launcher.sock",
        folder / "launcher" / "jobs" / other_log.stem / "spec.json",
        other_log,
        Path("/var/run/docker.sock"),
        Path("/run/docker.sock"),
        Path("/run/containerd/containerd.sock"),
        Path("/etc/shadow"),
        Path(__file__),
    ]


def addresses(other_run: str | None, local_port: int) -> dict[str, tuple[str, int]]:
    """A run without an address of its own could only be had at one of this machine."""
    found = {name: (address, 80) for name, address in METADATA.items()}
    for number, address in enumerate(host_addresses()):
        found[f"the host, {number}"] = (address, local_port)
    found["loopback"] = ("127.0.0.1", local_port)
    own = [address for address in host_addresses() if "." in address]
    for number, address in enumerate([other_run] if other_run else own):
        found[f"another run, {number}"] = (address, 8080)
    return found


def host_addresses() -> list[str]:
    said = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, check=True)
    links = json.loads(said.stdout)
    return [info["local"] for link in links for info in link["addr_info"]]


KERNEL = (
    *("add_key", "keyctl", "ptrace", "bpf", "perf_event_open", "userfaultfd", "init_module"),
    *("kexec_load", "open_by_handle_at", "syslog", "reboot", "swapon", "personality", "typing"),
)
NAMESPACE_CALLS = ("mount", "umount", "pivot_root", "chroot", "open_tree", "fsopen", "unshare")


def test_files_of_the_server_of_other_runs_and_of_the_machine_are_not_there(attack: Attack):
    assert attack.of("file") == {"ENOENT"}
    assert attack.of("see") == {"ENOENT"}
    assert attack.ends["upwards"] == "ENOENT"


def test_nothing_is_written_outside_of_its_own_folders(attack: Attack):
    assert attack.of("write") <= {"EACCES", "EROFS", "ENOENT", "EPERM"}
    assert attack.of("make") == {"EROFS"}


def test_only_its_own_processes_are_there_and_the_first_has_no_secrets(attack: Attack):
    assert attack.ends["processes"] == "done: [1, 2]"
    secret = attack.ends["environment of the first"].replace("OLDPWD=/\\x00PWD=/\\x00", "")
    assert secret in ("EACCES", "done: ''")
    assert attack.ends["folders of the first"] in ("EACCES", "ENOENT")
    assert attack.ends["descriptors"] == "done: [0, 1, 2, 3]", "the third is the look itself"


def test_it_has_no_right_and_gains_none(attack: Attack):
    assert set(re.findall(r"[0-9a-f]{16}", attack.ends["capabilities"])) == {"0" * 16}
    assert "'NoNewPrivs': ['1']" in attack.ends["rights"]
    assert "0" not in re.findall(r"\d+", attack.ends["user"])
    for attempt in ("become root", "become another", "go first", "raise a limit"):
        assert attack.ends[attempt] in ("EPERM", "EINVAL", "EACCES")
    assert {
        attack.ends["set the clock"],
        attack.ends["name the host"],
        attack.ends["device"],
    } == {"EPERM"}


@pytest.mark.parametrize("call", KERNEL)
def test_the_kernel_refuses_what_no_actor_needs(attack: Attack, call: str):
    assert attack.ends[call] == "EPERM"


def test_calls_with_other_ways_are_said_not_to_exist(attack: Attack):
    assert (attack.ends["io_uring_setup"], attack.ends["clone3"]) == ("ENOSYS", "ENOSYS")


@pytest.mark.parametrize("call", [*NAMESPACE_CALLS, "clone", "setns"])
def test_it_cannot_change_what_it_sees(attack: Attack, call: str):
    assert attack.ends[call] == "EPERM"


def test_cloud_metadata_is_out_of_reach(attack: Attack):
    assert attack.to(*METADATA) <= NOT_REACHED


def test_services_of_the_machine_are_out_of_reach(attack: Attack):
    own = [name.removeprefix("to ") for name in attack.ends if name.startswith("to the host,")]
    assert len(own) > 1
    assert attack.to(*own) <= NOT_REACHED
    assert attack.to("loopback") == {"ECONNREFUSED"}


def test_other_runs_are_out_of_reach(attack: Attack):
    tried = [name.removeprefix("to ") for name in attack.ends if name.startswith("to another run,")]
    assert tried
    assert attack.to(*tried) <= NOT_REACHED


def test_raw_and_rare_sockets_cannot_be_had(attack: Attack):
    assert attack.ends["raw socket"] == "EPERM"
    assert {attack.ends[f"{kind} socket"] for kind in ("packet", "vsock", "crypto")} == {
        "EAFNOSUPPORT"
    }


def test_no_memory_and_no_socket_is_shared_with_programs_outside(attack: Attack):
    assert attack.ends["shared memory"] == "ENOENT"
    attack.to()
    assert attack.ends["abstract socket"] == "ECONNREFUSED"


def test_what_it_changes_of_its_actor_is_gone_with_it(driver: Driver):
    source = driver.folder / "given"
    spec = driver.spec("writes_everywhere.py", "/app")
    mounts = (*spec.mounts, Mount(source, "/app", MountMode.OVERLAY))
    driver.start(replace(spec, mounts=mounts))
    assert driver.ask("wait", spec.job_id)["exit_code"] == 0
    assert spec.log_path.read_text().endswith(" /app written\n")
    assert os.listdir(source) == ["file"]


def test_what_it_locks_up_is_deleted_all_the_same(driver: Driver):
    trash = driver.folder / "launcher" / "trash"
    script = "mkdir -p /tmp/locked/in && rm /app/file && chmod 0 /tmp/locked"
    spec = driver.spec("none", script)
    app = Mount(driver.folder / "given", "/app", MountMode.OVERLAY)
    driver.start(replace(spec, argv=("/bin/sh", "-c", script), mounts=(*spec.mounts, app)))
    assert driver.ask("wait", spec.job_id)["exit_code"] == 0
    until(lambda: not [path for path in trash.iterdir() if spec.job_id in path.name])


def until(condition: Callable[[], bool]) -> None:
    """Deleting is somebody else's process, that nobody can wait for."""
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_files_in_memory_count_as_memory(driver: Driver):
    spec = driver.spec("fills_memory_files.py")
    driver.start(spec)
    assert driver.ask("wait", spec.job_id)["cause"] == "out-of-memory"


def test_disk_space_is_limited_for_whoever_runs_the_server(driver: Driver):
    spec = driver.spec("fills_disk.py", "files", "/tmp")
    driver.start(spec)
    assert driver.ask("wait", spec.job_id)["cause"] == "out-of-disk"
