"""The sandbox shows a program its own and nothing else. Real programs, really run."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from callboard.executors.base import Mount, MountMode
from callboard.executors.launcher.hostetc import HostEtc
from callboard.executors.launcher.runners import BUBBLEWRAP, NAMESPACES
from callboard.executors.launcher.sandbox import Sandbox, own, sandbox_command, write_etc


class Runner:
    def __init__(self, folder: Path, rung: str) -> None:
        self._folder, self._rung = folder, rung
        for name in ("home", "tmp", "etc"):
            (folder / name).mkdir()
        own(folder / "home")
        own(folder / "tmp")
        write_etc(folder / "etc", hostname="stage", hosts={"host.callboard.internal": "10.1.2.3"})

    def box(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        mounts: tuple[Mount, ...] = (),
        shared_etc: Path | None = None,
    ) -> Sandbox:
        return Sandbox(
            argv=argv,
            env=env or {"PATH": "/usr/bin:/bin"},
            cwd="/tmp",
            hostname="stage",
            home=self._folder / "home",
            tmp=self._folder / "tmp",
            etc=self._folder / "etc",
            mounts=mounts,
            shared_etc=shared_etc,
            rung=self._rung,
        )

    def run(self, box: Sandbox) -> str:
        with sandbox_command(box).opened() as (argv, descriptors):
            done = subprocess.run(
                argv, env={}, pass_fds=descriptors, capture_output=True, timeout=20
            )
        return (done.stdout + done.stderr).decode()


@pytest.fixture(params=[BUBBLEWRAP, NAMESPACES])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Runner:
    return Runner(tmp_path, request.param)


def test_a_program_has_no_rights_and_can_gain_none(runner: Runner):
    status = runner.run(runner.box("cat", "/proc/self/status"))
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert lines["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(lines[name], 16) == 0
    if os.geteuid() == 0:
        assert int(lines["CapBnd"], 16) == 0
        assert lines["Uid"].split() == ["64484"] * 4


@pytest.mark.parametrize("shared", [False, True], ids=["own etc", "shared etc"])
def test_names_of_users_and_hosts_are_known(runner: Runner, tmp_path: Path, shared: bool):
    etc = HostEtc(tmp_path / "shared").current() if shared else None
    script = "id -un; getent hosts stage host.callboard.internal; hostname; ls /etc/ssl/certs"
    said = runner.run(runner.box("sh", "-c", script, shared_etc=etc)).splitlines()
    assert said[0] == "actor"
    assert [line.split() for line in said[1:3]] == [
        ["127.0.1.1", "stage"],
        ["10.1.2.3", "host.callboard.internal"],
    ]
    assert said[3] == "stage"
    assert "No such file" not in said[4]


def test_a_mount_below_usr_needs_no_folder_of_the_host(runner: Runner, tmp_path: Path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").touch()
    mounts = (Mount(tmp_path / "app", "/usr/src/app", MountMode.READ_ONLY),)
    said = runner.run(runner.box("sh", "-c", "ls /usr/src/app; ls -d /usr/bin/env", mounts=mounts))
    assert said.split() == ["main.py", "/usr/bin/env"]
    assert not Path("/usr/src/app").exists()


def test_folders_on_the_way_to_a_mount_can_be_passed(runner: Runner, tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "given").write_text("here")
    mounts = (Mount(tmp_path / "data", "/opt/deep/down"),)
    assert runner.run(runner.box("cat", "/opt/deep/down/given", mounts=mounts)) == "here"


def test_variables_that_steer_the_loader_reach_only_the_program(runner: Runner):
    env = {"PATH": "/usr/bin:/bin", "LD_PRELOAD": "/tmp/evil.so", "GLIBC_TUNABLES": "x", "A": "b"}
    box = runner.box("env", env=env)
    if os.geteuid() == 0:
        assert "LD_PRELOAD" not in sandbox_command(box).options
    said = runner.run(box).splitlines()
    assert {f"{name}={value}" for name, value in env.items()} <= set(said)
    assert not [line for line in said if "evil.so" in line and "setpriv" in line]


def test_the_environment_is_not_on_the_command_line(runner: Runner):
    env = {"PATH": "/usr/bin:/bin", "TOKEN": "s3cret"}
    command = sandbox_command(runner.box("true", env=env))
    assert not [word for word in command.argv(3, 4) if "s3cret" in word]


def test_new_certificates_of_the_host_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    host = tmp_path / "host-etc"
    (host / "ssl" / "certs").mkdir(parents=True)
    (host / "ssl" / "private").mkdir()
    (host / "ssl" / "private" / "key").touch()
    monkeypatch.setattr("callboard.executors.launcher.hostetc._ETC", host)
    etc = HostEtc(tmp_path / "shared")
    before = etc.current()
    assert etc.current() == before
    assert not (before / "ssl" / "private").exists()
    (host / "ssl" / "certs" / "new.pem").touch()
    os.utime(host / "ssl" / "certs", ns=(1, 1))
    assert (etc.current() / "ssl" / "certs" / "new.pem").exists()
    assert before.exists(), "jobs that run still use it"
