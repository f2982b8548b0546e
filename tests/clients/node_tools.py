"""Where the official command line tool and MCP server are, and a Node.js that is new enough for them."""

import os
import platform
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "cli"
PACKAGES = FOLDER / "node_modules"
APIFY = PACKAGES / "apify-cli/dist/apify.js"
MCP_SERVER = PACKAGES / "@apify/actors-mcp-server/dist/stdio.js"

_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


def find_node() -> str | None:
    """The Node.js among the packages, as the MCP server needs a newer one than many systems have."""
    architecture = _ARCHITECTURES.get(platform.machine(), "unknown")
    packaged = PACKAGES / f"node-linux-{architecture}/bin/node"
    return str(packaged) if packaged.is_file() else shutil.which("node")


def needs(program: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        find_node() is None or not program.is_file(),
        reason="needs Node.js, and the packages in tests/clients/cli (npm ci)",
    )


def environment(home: Path, compiled: Path, **variables: str) -> dict[str, str]:
    """For a program that is to know nothing but what a test tells it. `compiled` spares it parsing."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("APIFY_")}
    return own | {"HOME": str(home), "NODE_COMPILE_CACHE": str(compiled), **variables}
