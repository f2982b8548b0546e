"""What a machine has that a server and its Actors need, found out by trying."""

import asyncio
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TOOL_SECS = 10
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Tool:
    """A program that is used where it is installed."""

    name: str
    argv: tuple[str, ...]
    """How to ask for its version."""
    use: str


TOOLS = (
    Tool("bwrap", ("bwrap", "--version"), "separates an Actor's files and processes"),
    Tool("ip", ("ip", "-V"), "networks of runs, as root"),
    Tool("nft", ("nft", "--version"), "keeps Actors off local networks, as root"),
    Tool("pasta", ("pasta", "--version"), "networks of runs, without root"),
    Tool("uv", ("uv", "--version"), "packages of Python Actors"),
    Tool("node", ("node", "--version"), "Actors in JavaScript"),
    Tool("npm", ("npm", "--version"), "packages of JavaScript Actors"),
    Tool("git", ("git", "--version"), "Actors whose sources are in Git"),
    Tool("chromium", ("chromium", "--version"), "Actors that drive a browser"),
)


async def tool_version(tool: Tool) -> str | None:
    """The version, `installed` when it does not tell, None when it is not there."""
    search = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    program = _own_uv() if tool.name == "uv" else shutil.which(tool.argv[0], path=search)
    if program is None:
        return None
    process = await asyncio.create_subprocess_exec(
        program,
        *tool.argv[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _TOOL_SECS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return "installed"
    match = _VERSION.search(output.decode(errors="replace").partition("\n")[0])
    return match[0] if match else "installed"


def _own_uv() -> str:
    """The one that Callboard brings along."""
    from uv import find_uv_bin

    return find_uv_bin()


async def engine_version(url: str) -> str | None:
    """Name, version and address of the container engine; None when none answers there."""
    from callboard.executors.docker.engine import Engine, EngineGone, EngineRefused

    try:
        async with Engine(url) as engine, asyncio.timeout(_TOOL_SECS):
            version = await engine.ask("GET", "/version")
    except (EngineGone, EngineRefused, TimeoutError, ValueError):
        return None
    names = [component["Name"] for component in version.get("Components") or ()]
    name = names[0] if names else "Engine"
    return f"{name} {version['Version']} (API {version['ApiVersion']}) at {url}"


def existing_part(path: Path) -> Path:
    """The path itself, or the nearest one above it that exists."""
    return next(part for part in (path, *path.parents) if part.exists())


def why_not_writable(data_dir: Path) -> str:
    """Empty when the data folder can be written, or made."""
    try:
        with tempfile.TemporaryFile(dir=existing_part(data_dir)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def available_memory_mbytes() -> int | None:
    """What programs could take now, where the system tells."""
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return None
