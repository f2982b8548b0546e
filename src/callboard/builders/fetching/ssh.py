"""ssh as git uses it: the Actor's own key, hosts remembered per Actor, and nothing of the machine's."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callboard.builders.fetching.sandbox import Sandbox
from callboard.executors.base import Mount
from callboard.executors.launcher.sandbox import HOME

KEYS = "/run/callboard/keys"
_KEYS = "keys"
"""Their folder outside the sandbox."""
_KNOWN_HOSTS = "known_hosts"
_MAX_KNOWN_HOSTS_BYTES = 64 * 1024


@dataclass(frozen=True)
class Identity:
    """An Actor's private key, and which hosts it has met. Files of the host."""

    key: Path
    known_hosts: Path
    """Need not exist. Changed only after a host was met for the first time and all went well."""


def command() -> Sequence[str]:
    """ssh without any configuration, agent or key of the machine. A host met before must show the same key."""
    options = {
        "BatchMode": "yes",
        "ClearAllForwardings": "yes",
        "ConnectTimeout": "30",
        "ControlMaster": "no",
        "ControlPath": "none",
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PermitLocalCommand": "no",
        "PreferredAuthentications": "publickey",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": f"{HOME}/{_KNOWN_HOSTS}",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "/dev/null", "-i", f"{KEYS}/key", *words]


def prepare(
    identity: Identity | None, work: Path, home: Path, sandbox: Sandbox
) -> tuple[Mount, ...]:
    if identity is None:
        return ()
    folder = sandbox.folder(work / _KEYS)
    _write_private(folder / "key", identity.key.read_bytes(), sandbox)
    if identity.known_hosts.is_file():
        _write_private(home / _KNOWN_HOSTS, identity.known_hosts.read_bytes(), sandbox)
    return (Mount(folder, KEYS),)


def take_away_keys(work: Path) -> None:
    """What `prepare` has put there. Harmless when there is none."""
    shutil.rmtree(work / _KEYS, ignore_errors=True)


def _write_private(path: Path, content: bytes, sandbox: Sandbox) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    sandbox.give(path)


def remember_hosts(identity: Identity | None, home: Path) -> None:
    """Take over what ssh noted. The file lay in the sandbox, so it may be anything by now."""
    if identity is None:
        return
    try:
        descriptor = os.open(home / _KNOWN_HOSTS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_MAX_KNOWN_HOSTS_BYTES + 1)
    if not content or len(content) > _MAX_KNOWN_HOSTS_BYTES:
        return
    identity.known_hosts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = identity.known_hosts.with_name(f"{identity.known_hosts.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(identity.known_hosts)
