"""What every step finds besides its stage: stand-ins for tools of the usual images, uv, registry settings, caches."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from uv import find_uv_bin

from callboard.builders.process import tree
from callboard.builders.process.interpreters import Interpreter
from callboard.builders.process.registries import Registries
from callboard.executors.base import Mount, MountMode

PLACE = "/run/callboard"
UV = f"{PLACE}/uv/uv"

_ALWAYS = {
    "system_packages.sh": ("apk", "yum", "dnf", "microdnf"),
    "sudo.sh": ("sudo", "gosu"),
    "pip.sh": ("pip", "pip3"),
    "uv.sh": ("uv",),
    "pip_by_uv.py": ("pip_by_uv.py",),
    "as_root.py": ("as_root.py",),
    "playwright_hook.cjs": ("playwright_hook.cjs",),
}
_FOR_ROOT = {"apt.sh": ("apt", "apt-get"), "before_dpkg.sh": ("before_dpkg.sh",)}
_NOT_FOR_ROOT = {
    "system_packages.sh": ("apt", "apt-get"),
    "no_users.sh": ("useradd", "usermod", "adduser", "groupadd", "addgroup", "chown", "chgrp"),
    "mkdir.sh": ("mkdir",),
}
"""Of steps that are not root of their stage."""
BEFORE_DPKG = f"{PLACE}/tools/root/before_dpkg.sh"
PLAYWRIGHT_HOOK = f"{PLACE}/tools/playwright_hook.cjs"
AS_ROOT = f"{PLACE}/tools/as_root.py"


@dataclass(frozen=True)
class Toolbox:
    """Mounts and environment that make a step's tools work."""

    folder: Path
    registries: Registries

    def environment(self, python: Interpreter | None, environment_dir: str) -> dict[str, str]:
        """What tools need to know. The Dockerfile's own variables may replace any of it."""
        env = {
            **self.registries.env,
            "LANG": "C.UTF-8",
            "CALLBOARD_TOOLS": f"{PLACE}/tools",
            "CALLBOARD_UV": UV,
            "UV_CACHE_DIR": f"{PLACE}/cache/uv",
            "UV_COMPILE_BYTECODE": "1",
            "UV_LINK_MODE": "copy",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "NPM_CONFIG_CACHE": f"{PLACE}/cache/npm",
            "NPM_CONFIG_GLOBALCONFIG": f"{PLACE}/tools/npmrc",
            "NPM_CONFIG_PREFIX": "/usr/local",
            "NPM_CONFIG_FUND": "false",
            "NPM_CONFIG_AUDIT": "false",
            "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        }
        if python is not None:
            env |= {"CALLBOARD_PYTHON": str(python.executable), "VIRTUAL_ENV": environment_dir}
        return env

    @property
    def targets(self) -> set[str]:
        """Where things are mounted that lie beside the stage's own folders."""
        return {mount.target for mount in self.registries.mounts()}

    def mounts(self, caches: Path) -> Iterator[Mount]:
        """With the folder of download caches that the step is to use."""
        yield Mount(self.folder, f"{PLACE}/tools")
        yield Mount(Path(find_uv_bin()), UV)
        yield Mount(caches, f"{PLACE}/cache", MountMode.READ_WRITE)
        yield from self.registries.mounts()


def search_path(path: str, *, as_root: bool = False) -> str:
    """`path` with the stand-ins before all else."""
    own = "root" if as_root else "user"
    return f"{PLACE}/tools/{own}:{PLACE}/tools:{PLACE}/uv:{path}"


def fill_toolbox(work: Path, registries: Registries) -> Toolbox:
    """Write the stand-ins below `work`."""
    folder = work / "tools"
    package = resources.files("callboard.builders.process.tools")
    places = {folder: _ALWAYS, folder / "root": _FOR_ROOT, folder / "user": _NOT_FOR_ROOT}
    for place, programs in places.items():
        place.mkdir(parents=True)
        for file, names in programs.items():
            text = package.joinpath(file).read_text(encoding="utf-8")
            for name in names:
                _write_program(place / name, text)
    (folder / "npmrc").write_text(registries.npmrc, encoding="utf-8")
    if os.geteuid() == 0:
        tree.give(folder / "npmrc")
    return Toolbox(folder, registries)


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def interpreter_mounts(interpreters: tuple[Interpreter, ...]) -> Mapping[str, Mount]:
    """By target: the interpreters that are not part of the host's system, where they are on the host."""
    return {
        str(one.prefix): Mount(one.prefix, str(one.prefix))
        for one in interpreters
        if not one.in_system
    }
