"""The commands as an operator uses them: real processes, real signals, and nothing left behind."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import psutil
import pytest

from tests.actors import ActorMaker
from tests.server import Client, Server, free_port


class Outcome:
    """How a command ended."""

    def __init__(self, code: int | None, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr

    def failed_in_one_line(self) -> str:
        """What it said, once it is sure that it is one line for people."""
        assert self.code == 1, (self.code, self.stderr)
        (line,) = self.stderr.splitlines()
        assert line.startswith("callboard: ")
        return line


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callboard", *arguments),
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process) -> Outcome:
    stdout, stderr = await process.communicate()
    return Outcome(process.returncode, stdout.decode(), stderr.decode())


async def callboard(*arguments: str, **environment: str) -> Outcome:
    return await end(await start(*arguments, **environment))


def processes_about(folder: Path) -> list[str]:
    """Command lines of all processes that have to do with a folder."""
    found: list[str] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if str(folder) in line and process.pid != os.getpid():
                found.append(line)
    return found


@pytest.fixture
def scratch() -> Generator[Path]:
    """A folder for temporary files whose path is known to no other test."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


async def test_demo_shows_both_outputs_and_leaves_nothing(scratch: Path):
    outcome = await callboard("demo", TMPDIR=str(scratch))
    assert outcome.code == 0, outcome.stderr
    assert '{"words": 14, "distinctWords": 11}' in outcome.stdout
    assert '{"words": 4, "distinctWords": 4}' in outcome.stdout
    assert "Run the task synchronously" in outcome.stdout.splitlines()[-1]
    assert outcome.stderr == ""
    assert list(scratch.iterdir()) == []
    assert processes_about(scratch) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demo_leaves_nothing(scratch: Path, how: signal.Signals):
    process = await start("demo", TMPDIR=str(scratch), PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"Push an Actor"):
            break
    process.send_signal(how)
    outcome = await end(process)
    assert outcome.code == 128 + how
    assert outcome.stderr == ""
    assert list(scratch.iterdir()) == []
    assert processes_about(scratch) == []


async def test_a_failing_demo_shows_the_end_of_the_build_log(scratch: Path):
    nothing = (scratch.parent / "no-packages-here").as_uri()
    registry = {"UV_INDEX_URL": nothing, "UV_DEFAULT_INDEX": nothing, "PIP_INDEX_URL": nothing}
    outcome = await callboard("demo", TMPDIR=str(scratch), **registry)
    assert outcome.code == 1
    assert "The build ended as FAILED." in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert list(scratch.iterdir()) == []


async def test_env_can_be_evaluated_by_a_shell(server: Server):
    printed = await callboard("env", "--data-dir", str(server.data_dir), "--port", str(server.port))
    script = f"{printed.stdout}\nprintenv APIFY_TOKEN APIFY_API_BASE_URL APIFY_CLIENT_BASE_URL"
    shell = await asyncio.create_subprocess_exec("sh", "-euc", script, stdout=-1)
    stdout, _ = await shell.communicate()
    assert stdout.decode().split() == [server.token, server.url, server.url]
    assert server.token not in printed.stdout


async def test_env_survives_a_folder_and_a_url_of_odd_characters(tmp_path: Path):
    folder = tmp_path / "a 'quoted' $HOME folder"
    folder.mkdir()
    (folder / "token").write_text("the-token\n")
    url = "https://example.com/$(exit 3)/"
    printed = await callboard("env", "--data-dir", str(folder), "--url", url)
    script = f"{printed.stdout}\nprintenv APIFY_TOKEN APIFY_API_BASE_URL"
    shell = await asyncio.create_subprocess_exec("sh", "-euc", script, stdout=-1)
    stdout, _ = await shell.communicate()
    assert stdout.decode().splitlines() == ["the-token", "https://example.com/$(exit 3)"]


async def test_env_without_a_server_says_what_to_do(tmp_path: Path):
    outcome = await callboard("env", "--data-dir", str(tmp_path))
    assert "Start `callboard up` first." in outcome.failed_in_one_line()
    assert outcome.stdout == ""


async def test_doctor_tells_what_a_server_would_get(server: Server, scratch: Path):
    outcome = await callboard("doctor", "--json", TMPDIR=str(scratch))
    report = json.loads(outcome.stdout)
    async with Client(server.url, None, "") as client:
        health = (await client.get("/health")).json
    assert outcome.code == 0
    assert report["problems"] == []
    assert report["rungs"] == health["sandbox"]
    assert report["tools"]["uv"][0].isdigit()
    assert list(scratch.iterdir()) == []
    assert processes_about(scratch) == []


async def test_doctor_for_people_names_every_part_of_the_sandbox(server: Server):
    outcome = await callboard("doctor")
    for part in ("filesystem", "network", "memory", "kill", "bwrap", "data"):
        assert f"\n  {part} " in outcome.stdout
    assert outcome.stdout.splitlines()[-1] == "Actors can be run."


async def test_doctor_fails_where_a_server_could_not_keep_anything(tmp_path: Path):
    (tmp_path / "file").touch()
    outcome = await callboard("doctor", "--data-dir", str(tmp_path / "file" / "data"))
    assert outcome.code == 1
    assert "cannot be written" in outcome.stdout.splitlines()[-1]


