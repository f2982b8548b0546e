"""What the README and the tutorial tell newcomers to type, typed."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.server import Server

ROOT = Path(__file__).parent.parent.parent
ENV_COMMAND = ".venv/bin/callboard env --data-dir data"


async def typed(page: str, server: Server, folder: Path) -> str:
    """The output of all shell commands of a page but `make`, with the server's address in place of the usual one."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    script = "".join(block for block in blocks if "make " not in block)
    assert ENV_COMMAND in script
    ours = f"{sys.executable} -m callboard env --data-dir {server.data_dir} --port {server.port}"
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-euc", script.replace(ENV_COMMAND, ours)),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await shell.communicate()
    assert (shell.returncode, stderr.decode()) == (0, "")
    return stdout.decode()


@pytest.mark.parametrize(
    ("page", "outputs"),
    [
        ("README.md", ['{"hello": "world"}']),
        (
            "docs/tutorial/first-actor.md",
            [
                '"username":"admin"',
                '"status":"SUCCEEDED"',
                '{"greeting": "Hello, Ada!"}{"greeting": "Hello, world!"}',
                '"type":"invalid-input"',
                "Greeting world",
                '{"greeting": "Hello, Grace!"}{"greeting": "Hello, Edsger!"}',
            ],
        ),
    ],
    ids=["readme", "tutorial"],
)
async def test_a_page_for_newcomers_works(
    server: Server, tmp_path: Path, page: str, outputs: list[str]
):
    output = await typed(page, server, tmp_path)
    for expected in outputs:
        assert expected in output
