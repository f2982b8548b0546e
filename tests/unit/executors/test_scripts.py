"""Jobs outside of a sandbox: the build driver's, and all jobs where no sandbox is to be had."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from callboard.executors.base import LaunchSpec, Mount
from callboard.executors.launcher.ladder import Ladder
from callboard.executors.launcher.records import JobFolder
from callboard.executors.launcher.scripts import Setting, write_script
from callboard.executors.launcher.surroundings import VARIABLE, Surroundings

BARE_LADDER = Ladder(
    filesystem="none",
    user="own",
    source="copy",
    memory="watchdog (soft)",
    cpu="none",
    pids="none",
    kill="process-group",
    syscalls="all",
    disk="none",
    call_filter=None,
    allow_unsandboxed=True,
    why="bwrap is not installed",
)


@pytest.fixture
def spec(tmp_path: Path) -> LaunchSpec:
    return LaunchSpec(
        job_id="job-1",
        argv=("/usr/bin/env",),
        env={"PATH": "/usr/bin:/bin", "QUOTED": "it's $HOME\n`id`"},
        cwd="/usr/src/app",
        log_path=tmp_path / "log",
        log_id="run-1",
        memory_mbytes=128,
        cpus=1,
    )


def run(spec: LaunchSpec, tmp_path: Path, **changes: object) -> tuple[int, str]:
    folder = JobFolder(tmp_path / "job")
    folder.create(spec)
    setting = Setting(folder, spec.mounts, None, BARE_LADDER, shared_etc=None)
    script = write_script(spec, replace(setting, **changes))
    done = subprocess.run(["/bin/sh", str(script)], env={}, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_the_driver_has_its_environment_and_knows_its_surroundings(
    spec: LaunchSpec, tmp_path: Path
):
    bare = replace(spec, sandboxed=False, cwd=str(tmp_path), argv=("/usr/bin/env", "-0"))
    _, output = run(bare, tmp_path)
    given = dict(entry.split("=", 1) for entry in output.split("\0") if entry)
    about = Surroundings.from_environment({VARIABLE: given.pop(VARIABLE)})
    assert {name: given[name] for name in spec.env} == spec.env
    assert given.keys() - spec.env.keys() <= {"PWD"}
    assert (about.etc / "hosts").exists()
    assert about.hostname == "job-1"


def test_without_a_sandbox_paths_of_mounts_become_those_of_their_sources(
    spec: LaunchSpec, tmp_path: Path
):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "main.sh").write_text("echo $APP in $(pwd)")
    mounts = (Mount(tmp_path / "source", "/usr/src/app"),)
    argv = ("/bin/sh", "/usr/src/app/main.sh")
    env = {**spec.env, "APP": "/usr/src/app/x"}
    _, output = run(replace(spec, mounts=mounts, argv=argv, env=env), tmp_path)
    assert output == f"{tmp_path}/source/x in {tmp_path}/source\n"


def test_without_a_sandbox_and_permission_nothing_is_run(spec: LaunchSpec, tmp_path: Path):
    strict = replace(BARE_LADDER, allow_unsandboxed=False)
    with pytest.raises(PermissionError, match="bwrap is not installed"):
        run(spec, tmp_path, ladder=strict)


def test_a_command_that_has_to_come_first_stops_the_job_when_it_fails(
    spec: LaunchSpec, tmp_path: Path
):
    bare = replace(spec, sandboxed=False, cwd="/")
    assert run(bare, tmp_path, before="/bin/false") == (126, "")


def test_a_variable_no_shell_can_set_is_refused(spec: LaunchSpec, tmp_path: Path):
    with pytest.raises(ValueError, match="not a name"):
        run(replace(spec, sandboxed=False, env={"A=1; id;": "x"}), tmp_path)


def test_script_and_spec_are_private(spec: LaunchSpec, tmp_path: Path):
    run(replace(spec, sandboxed=False, cwd="/"), tmp_path)
    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o700
    for name in ("spec.json", "start.sh"):
        assert (tmp_path / "job" / name).stat().st_mode & 0o777 == 0o600
