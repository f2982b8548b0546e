"""A first layer of the packages that this machine has installed: made in seconds, and without any network.

It is what dpkg knows of the packages and of all they depend on, with the few files that their scripts would have
made. What else is on the machine stays out, its users and their passwords above all.
"""

import os
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

_DPKG = Path("/var/lib/dpkg")
_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_MADE_BY_SCRIPTS = {
    "etc/passwd": "/usr/share/base-passwd/passwd.master",
    "etc/group": "/usr/share/base-passwd/group.master",
    "etc/nsswitch.conf": "/usr/share/base-files/nsswitch.conf",
    "etc/ld.so.cache": "/etc/ld.so.cache",
}
_SETTINGS = ("/etc/ssl/certs", "/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
"""No more of apt's: it keeps passwords, too."""
_NODE_PROGRAM = re.compile(r"/usr/lib/node_modules/[^/@]+")
_LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/")


@dataclass(frozen=True)
class Package:
    """One installed package, as dpkg's list has it."""

    name: str
    paragraph: str
    is_essential: bool
    needs: tuple[tuple[str, ...], ...]
    """Each by its alternatives."""
    provides: tuple[str, ...]


def read_packages(status: str) -> dict[str, Package]:
    """The installed packages by name, and by the names they provide."""
    found: dict[str, Package] = {}
    provided: dict[str, Package] = {}
    for paragraph in status.split("\n\n"):
        package = _package(paragraph)
        if package is not None:
            found.setdefault(package.name, package)
            provided |= dict.fromkeys(package.provides, package)
    return provided | found


def with_dependencies(packages: Mapping[str, Package], wanted: Iterable[str]) -> list[Package]:
    """The wanted packages, the essential ones, and all that they need. Raises KeyError for one that is not there."""
    chosen: dict[str, Package] = {}
    essential = [package.name for package in packages.values() if package.is_essential]
    waiting = [*essential, *wanted]
    while waiting:
        package = packages[waiting.pop()]
        if package.name not in chosen:
            chosen[package.name] = package
            waiting += [
                next(name for name in names if name in packages)
                for names in package.needs
                if any(name in packages for name in names)
            ]
    return list(chosen.values())


def write_layer(target: BinaryIO, packages: Iterable[Package]) -> None:
    """A tar archive of the packages' files, links first."""
    chosen = list(packages)
    with tarfile.open(fileobj=target, mode="w") as archive:
        layer = _Layer(archive)
        for name in _LINKS:
            if (Path("/") / name).is_symlink():
                layer.add(f"/{name}")
        for name, source in _MADE_BY_SCRIPTS.items():
            layer.add(source, name)
        for path in _files(chosen):
            if not path.startswith(_LEFT_OUT):
                layer.add(path)
        for path in (*_chosen_alternatives(layer.names), *_settings()):
            layer.add(path)
        layer.add_text("var/lib/dpkg/status", "\n\n".join(p.paragraph for p in chosen) + "\n")


class _Layer:
    """An archive in which no name is there twice."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self.names: set[str] = set()

    def add(self, path: str, name: str | None = None) -> None:
        """A file, link or folder that exists; of a folder, not what is in it."""
        name = name or path[1:]
        if name in self.names or not os.path.lexists(path):
            return
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            self.names.add(name)
            self._archive.add(path, arcname=name, recursive=False)

    def add_text(self, name: str, text: str) -> None:
        content = text.encode()
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self._archive.addfile(entry, BytesIO(content))


def _settings() -> Iterator[str]:
    for path in _SETTINGS:
        yield path
        if os.path.isdir(path):
            yield from (entry.path for entry in os.scandir(path))


def _package(paragraph: str) -> Package | None:
    fields: dict[str, str] = {}
    for line in paragraph.splitlines():
        name, colon, value = line.partition(": ")
        if colon and not line.startswith(" "):
            fields[name] = value
    if fields.get("Status") != "install ok installed":
        return None
    needs = (*_names(fields.get("Pre-Depends", "")), *_names(fields.get("Depends", "")))
    provides = [names[0] for names in _names(fields.get("Provides", ""))]
    essential = fields.get("Essential") == "yes"
    return Package(fields["Package"], paragraph.strip(), essential, needs, tuple(provides))


def _names(field: str) -> tuple[tuple[str, ...], ...]:
    """`a (>= 1) | b, c:any` as `((a, b), (c,))`."""
    groups = (group.split("|") for group in field.split(",") if group.strip())
    return tuple(
        tuple(re.split(r"[\s:(\[]", name.strip(), maxsplit=1)[0] for name in group)
        for group in groups
    )


def _files(packages: Iterable[Package]) -> Iterator[str]:
    """Every file, link and folder of the packages at its real place, folders before what is in them."""
    for package in packages:
        for path in _listed(package):
            parent, name = os.path.split(path)
            real = os.path.join(os.path.realpath(parent), name)
            if os.path.lexists(real) and real != "/" and real[1:] not in _LINKS:
                yield real
                yield from _compiled(real)
                yield from _upgraded(real)


def _listed(package: Package) -> list[str]:
    info = _DPKG / "info"
    lists = [info / f"{package.name}.list", *info.glob(f"{package.name}:*.list")]
    return [
        line
        for path in lists
        if path.exists()
        for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    ]


def _compiled(path: str) -> Iterator[str]:
    """What the package's scripts have compiled of a Python file: without it, every start would do it again."""
    if path.endswith(".py"):
        folder, name = os.path.split(path)
        cache = Path(folder, "__pycache__")
        yield from (str(one) for one in cache.glob(f"{name[:-3]}.cpython-*.pyc"))


def _upgraded(path: str) -> Iterator[str]:
    """All of a program that upgrades itself in place, as npm does: its package does not know these files."""
    if _NODE_PROGRAM.fullmatch(path) and os.path.isdir(path):
        for folder, folders, files in os.walk(path):
            yield from (os.path.join(folder, name) for name in (*sorted(folders), *sorted(files)))


def _chosen_alternatives(names: set[str]) -> list[str]:
    """The names that programs of the packages are the chosen alternative for, such as `awk`."""
    found: list[str] = []
    for choice in sorted(os.scandir("/etc/alternatives"), key=lambda entry: entry.name):
        record = _DPKG / "alternatives" / choice.name
        if os.path.realpath(choice.path)[1:] in names and record.exists():
            folder, name = os.path.split(record.read_text().splitlines()[1])
            found += [choice.path, os.path.join(os.path.realpath(folder), name)]
    return found
