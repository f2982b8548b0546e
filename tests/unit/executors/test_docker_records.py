"""What is kept of jobs in containers, and what a process does with what was built for one."""

from pathlib import Path

import pytest

from callboard.executors.base import Exit, ExitCause, LaunchSpec
from callboard.executors.docker.container import container_config
from callboard.executors.docker.figures import Figures
from callboard.executors.docker.records import JobFolders, JobRecord
from callboard.executors.process import ProcessExecutor


def spec(**changes: object) -> LaunchSpec:
    fields: dict[str, object] = {
        "job_id": "a-1",
        "argv": ("true",),
        "env": {"A": "b"},
        "cwd": "/work",
        "log_path": Path("/logs/a.log"),
        "log_id": "a",
        "memory_mbytes": 64,
        "cpus": 0.5,
        "image": "image",
    }
    return LaunchSpec(**fields | changes)  # pyright: ignore[reportArgumentType]


def test_a_job_is_found_again_with_its_secrets_and_its_end(tmp_path: Path):
    folders = JobFolders(tmp_path / "docker")
    folders.open()
    folder = folders.folder("a-1")
    folder.create(JobRecord.of(spec(secrets=("value",)), weighs=True))
    folder.note_cause(ExitCause.TIMEOUT)
    folder.note_cause(ExitCause.STOPPED)
    folder.save_exit(Exit(ExitCause.TIMEOUT, 137, 1, 2))
    (again,) = JobFolders(tmp_path / "docker").all()
    record = again.load()
    assert record is not None
    assert (record.secrets, record.disk_mbytes) == (("value",), 128)
    assert again.cause() is ExitCause.TIMEOUT
    assert again.load_exit() == Exit(ExitCause.TIMEOUT, 137, 1, 2)
    assert (again.path / "job.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("job_id", ["", "../a", "a/b", ".hidden"])
def test_ids_that_name_other_places_are_refused(tmp_path: Path, job_id: str):
    with pytest.raises(ValueError, match="not a job id"):
        JobFolders(tmp_path).folder(job_id)


def test_a_data_folder_keeps_its_name(tmp_path: Path):
    name = JobFolders(tmp_path / "docker").instance()
    assert name == JobFolders(tmp_path / "docker").instance()
    assert int(name, 16) >= 0


def test_a_container_is_created_with_every_limit():
    config = container_config(
        spec(user="1000:1000"),
        labels={},
        network="net",
        host_address=None,
        log_driver="local",
        unwanted=("A", "B", "HOSTNAME"),
    )
    host = config["HostConfig"]
    assert config["User"] == "1000:1000"
    assert config["Env"] == ["A=b", "B", "HOSTNAME"]
    assert (host["Memory"], host["MemorySwap"]) == (64 * 2**20, 64 * 2**20)
    assert (host["CapDrop"], host["PidsLimit"], host["CpuShares"]) == (["ALL"], 4096, 512)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]


def test_figures_are_worked_out_from_counters():
    figures = Figures(started_at_secs=1_767_323_045.0)  # 2026-01-02T03:04:05Z

    def sample(second: int, nanos: int, usage: int) -> dict[str, object]:
        return {
            "read": f"2026-01-02T03:04:{second:02d}.000000000Z",
            "cpu_stats": {"cpu_usage": {"total_usage": nanos}},
            "memory_stats": {"usage": usage, "stats": {"inactive_file": 100}},
            "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 7}},
        }

    figures.add(sample(6, 500_000_000, 1100))
    newest = figures.add(sample(7, 2_000_000_000, 2100))
    assert newest is not None
    assert (newest.cpu_current_usage, newest.cpu_avg_usage) == (150.0, 100.0)
    assert (newest.mem_current_bytes, newest.mem_avg_bytes) == (2000, 1500)
    assert figures.add({"read": "0001-01-01T00:00:00Z", "memory_stats": {}}) is None
    assert (figures.final().mem_max_bytes, figures.final().net_tx_bytes) == (2000, 7)


async def test_a_process_does_not_start_what_is_in_an_image(tmp_path: Path):
    executor = ProcessExecutor(tmp_path)
    handle = await executor.start(spec())
    end = await executor.wait(handle)
    assert end.cause is ExitCause.NOT_STARTED
    assert "build it again" in end.detail
