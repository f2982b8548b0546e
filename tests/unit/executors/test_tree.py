"""Without control groups a job's processes are found by descent and session."""

import os
import select
import signal
import subprocess

from callboard.executors.launcher.tree import Tree


def start(script: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def wait_for_deaths(deaths: list[int]) -> None:
    for death in deaths:
        assert select.select([death], [], [], 10)[0]
        os.close(death)


def test_killing_reaches_children_and_those_seen_before_they_left():
    process = start("setsid sleep 600 & sleep 600 & echo ready; wait")
    tree = Tree(process.pid)
    pids = tree.look()
    assert len(pids) == 3
    deaths = [os.pidfd_open(pid) for pid in pids]
    tree.kill()
    wait_for_deaths(deaths)
    process.wait()
    assert not tree.is_alive()


def test_orphans_of_the_session_are_found_after_its_leader_has_ended():
    leader = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 600 >/dev/null & echo $!"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    output, _ = leader.communicate()
    orphan = int(output)
    tree = Tree(leader.pid)
    assert tree.look() == [orphan]
    deaths = [os.pidfd_open(orphan)]
    tree.kill()
    wait_for_deaths(deaths)
    assert not tree.is_alive()


def test_usage_is_that_of_the_whole_tree():
    process = start(
        "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 600 & echo ready; wait"
    )
    tree = Tree(process.pid)
    usage = tree.usage()
    assert usage.memory_bytes > 100_000
    assert usage.cpu_usec > 10_000
    tree.kill()
    process.wait()


def test_a_pid_used_again_is_not_taken_for_the_old_process():
    process = start("echo ready; exec sleep 600")
    tree = Tree(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not tree.is_alive()
    assert tree.look() == []