async def test_config_show_names_the_source_of_each_setting(tmp_path: Path):
    file = tmp_path / "callboard.toml"
    file.write_text('port = 1\nhost = "0.0.0.0"\n')
    outcome = await callboard(
        *("config", "show", "--port", "2"),
        CALLBOARD_CONFIG=str(file),
        CALLBOARD_PUBLIC_URL="https://me:hunter2@example.com",
    )
    rows = dict(line.split(maxsplit=1) for line in outcome.stdout.splitlines())
    assert rows["port"].split(maxsplit=1) == ["2", "the command line"]
    assert rows["host"].split(maxsplit=1) == ["0.0.0.0", "the configuration file"]
    assert rows["public_url"].split() == ["https://me:***@example.com", "CALLBOARD_PUBLIC_URL"]
    assert rows["log_level"].split() == ["info", "default"]


async def test_users_and_tokens_are_made_while_the_server_runs(server: Server):
    folder = ("--data-dir", str(server.data_dir))
    name = f"someone-{free_port()}"
    first = await callboard("users", "create", name, *folder)
    second = await callboard("token", "create", "--user", name, *folder)
    for made in (first, second):
        async with Client(server.url, made.stdout.strip(), name) as client:
            assert (await client.get("/v2/users/me")).data["username"] == name
    assert first.stdout != second.stdout
    again = await callboard("users", "create", name, *folder)
    assert "of that name already" in again.failed_in_one_line()


async def test_tokens_with_scopes_are_made_listed_and_revoked(server: Server):
    folder = ("--data-dir", str(server.data_dir))
    username, _ = await server.user()
    scopes = ("--allow", "datasets:read", "--allow", "actors:run:abc")
    made = await callboard(
        "token", "create", "--user", username, "--name", "few", "--days", "3", *scopes, *folder
    )
    listed = (await callboard("token", "list", "--user", username, *folder)).stdout.splitlines()
    [row] = [line.split("\t") for line in listed if "few" in line]
    assert row[3] == "datasets:read actors:run:abc" and row[2].endswith("Z")
    assert made.stdout.strip() not in "".join(listed)
    revoked = await callboard("token", "revoke", row[0], *folder)
    assert revoked.code == 0
    async with Client(server.url, made.stdout.strip(), username) as client:
        assert (await client.get("/v2/datasets")).status == 401
    wrong = await callboard("token", "create", "--user", username, "--allow", "all", *folder)
    assert "no permission" in wrong.failed_in_one_line()
    assert (await callboard("token", "revoke", row[0], *folder)).failed_in_one_line()


async def test_a_token_for_nobody_is_refused(server: Server):
    folder = ("--data-dir", str(server.data_dir))
    outcome = await callboard("token", "create", "--user", "nobody-knows", *folder)
    outcome.failed_in_one_line()


async def test_a_second_server_on_the_same_folder_is_refused(server: Server):
    outcome = await callboard("up", "--data-dir", str(server.data_dir), "--port", "0")
    assert f"is running on {server.data_dir}." in outcome.failed_in_one_line()


async def test_a_database_of_another_version_is_refused(tmp_path: Path):
    with contextlib.closing(sqlite3.connect(tmp_path / "callboard.db")) as old:
        old.execute("CREATE TABLE users (id INTEGER)")
    folder = ("--data-dir", str(tmp_path))
    for command in (("up", "--port", "0"), ("users", "create", "someone")):
        line = (await callboard(*command, *folder)).failed_in_one_line()
        assert f"{tmp_path}/callboard.db was made by" in line
    assert processes_about(tmp_path) == []


async def test_a_used_port_is_refused(tmp_path: Path):
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        outcome = await callboard("up", "--data-dir", str(tmp_path / "data"), "--port", str(port))
    assert f"127.0.0.1:{port}" in outcome.failed_in_one_line()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLBOARD_PORT", "no number"),
        ("CALLBOARD_PORT", "70000"),
        ("CALLBOARD_EXECUTOR", "magic"),
        ("CALLBOARD_CONFIG", "/nowhere.toml"),
        ("CALLBOARD_DATA_DIR", "/dev/null/data"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_refused(tmp_path: Path, name: str, value: str):
    environment = {"CALLBOARD_DATA_DIR": str(tmp_path), name: value}
    assert value in (await callboard("up", **environment)).failed_in_one_line()


async def test_ctrl_c_stops_the_server_and_its_runs_at_once(new_server: Callable[..., Server]):
    server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 6017")
        waiting = asyncio.create_task(
            api.post(f"/v2/acts/{actor['id']}/run-sync", params={"memory": 128})
        )
        while not any("sleep 6017" in line for line in all_command_lines()):
            await asyncio.sleep(0.05)
        async with asyncio.timeout(15):
            code = await asyncio.to_thread(server.stop, signal.SIGINT)
        await asyncio.gather(waiting, return_exceptions=True)
    assert code == 0
    assert processes_about(server.data_dir) == []
    assert not any("sleep 6017" in line for line in all_command_lines())


def all_command_lines() -> list[str]:
    lines: list[str] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return lines


async def test_version_is_told(server: Server):
    outcome = await callboard("--version")
    async with Client(server.url, None, "") as client:
        version = (await client.get("/health")).json["version"]
    assert outcome.stdout == f"callboard {version}\n"
