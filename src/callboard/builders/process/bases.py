"""What stands for the image in a FROM line: the host's own system, with the nearest interpreter chosen.

There is no registry to pull from. Every stage starts from the host's programs; FROM decides which Python or Node
comes first, and adds what people's Dockerfiles rely on finding in the image.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from callboard.builders.base import SYSTEM_PATH
from callboard.builders.process.chromium import variables
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.interpreters import (
    Interpreter,
    browser,
    nearest_node,
    nearest_python,
    own_python,
)

WORK_DIR = "/usr/src/app"
"""Where the images of Actors start, and where an Actor's files go when nothing else is said."""
APIFY_NODE_PACKAGES = ("apify", "crawlee")

_PYTHON_TAG = re.compile(r"(?:python)?(\d)\.(\d+)")
_NODE_TAG = re.compile(r"(\d+)")
_BROWSERS = re.compile(r"playwright|puppeteer|selenium|chrome|camoufox|firefox|webkit")
_OTHER_BROWSERS = re.compile(r"firefox|webkit|camoufox")
_LIBRARY = re.compile(r"playwright|puppeteer")
_LIBRARY_VERSION = re.compile(r"-(\d+\.\d+\.\d+)$")
_USER_FOLDER = "/home/myuser"
"""Where the images with a browser start."""


@dataclass(frozen=True)
class Base:
    """The start of a stage."""

    python: Interpreter | None = None
    node: Interpreter | None = None
    browser: Interpreter | None = None
    env: dict[str, str] = field(default_factory=dict[str, str])
    work_dir: str = WORK_DIR
    """Also for images that start at `/`, where an Actor cannot write here; relative paths mean the same."""
    node_packages: tuple[str, ...] = ()
    """Already installed in the work directory, as the image would have it."""
    implied: bool = False
    """Whether the image says nothing of an interpreter, and the Python is there in case a step uses it."""
    notes: tuple[str, ...] = ()
    """For the build log: what was chosen and how it differs from what was asked for."""

    @property
    def interpreters(self) -> tuple[Interpreter, ...]:
        return tuple(one for one in (self.python, self.node, self.browser) if one is not None)

    @property
    def environment_dir(self) -> str:
        """Where Python packages go: `/usr/local` as in the images, unless the host's Python is there."""
        taken = self.python is not None and self.python.prefix == Path("/usr/local")
        return "/opt/callboard/python" if taken else "/usr/local"

    @property
    def identity(self) -> str:
        """What a cached layer on this base depends on."""
        found = [f"{one.executable} {one.shown}" for one in self.interpreters]
        return "\n".join([*found, self.work_dir, *self.node_packages])


def base_for(image: str) -> Base:
    """What stands for `image`. Raises `BuildFailed` if the host has no such interpreter at all."""
    name, tag = _split(image)
    last = name.rpartition("/")[2]
    if name.startswith("apify/actor-node"):
        return _with_browser(image, _node_base(image, tag, packages=_packages(name, tag)))
    if name.startswith("apify/actor-python") or last == "python" or name == "astral-sh/uv":
        return _with_browser(image, _python_base(image, tag))
    if last == "node" or (name.startswith(("playwright", "puppeteer"))):
        wanted = tag if last == "node" else ""
        return _with_browser(image, _node_base(image, wanted, packages=()))
    python = own_python()
    note = f"{image} is taken to be this machine's own system."
    return Base(python=python, env=_env((python,)), implied=True, notes=(note,))


def _split(image: str) -> tuple[str, str]:
    """Repository without registry, and tag."""
    path = image.partition("@")[0]
    first, slash, rest = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        path = rest
    repository, _, tag = path.partition(":")
    for prefix in ("docker/", "library/"):
        repository = repository.removeprefix(prefix)
    return repository.lower(), tag


def _packages(name: str, tag: str) -> tuple[str, ...]:
    """What images for Node have in their work directory; the version of a browser library is in the tag."""
    library = _LIBRARY.search(name)
    if library is None:
        return APIFY_NODE_PACKAGES
    version = _LIBRARY_VERSION.search(tag)
    return (*APIFY_NODE_PACKAGES, library[0] + (f"@{version[1]}" if version else ""))


def _python_base(image: str, tag: str) -> Base:
    match = _PYTHON_TAG.search(tag)
    wanted = (int(match[1]), int(match[2])) if match else None
    python = nearest_python(wanted)
    notes = [f"{image}: Python {python.shown} of this machine ({python.executable})."]
    if wanted is not None and wanted != python.version:
        notes.append(
            f"Warning: Python {wanted[0]}.{wanted[1]} is not installed here; {python.shown} comes nearest."
        )
    env = _env((python,)) | {"PYTHONUNBUFFERED": "1"}
    return Base(python=python, env=env, notes=tuple(notes))


def _node_base(image: str, tag: str, *, packages: tuple[str, ...]) -> Base:
    match = _NODE_TAG.match(tag)
    found = nearest_node(int(match[1]) if match else None)
    if found is None:
        raise BuildFailed(
            f"{image} needs Node.js and npm, which are not installed on this machine."
        )
    notes = [f"{image}: Node.js {found.shown} of this machine ({found.executable})."]
    if match is not None and int(match[1]) != found.version[0]:
        notes.append(
            f"Warning: Node.js {match[1]} is not installed here; {found.shown} comes nearest."
        )
    # Else npm asks at each start of the Actor whether there is a newer npm, which is megabytes.
    env = _env((found,)) | {"NPM_CONFIG_UPDATE_NOTIFIER": "false"}
    return Base(node=found, env=env, node_packages=packages, notes=tuple(notes))


def _with_browser(image: str, base: Base) -> Base:
    """Images named for a browser, or for what drives one, have the host's."""
    if not _BROWSERS.search(image):
        return base
    found = browser()
    notes = (*base.notes, *_browser_notes(image, found))
    in_user_folder = "actor-node" in image
    work_dir = _USER_FOLDER if in_user_folder else base.work_dir
    env = base.env if found is None else base.env | variables()
    return replace(base, browser=found, env=env, work_dir=work_dir, notes=notes)


def _browser_notes(image: str, found: Interpreter | None) -> Iterator[str]:
    if found is None:
        yield (
            f"Warning: {image} brings a browser and this machine has none: install the package chromium"
            " (or google-chrome-stable), or a build step has to bring one."
        )
    else:
        yield f"{image}: Chromium of this machine ({found.executable})."
    if _OTHER_BROWSERS.search(image):
        yield "Warning: Firefox, WebKit and Camoufox are not provided; a build step has to bring them."


def _env(interpreters: tuple[Interpreter, ...]) -> dict[str, str]:
    outside = [str(one.executable.parent) for one in interpreters if not one.in_system]
    return {"PATH": ":".join([*SYSTEM_PATH.split(":")[:2], *outside, *SYSTEM_PATH.split(":")[2:]])}
