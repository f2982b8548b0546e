"""Every executor does what `callboard.executors.base` promises, to well-behaved programs and to others."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from callboard.executors.base import Executor, ExitCause, Mount, MountMode
from tests.server import free_port

from .conftest import Stage, Watcher

pytestmark = pytest.mark.xdist_group("docker")


def commands() -> Iterator[tuple[int, str]]:
    """The processes of this machine, except our own: ids and command lines, each argument with a space behind it."""
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        if pid != os.getpid():
            with suppress(OSError):  # it has ended since
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                yield pid, command.replace(b"\0", b" ").decode(errors="replace")


def processes_with(text: str) -> list[str]:
    """Command lines that contain `text`."""
    return [command for _, command in commands() if text in command]


async def test_a_job_ends_with_the_exit_code_of_its_program(stage: Stage):
    end, log = await stage.run(stage.spec("/bin/sh", "-c", "echo hello; exit 3"))
    assert (end.cause, end.exit_code) == (ExitCause.EXITED, 3)
    assert log == ["hello"]
    assert end.started_at_millis <= end.finished_at_millis


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
async def test_a_program_killed_by_a_signal_has_128_added(stage: Stage, number: int):
    end, _ = await stage.run(stage.spec("/bin/sh", "-c", f"kill -{int(number)} $$"))
    assert (end.cause, end.exit_code) == (ExitCause.EXITED, 128 + number)


async def test_output_stays_in_the_order_in_which_it_was_written(stage: Stage):
    spec = stage.spec("/bin/sh", "-c", "for i in 1 2 3; do echo out$i; echo err$i >&2; done")
    _, log = await stage.run(spec)
    if stage.image is not None:  # engines read two pipes: the order is that of each
        log.sort(key=lambda line: line.startswith("err"))
        assert log == ["out1", "out2", "out3", "err1", "err2", "err3"]
        return
    assert log == ["out1", "err1", "out2", "err2", "out3", "err3"]


async def test_every_line_begins_with_a_timestamp(stage: Stage):
    spec = stage.spec("/bin/sh", "-c", "echo one; echo; echo two")
    await stage.run(spec)
    for line in spec.log_path.read_text().splitlines():
        stamp = line.partition(" ")[0]
        assert len(stamp) == len("2026-01-02T03:04:05.678Z")
        assert stamp.endswith("Z")


async def test_starting_a_job_twice_runs_it_once(stage: Stage):
    spec = stage.spec("/bin/sh", "-c", "echo ran; sleep 0.2")
    first, second = await asyncio.gather(stage.executor.start(spec), stage.executor.start(spec))
    assert first == second
    await stage.wait(first)
    await stage.executor.start(spec)
    assert stage.log(spec) == ["ran"]


async def test_all_jobs_on_record_are_listed_until_they_are_forgotten(stage: Stage):
    ended, running = stage.spec("/bin/true"), stage.spec("/bin/sleep", "30")
    await stage.run(ended)
    await stage.executor.start(running)
    jobs = stage.executor.jobs()
    assert {ended.job_id, running.job_id} <= set(jobs)
    await stage.executor.stop(jobs[running.job_id])
    assert (await stage.wait(jobs[running.job_id])).cause is ExitCause.STOPPED
    for spec in (ended, running):
        await stage.executor.forget(jobs[spec.job_id])
    assert not {ended.job_id, running.job_id} & set(stage.executor.jobs())


async def test_a_program_that_does_not_exist_is_not_started(stage: Stage):
    end, _ = await stage.run(stage.spec("/no/such/program"))
    assert end.cause is ExitCause.NOT_STARTED
    assert "/no/such/program" in end.detail


async def test_a_mount_that_does_not_exist_is_said_to_be_the_reason(stage: Stage):
    mount = Mount(stage.work / "missing", "/data")
    end, _ = await stage.run(stage.spec("/bin/true", mounts=(mount,)))
    assert end.cause is ExitCause.NOT_STARTED
    assert "missing" in end.detail


async def test_a_job_has_exactly_the_environment_it_was_given(stage: Stage):
    env = {"PATH": "/usr/bin:/bin", "LD_BIND_NOW": "1", "a.b-c": "=\n$x", "SECRET": "s3cret-value"}
    _, log = await stage.run(stage.spec("/usr/bin/env", "-0", env=env))
    given = "\n".join(log).split("\0")
    # By a shell, and by container engines, which always give a home.
    added = ("PWD=", "HOME=", *(f"{name}=" for name in stage.adds))
    assert {entry for entry in given if entry and not entry.startswith(added)} == {
        f"{name}={value}" for name, value in env.items()
    }


async def test_stopping_gives_a_program_time_to_clean_up(stage: Stage):
    spec = stage.spec("ends_when_asked.py")
    handle = await stage.executor.start(spec)
    await stage.until_logged(spec, "ready")
    await stage.executor.stop(handle, grace_secs=20)
    end = await stage.wait(handle)
    assert stage.log(spec) == ["ready", "cleaned up"]
    assert (end.cause, end.exit_code) == (ExitCause.STOPPED, 7)


async def test_a_program_that_ignores_being_asked_is_killed_after_the_grace(stage: Stage):
    spec = stage.spec("ignores_sigterm.py", stage.work.name)
    handle = await stage.executor.start(spec)
    await stage.until_logged(spec, "deaf")
    await stage.executor.stop(handle, grace_secs=0.2)
    assert (await stage.wait(handle)).cause is ExitCause.STOPPED
    assert processes_with(stage.work.name) == []


async def test_stopping_twice_and_after_the_end_is_harmless(stage: Stage):
    spec = stage.spec("/bin/sleep", "60")
    handle = await stage.executor.start(spec)
    await stage.executor.stop(handle, grace_secs=30)
    await stage.executor.stop(handle)
    end = await stage.wait(handle)
    assert end.cause is ExitCause.STOPPED
    await stage.executor.stop(handle)
    assert await stage.wait(handle) == end


async def test_a_job_past_its_timeout_is_killed_and_its_log_says_so(stage: Stage):
    spec = stage.spec("ignores_sigterm.py", timeout_secs=0.5)
    end, log = await stage.run(spec)
    assert end.cause is ExitCause.TIMEOUT
    assert log[-1] == "ACTOR: The job reached its timeout of 0.5 s, stopping it."
    assert end.finished_at_millis - end.started_at_millis < 5000


@pytest.mark.parametrize(
    "program",
    ["eats_memory.py", "child_eats_memory.py", "child_eats_memory_and_parent_succeeds.py"],
)
async def test_a_job_over_its_memory_is_killed_whole_and_its_log_says_so(
    stage: Stage, program: str
):
    end, log = await stage.run(stage.spec(program, memory_mbytes=64))
    assert end.cause is ExitCause.OUT_OF_MEMORY
    assert log[-1] == "ACTOR: Memory limit of 64 MB exceeded, the job was stopped."


@pytest.mark.parametrize(("how", "where"), [("files", "/home/actor"), ("deleted", "/work")])
async def test_a_job_over_its_disk_space_is_killed_and_its_log_says_so(
    stage: Stage, how: str, where: str
):
    if stage.executor.rungs()["disk"] in ("none", "measured (soft)"):
        pytest.skip("this executor, or this machine, cannot hold a job to its disk space at once")
    (stage.work / "source").mkdir()
    mount = Mount(stage.work / "source", "/work", MountMode.OVERLAY)
    spec = stage.spec("fills_disk.py", how, where, memory_mbytes=64)
    end, log = await stage.run(replace(spec, mounts=(*spec.mounts, mount)))
    assert end.cause is ExitCause.OUT_OF_DISK
    assert log[-1] == "ACTOR: Disk limit of 128 MB exceeded, the job was stopped."


async def test_one_file_over_the_disk_space_is_not_written(stage: Stage):
    if stage.executor.rungs()["disk"] != "measured":
        pytest.skip("only the launcher has the kernel bound single files")
    script = "head -c 400000000 /dev/zero >/tmp/big; stat -c %s /tmp/big; exit 3"
    end, log = await stage.run(stage.spec("/bin/sh", "-c", script, memory_mbytes=64))
    assert end.exit_code == 3
    assert log[-1] == str(160 * 1024 * 1024)


async def test_a_fork_bomb_stays_within_its_bounds(stage: Stage):
    end, log = await stage.run(stage.spec("fork_bomb.py", pids_max=30))
    assert end.cause is ExitCause.EXITED
    assert "no more processes" in log


async def test_a_daemon_dies_with_the_job_that_left_it(stage: Stage):
    end, _ = await stage.run(stage.spec("leaves_daemon.py", stage.work.name))
    assert end.exit_code == 0
    assert processes_with(stage.work.name) == []


async def test_a_flooded_log_keeps_its_newest_part_whole(stage: Stage):
    spec = stage.spec("floods_log.py")
    _, log = await stage.run(spec)
    assert log[-1] == "the last line"
    numbers = [line.split()[1] for line in log[:-1]]
    first = int(numbers[0][:5]) * 100 + int(numbers[0][6:])
    assert numbers == [f"{n // 100:05d}.{n % 100:03d}" for n in range(first, 230_000)]
    assert 10_000_000 < spec.log_path.stat().st_blocks * 512 < 17_000_000


async def test_binary_output_and_endless_lines_are_kept(stage: Stage):
    spec = stage.spec("prints_binary.py")
    await stage.run(spec)
    first, *long, last = [line[25:] for line in spec.log_path.read_bytes().split(b"\n")[:-1]]
    assert first == b"\xff\xfe\x00\x01"
    assert b"".join(long) == b"x" * 200_000
    assert last == b"unfinished"


async def test_secrets_are_covered_in_the_log(stage: Stage):
    secret = "apify_api_Zx81kQm"
    spec = stage.spec("prints_secret.py", env={"SECRET": secret}, secrets=(secret, ""))
    _, log = await stage.run(spec)
    assert sorted(log) == sorted(
        f"{word} {'*' * len(secret)}" for word in ("whole", "halved", "stderr")
    )


async def test_two_jobs_listen_on_the_same_port(stage: Stage):
    if stage.executor.rungs()["network"] == "host":
        pytest.skip("jobs share the host's network here")
    specs = [stage.spec("listens.py") for _ in range(2)]
    handles = [await stage.executor.start(spec) for spec in specs]
    for spec in specs:
        await stage.until_logged(spec, "listening")
    for handle in handles:
        await stage.executor.stop(handle)
        assert (await stage.wait(handle)).cause is ExitCause.STOPPED


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
async def test_what_a_job_listens_on_is_reached(stage: Stage, address: str):
    if address == "127.0.0.1" and stage.executor.name != "process":
        pytest.skip(
            "the loopback of a container is within the container: nobody outside reaches it"
        )
    port = free_port()
    spec = stage.spec("serves.py", address, str(port), "hello")
    handle = await stage.executor.start(spec)
    with pytest.raises(ConnectionRefusedError):
        await stage.executor.connect(handle, free_port())
    await stage.until_logged(spec, "listening")
    reader, writer = await asyncio.open_connection(sock=await stage.executor.connect(handle, port))
    assert await reader.read() == b"hello"
    writer.close()
    await stage.executor.stop(handle)
    await stage.wait(handle)
    with pytest.raises(OSError):
        await stage.executor.connect(handle, port)


async def test_jobs_that_listen_on_the_same_port_are_told_apart(stage: Stage):
    if stage.executor.rungs()["network"] == "host":
        pytest.skip("jobs share the host's network here")
    specs = [stage.spec("serves.py", "0.0.0.0", "4321", word) for word in ("one", "two")]
    handles = [await stage.executor.start(spec) for spec in specs]
    heard: list[bytes] = []
    for spec, handle in zip(specs, handles, strict=True):
        await stage.until_logged(spec, "listening")
        connection = await stage.executor.connect(handle, 4321)
        reader, writer = await asyncio.open_connection(sock=connection)
        heard.append(await reader.read())
        writer.close()
        await stage.executor.stop(handle)
    assert heard == [b"one", b"two"]


async def test_a_snooping_job_finds_nothing_of_the_server_or_of_others(stage: Stage):
    other = stage.spec("/bin/sleep", "60", env={"SECRET": "other-jobs-secret"})
    handle = await stage.executor.start(other)
    targets = (stage.data_dir, stage.data_dir / "launcher" / "launcher.sock", other.log_path)
    _, log = await stage.run(stage.spec("snoops.py", *map(str, targets)))
    await stage.executor.stop(handle)
    assert [line for line in log if line.startswith("found")] == [
        "found refused No such file or directory"
    ] * len(targets)
    assert not [line for line in log if "other-jobs-secret" in line or "sleep" in line]
    system = ("/sys",) if stage.image is None else ()  # engines show a part of it
    for path in ("/etc/shadow", *system, "/etc/written", "/usr/written", "/written"):
        assert any(line.startswith(f"{path} refused") for line in log)
    assert log[-1].startswith("kill"), "it killed what it should not have reached"


_OWN_MODES = (MountMode.READ_ONLY, MountMode.READ_WRITE, MountMode.OVERLAY)


async def test_what_a_job_writes_to_an_overlay_is_its_own_and_thrown_away(stage: Stage):
    for name in ("ro", "rw", "overlay"):
        (stage.work / name).mkdir()
        (stage.work / name).chmod(0o777)
        (stage.work / name / "given").write_text("before")
    mounts = [Mount(stage.work / mode.value, f"/m/{mode.value}", mode) for mode in _OWN_MODES]
    mounts.append(Mount(stage.work / "overlay", "/usr/src/app", MountMode.OVERLAY))
    folders = [mount.target for mount in mounts]
    spec = stage.spec("writes_everywhere.py", *folders)
    _, log = await stage.run(replace(spec, mounts=(*spec.mounts, *mounts)))
    assert log == [
        "/m/ro Read-only file system",
        "/m/rw written",
        "/m/overlay written",
        "/usr/src/app written",
    ]
    assert os.listdir(stage.work / "rw") == ["written"]
    assert os.listdir(stage.work / "overlay") == ["given"]


async def test_a_hundred_jobs_run_at_once(stage: Stage):
    count = 100 if stage.image is None else 12  # a container takes an engine half a second
    specs = [stage.spec("/bin/sh", "-c", f"echo {n}; exit {n}") for n in range(count)]
    ends = await asyncio.gather(*(stage.run(spec) for spec in specs))
    assert [(end.exit_code, log) for end, log in ends] == [(n, [str(n)]) for n in range(count)]


async def test_a_running_job_is_measured(stage: Stage):
    spec = stage.spec("/bin/sh", "-c", "while :; do :; done")
    handle = await stage.executor.start(spec)
    await stage.watcher.until(lambda: spec.job_id in stage.watcher.samples)
    await stage.executor.stop(handle)
    end = await stage.wait(handle)
    sample = stage.watcher.samples[spec.job_id]
    assert sample.cpu_current_usage > 5
    assert 0 < sample.mem_current_bytes < 128 * 1024 * 1024
    assert end.stats.cpu_avg_usage > 5
    assert end.stats.mem_max_bytes >= sample.mem_current_bytes


async def test_a_forgotten_job_is_unknown(stage: Stage):
    spec = stage.spec("/bin/true")
    handle = await stage.executor.start(spec)
    await stage.wait(handle)
    await stage.executor.forget(handle)
    await stage.executor.forget(handle)
    assert (await stage.wait(handle)).cause is ExitCause.LOST
    assert not (stage.data_dir / "launcher" / "jobs" / spec.job_id).exists()


async def test_an_unsandboxed_job_is_still_limited_and_killed_as_a_whole(stage: Stage):
    if stage.image is not None:
        pytest.skip("a container is a sandbox: there is no job without one")
    script = f"{sys.executable} -c 'import time; time.sleep(600)' {stage.work.name} & echo $PWD"
    spec = stage.spec("/bin/sh", "-c", script, sandboxed=False, cwd=str(stage.work), mounts=())
    end, log = await stage.run(spec)
    assert (end.exit_code, log) == (0, [str(stage.work)])
    assert processes_with(f"time.sleep(600) {stage.work.name}") == []


async def test_a_later_server_learns_how_a_job_ended(
    own_stage: Stage, make_executor: Callable[[Path], Executor]
):
    spec = own_stage.spec("/bin/sh", "-c", "sleep 0.3; exit 5")
    handle = await own_stage.executor.start(spec)
    await own_stage.executor.close(stop_jobs=False)
    own_stage.executor = make_executor(own_stage.data_dir)
    await own_stage.executor.open(Watcher())
    assert (await own_stage.wait(handle)).exit_code == 5
    await own_stage.executor.close(stop_jobs=True)
    await own_stage.executor.open(Watcher())
    assert (await own_stage.wait(handle)).exit_code == 5


def launcher_pid(stage: Stage) -> int:
    folder = stage.data_dir / "launcher"
    for pid, command in commands():
        if "callboard.executors.launcher " in command and f" {folder} " in command:
            return pid
    raise AssertionError("no launcher runs")


async def test_jobs_of_a_killed_launcher_are_dead_and_lost(own_stage: Stage):
    if own_stage.executor.name != "process":
        pytest.skip("only the process executor has a launcher to kill")
    spec = own_stage.spec("ignores_sigterm.py", own_stage.work.name)
    handle = await own_stage.executor.start(spec)
    await own_stage.until_logged(spec, "deaf")
    os.kill(launcher_pid(own_stage), signal.SIGKILL)
    assert (await own_stage.wait(handle)).cause is ExitCause.LOST
    assert processes_with(own_stage.work.name + " ") == []
    assert (await own_stage.run(own_stage.spec("/bin/true")))[0].exit_code == 0


def groups_of(job_id: str) -> list[Path]:
    return list(Path("/sys/fs/cgroup").rglob(f"*{job_id}*"))


async def test_closing_leaves_nothing_behind(own_stage: Stage):
    spec = own_stage.spec("ignores_sigterm.py", own_stage.work.name)
    handle = await own_stage.executor.start(spec)
    await own_stage.until_logged(spec, "deaf")
    groups = groups_of(spec.job_id)
    await own_stage.executor.close(stop_jobs=True)
    assert processes_with(str(own_stage.work)) == []
    assert not [path for path in groups if path.exists() or path.parent.exists()]
    assert not (own_stage.data_dir / "launcher" / "launcher.sock").exists()
    await own_stage.executor.open(own_stage.watcher)
    assert (await own_stage.wait(handle)).cause is ExitCause.STOPPED
