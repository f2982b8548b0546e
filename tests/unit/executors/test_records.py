"""What is on disk about a job, and what a launcher makes of it that finds it."""

from pathlib import Path

import pytest

from callboard.executors.base import Exit, ExitCause, LaunchSpec, Stats
from callboard.executors.launcher.records import JobFolders

END = Exit(ExitCause.EXITED, 0, 1, 2, Stats(), "")


def spec(tmp_path: Path) -> LaunchSpec:
    return LaunchSpec(
        job_id="job-1",
        argv=("true",),
        env={},
        cwd="/",
        log_path=tmp_path / "log",
        log_id="run-1",
        memory_mbytes=128,
        cpus=1,
    )


@pytest.mark.parametrize("job_id", ["", ".", "..", "../x", "a/b", "a\0b", "-rf", "x" * 200, "a b"])
def test_an_id_that_is_no_folder_name_is_refused(tmp_path: Path, job_id: str):
    with pytest.raises(ValueError, match="not a job id"):
        JobFolders(tmp_path).folder(job_id)


def test_a_recorded_end_is_found_again(tmp_path: Path):
    folders = JobFolders(tmp_path)
    folder = folders.folder("job-1")
    folder.create(spec(tmp_path))
    folder.save_exit(END)
    folder.sync_exit()
    assert dict(JobFolders(tmp_path).ended()) == {"job-1": END}


def test_an_end_that_is_not_recorded_need_not_be_synced(tmp_path: Path):
    folder = JobFolders(tmp_path).folder("job-1")
    folder.create(spec(tmp_path))
    folder.sync_exit()
    JobFolders(tmp_path).discard(folder)
    folder.sync_exit()
    assert not folder.path.exists()


def test_a_job_without_an_end_is_lost_and_stays_so(tmp_path: Path):
    folders = JobFolders(tmp_path)
    folders.folder("job-1").create(spec(tmp_path))
    (tmp_path / "jobs" / "job-1" / "exit.json.new").write_text('{"cause": "exi')
    first = dict(folders.ended())
    assert first["job-1"].cause is ExitCause.LOST
    assert dict(folders.ended()) == first


def test_a_folder_without_a_spec_was_never_a_job(tmp_path: Path):
    folders = JobFolders(tmp_path)
    (tmp_path / "jobs" / "job-1").mkdir()
    assert dict(folders.ended()) == {}
    assert list((tmp_path / "jobs").iterdir()) == []
    assert len(folders.trash()) == 1
