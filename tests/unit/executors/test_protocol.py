"""Server and launcher understand each other."""

from pathlib import Path

import pytest

from callboard.executors.base import Exit, ExitCause, LaunchSpec, Mount, MountMode, Stats
from callboard.executors.launcher import protocol

SPEC = LaunchSpec(
    job_id="job-1",
    argv=("python3", "-m", "src"),
    env={"A": "1", "B": "\n"},
    cwd="/usr/src/app",
    log_path=Path("/logs/1"),
    log_id="run-1",
    memory_mbytes=256,
    cpus=0.5,
    timeout_secs=1.5,
    mounts=(Mount(Path("/a"), "/b"), Mount(Path("/c"), "/d", MountMode.OVERLAY)),
    secrets=("s",),
)
END = Exit(ExitCause.OUT_OF_MEMORY, 137, 1, 2, Stats(mem_max_bytes=3), "detail")


def test_a_spec_survives_the_way():
    (message,) = protocol.Decoder().feed(protocol.encode(protocol.spec_to_json(SPEC)))
    assert protocol.spec_from_json(message) == SPEC


def test_an_end_survives_the_way():
    (message,) = protocol.Decoder().feed(protocol.encode(protocol.exit_to_json(END)))
    assert protocol.exit_from_json(message) == END


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_come_whole_out_of_any_pieces(size: int):
    data = b"".join(protocol.encode({"n": n, "text": "ü\n"}) for n in range(3))
    decoder = protocol.Decoder()
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    messages = [message for piece in pieces for message in decoder.feed(piece)]
    assert [message["n"] for message in messages] == [0, 1, 2]


def test_a_message_without_end_is_refused():
    decoder = protocol.Decoder()
    with pytest.raises(ValueError, match="too long"):
        for _ in range(40):
            list(decoder.feed(b"x" * 1024 * 1024))


def test_the_socket_works_in_a_folder_too_deep_for_its_name(tmp_path: Path):
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    with protocol.listen(folder) as listener, protocol.connect(folder) as connection:
        peer, _ = listener.accept()
        with peer:
            connection.sendall(b"hello")
            assert peer.recv(10) == b"hello"
    assert (folder / protocol.SOCKET_NAME).stat().st_mode & 0o777 == 0o600
