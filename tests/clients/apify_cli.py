"""The official command line tool, run as somebody would run it who has logged in."""

import asyncio
import json
import re
import textwrap
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.clients.node_tools import APIFY, FOLDER, environment, find_node
from tests.server import Client

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Apify:
    """Works in a project folder and with a home folder of its own."""

    def __init__(self, folder: Path, compiled: Path, api: Client) -> None:
        self.home = folder / "home"
        self.project = folder / "project"
        self._api = api
        self._environment = environment(
            self.home,
            compiled,
            APIFY_CLIENT_BASE_URL=api.url,
            APIFY_CONSOLE_URL=f"{api.url}/console",
            APIFY_CLI_DISABLE_TELEMETRY="1",
            APIFY_CLI_SKIP_UPDATE_CHECK="1",
            APIFY_DISABLE_KEYRING="1",
        )
        for path in (self.home / ".apify", self.project / ".actor"):
            path.mkdir(parents=True)

    def without_templates(self) -> None:
        """For pushing a new Actor: the list of templates that it wants from the internet is empty."""
        self._environment["NODE_OPTIONS"] = f"--require={FOLDER / 'no_templates.cjs'}"

    @property
    def login_file(self) -> Path:
        """Where `apify login` keeps who is logged in."""
        return self.home / ".apify/auth.json"

    async def log_in(self) -> None:
        """Leave behind what `apify login` does, without the seconds that it takes."""
        me = (await self._api.get("/v2/users/me")).data
        self.login_file.write_text(json.dumps({**me, "token": self._api.token}))

    def write_project(self, files: Mapping[str, str], **definition: Any) -> None:
        """A program's files, and its `.actor/actor.json`."""
        actor = {"actorSpecification": 1, "version": "0.1", "buildTag": "latest", **definition}
        for path, content in {".actor/actor.json": json.dumps(actor), **files}.items():
            (self.project / path).write_text(textwrap.dedent(content))

    def written_at(self) -> datetime:
        """When the project's files last changed, to the millisecond and never earlier."""
        changed = max(path.stat().st_ctime for path in self.project.rglob("*"))
        return datetime.fromtimestamp(changed, UTC) + timedelta(milliseconds=1)

    async def start(self, *arguments: str) -> Process:
        """A command at work, with all it prints in `stdout`."""
        node = find_node()
        assert node is not None
        return await asyncio.create_subprocess_exec(
            node,
            str(APIFY),
            *arguments,
            cwd=self.project,
            env=self._environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
        )

    async def attempt(self, *arguments: str) -> tuple[int, str]:
        """Exit code of a command, and all that somebody sees."""
        process = await self.start(*arguments)
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, plain(output)

    async def __call__(self, *arguments: str) -> str:
        """What somebody sees of a command that works."""
        code, text = await self.attempt(*arguments)
        assert (code, "Error: " in text) == (0, False), f"{code}: {text}"
        return text

    async def json(self, *arguments: str) -> Any:
        """What a command tells programs."""
        text = await self(*arguments, "--json")
        return json.loads(text[min(i for i in map(text.find, "[{") if i >= 0) :])


def plain(output: bytes) -> str:
    """Text without colours, so that tests can look for words."""
    return _COLOURS.sub("", output.decode())
