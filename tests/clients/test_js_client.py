"""The official JavaScript client against the live server: runs the test files in `js/`, each as one test."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.server import Client

FOLDER = Path(__file__).parent / "js"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules/apify-client").is_dir(),
    reason="needs Node.js, and the packages in tests/clients/js (npm ci)",
)


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.glob("*.test.mjs")))
async def test_the_javascript_client(file: str, api: Client, other: Client) -> None:
    environment = os.environ | {
        "CALLBOARD_URL": api.url,
        "CALLBOARD_TOKEN": api.token or "",
        "CALLBOARD_OTHER_TOKEN": other.token or "",
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        "--test",
        "--test-reporter=spec",
        file,
        cwd=FOLDER,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
