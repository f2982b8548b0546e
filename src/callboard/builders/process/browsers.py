"""Browsers: the host's Chromium in the place of those that the images of crawling Actors bring along.

Libraries look for a browser in three ways, and all are served: variables that the SDKs and Puppeteer read, the folder
in which Playwright keeps the browsers of its version, and the place where Chrome itself is installed. They find a
small script that starts the host's Chromium with what it needs in a sandbox without further namespaces.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from callboard.builders.process import tree
from callboard.builders.process.actions import RunCommand
from callboard.builders.process.bases import Base
from callboard.builders.process.chromium import CHROMIUM, PLAYWRIGHT_FOLDER, variables
from callboard.builders.process.interpreters import Interpreter, browser
from callboard.builders.process.toolbox import PLAYWRIGHT_HOOK
from callboard.executors.launcher.sandbox import HOME

_INSTALLING = re.compile(r"playwright|patchright")
_CHROME = "/opt/google/chrome/chrome"
_MAX_LIST_BYTES = 1024 * 1024
_REVISION = re.compile(r"[0-9]{1,8}")
_PROGRAMS = {
    "chromium": ("chrome-linux/chrome", "chrome-linux64/chrome"),
    "chromium-headless-shell": (
        "chrome-linux/headless_shell",
        "chrome-linux64/headless_shell",
        "chrome-headless-shell-linux64/chrome-headless-shell",
    ),
}
"""Where versions of Playwright look for them, below the folder of a revision."""
_SCRIPT = """#!/bin/sh
# Starts this machine's Chromium. The Actor's own sandbox is around it, so that it needs none of its own.
case " $* " in
    *" --headless"*) ;;
    *) [ -S "/tmp/.X11-unix/X${DISPLAY#:}" ] || set -- --headless=new "$@" ;;
esac
exec EXECUTABLE --no-sandbox --disable-dev-shm-usage "$@"
"""


def without_downloads(base: Base, command: RunCommand) -> RunCommand:
    """The command with what keeps Playwright from downloading a browser that this machine stands in for."""
    names_it = _INSTALLING.search(" ".join(command.argv)) is not None
    if browser() is None or not (base.browser or names_it):
        return command
    options = f"{command.env.get('NODE_OPTIONS', '')} --require {PLAYWRIGHT_HOOK}".strip()
    return replace(command, env={**command.env, "NODE_OPTIONS": options})


def provide(root: Path, found: Interpreter) -> None:
    """Put the scripts in place by which Chromium is started."""
    script = _SCRIPT.replace("EXECUTABLE", str(found.executable)).encode()
    for path in (CHROMIUM, _CHROME):
        folder = tree.make_directory(root, os.path.dirname(path))
        tree.write_file(folder / os.path.basename(path), script, mode=0o755)


def complete(base: Base, root: Path, env: dict[str, str], cwd: str) -> Base:
    """After the last step: each Playwright in the tree finds the browser of its version. Adds to `env`.

    Returns the base with the browser that is then needed.
    """
    found = browser()
    lists = list(_browser_lists(root, cwd))
    if found is None or (not base.browser and not lists) or _has_own_browsers(root, env):
        return base
    provide(root, found)
    for path in lists:
        for name, revision in _revisions(path):
            _arrange(root, name, revision)
    for name, value in variables().items():
        env.setdefault(name, value)
    return replace(base, browser=found)


def _has_own_browsers(root: Path, env: dict[str, str]) -> bool:
    """Whether a step has downloaded browsers, or the Dockerfile names a place for them."""
    place = env.get("PLAYWRIGHT_BROWSERS_PATH", PLAYWRIGHT_FOLDER)
    cache_folder = tree.resolve(root, f"{HOME}/.cache/ms-playwright")
    return place != PLAYWRIGHT_FOLDER or (cache_folder.is_dir() and any(os.scandir(cache_folder)))


def _browser_lists(root: Path, cwd: str) -> Iterator[Path]:
    """The lists of browsers that the installed Playwrights come with."""
    for folder in (f"{cwd}/node_modules", "/usr/local/lib/node_modules"):
        for name in (
            "playwright-core",
            "patchright-core",
            "playwright/node_modules/playwright-core",
        ):
            yield from _file(root, f"{folder}/{name}/browsers.json")
    for library in (
        "/usr/local/lib",
        "/opt/callboard/python/lib",
        f"{cwd}/.venv/lib",
        "/opt/venv/lib",
    ):
        for python in sorted(tree.names(root, library)):
            packages = f"{library}/{python}/site-packages"
            for name in ("playwright", "patchright"):
                yield from _file(root, f"{packages}/{name}/driver/package/browsers.json")


def _file(root: Path, path: str) -> Iterator[Path]:
    place = tree.resolve(root, path)
    if place.is_file() and place.stat().st_size <= _MAX_LIST_BYTES:
        yield place


def _revisions(path: Path) -> Iterator[tuple[str, str]]:
    """Of the browsers that Chromium stands in for. What cannot be read names none."""
    try:
        content: object = json.loads(path.read_bytes())
    except (ValueError, OSError, RecursionError):
        return
    listed = cast("dict[str, object]", content).get("browsers") if isinstance(content, dict) else ()
    for item in cast("list[object]", listed) if isinstance(listed, list) else ():
        fields = cast("dict[str, object]", item) if isinstance(item, dict) else {}
        name, revision = fields.get("name"), str(fields.get("revision"))
        if (
            isinstance(name, str)
            and name in {*_PROGRAMS, "ffmpeg"}
            and _REVISION.fullmatch(revision)
        ):
            yield name, revision


def _arrange(root: Path, name: str, revision: str) -> None:
    place = f"{PLAYWRIGHT_FOLDER}/{name.replace('-', '_')}-{revision}"
    for program in _PROGRAMS.get(name, ("ffmpeg-linux",)):
        target = CHROMIUM if name in _PROGRAMS else shutil.which("ffmpeg", path="/usr/bin")
        folder = tree.make_directory(root, os.path.dirname(f"{place}/{program}"))
        link = folder / os.path.basename(program)
        if target is not None and not os.path.lexists(link):
            link.symlink_to(target)
            tree.give(link)
    folder = tree.make_directory(root, place)
    for marker in ("INSTALLATION_COMPLETE", "DEPENDENCIES_VALIDATED"):
        tree.write_file(folder / marker, b"")
