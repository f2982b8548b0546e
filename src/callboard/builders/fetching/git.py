"""Cloning a repository with the machine's git, which runs in a sandbox: the repository and its server are hostile.

git gets no configuration but what is given here, may not ask anybody anything, speaks only the protocols of
`GIT_SCHEMES`, runs no hooks, and finds no credentials but those of the URL or the Actor's deployment key.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from callboard.builders.base import SYSTEM_PATH
from callboard.builders.fetching import ssh
from callboard.builders.fetching.downloading import network_environment
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.limits import Limits
from callboard.builders.fetching.sandbox import Sandbox, Step
from callboard.builders.fetching.trees import check_tree
from callboard.builders.fetching.urls import GIT_SCHEMES, Credentials, GitAddress, shown_url
from callboard.executors.base import Mount, MountMode
from callboard.executors.launcher.sandbox import HOME

TREE = "/run/callboard/repository"

_CONFIG = {
    "credential.helper": "",  # forgets those of the machine
    "core.hooksPath": "/dev/null",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "init.defaultBranch": "main",
    "safe.directory": "*",  # the folder belongs to the sandbox's user, whoever git runs as
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
}
_CREDENTIAL_HELPER = (
    '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n"'
    ' "$CALLBOARD_USERNAME" "$CALLBOARD_PASSWORD"; }; f'
)
# A plain file server ("dumb HTTP") cannot give a part of the history, and some servers give single commits to nobody.
_SCRIPT = """
set -u
errors=$HOME/errors
git init --quiet --template= . || exit 1
git remote add origin "$1"
if git fetch --quiet --no-tags --depth 1 origin "$2" 2> "$errors"; then
    got=FETCH_HEAD
elif ! grep -q -i -e 'does not support shallow' -e 'unadvertised object' "$errors"; then
    cat "$errors" >&2
    exit 1
elif test "$3" = commit; then
    git fetch --quiet origin '+refs/*:refs/remotes/*' || exit 1
    got=$2
else
    git fetch --quiet --no-tags origin "$2" || exit 1
    got=FETCH_HEAD
fi
git -c advice.detachedHead=false checkout --quiet --detach "$got" || exit 1
echo "Commit $(git rev-parse HEAD)."
"""


def clone(
    address: GitAddress,
    work: Path,
    sandbox: Sandbox,
    *,
    identity: ssh.Identity | None = None,
    path: str = SYSTEM_PATH,
    limits: Limits | None = None,
) -> Path:
    """Check out what `address` names below the new folder `work`, and return the tree. Raises FetchFailed.

    The tree holds no links that lead out of it, and nothing of git's own.
    """
    _require_tools(address, path)
    work.mkdir()
    home, tmp, tree = (sandbox.folder(work / name) for name in ("home", "tmp", "repository"))
    keys = ssh.prepare(identity, work, home, sandbox)
    step = Step(
        _argv(address),
        {**_environment(address), "PATH": path},
        TREE,
        home,
        tmp,
        (Mount(tree, TREE, MountMode.READ_WRITE), *keys),
    )
    try:
        code = sandbox.run(step)
    finally:
        ssh.take_away_keys(work)
    if code != 0:
        raise FetchFailed(_failure(address, identity))
    ssh.remember_hosts(identity, home)
    shutil.rmtree(tree / ".git")
    check_tree(tree, limits or Limits())
    return tree


def folder_in(tree: Path, address: GitAddress) -> Path:
    """The Actor's folder of a checked tree. Raises FetchFailed."""
    place = (tree / address.folder).resolve()
    if not place.is_dir() or not place.is_relative_to(tree.resolve()):
        raise FetchFailed(f"The repository has no folder {address.folder!a}.")
    return place


def _require_tools(address: GitAddress, path: str) -> None:
    for tool in ("git", "ssh") if address.is_ssh else ("git",):
        if shutil.which(tool, path=path) is None:
            raise FetchFailed(
                f"Sources in Git repositories need {tool}, which is not installed on the machine of this server."
            )


def _argv(address: GitAddress) -> tuple[str, ...]:
    kind = "commit" if address.is_commit else "name"
    return ("/bin/sh", "-c", _SCRIPT, "fetch", address.url, address.ref or "HEAD", kind)


def _environment(address: GitAddress) -> dict[str, str]:
    """All of it, but for the search path."""
    config = dict(_CONFIG)
    env = network_environment(os.environ)
    if certificates := os.environ.get("SSL_CERT_FILE"):
        env["GIT_SSL_CAINFO"] = certificates
    if address.credentials is not None:
        config |= _credential_config(address)
        env |= _credential_environment(address.credentials)
    return {
        **env,
        **_config_environment(config),
        "HOME": HOME,
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": ":".join(sorted(GIT_SCHEMES)),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_SSH_COMMAND": " ".join(ssh.command()),
        "GIT_SSH_VARIANT": "ssh",
    }


def _credential_config(address: GitAddress) -> dict[str, str]:
    """For the URL's own host only, wherever its server redirects to."""
    host = "/".join(address.url.split("/", 3)[:3])
    return {f"credential.{host}.helper": _CREDENTIAL_HELPER}


def _credential_environment(credentials: Credentials) -> dict[str, str]:
    return {
        "CALLBOARD_USERNAME": credentials.username,
        "CALLBOARD_PASSWORD": credentials.password,
    }


def _config_environment(config: Mapping[str, str]) -> dict[str, str]:
    env = {"GIT_CONFIG_COUNT": str(len(config))}
    for number, (name, value) in enumerate(config.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def _failure(address: GitAddress, identity: ssh.Identity | None) -> str:
    what = f" at {address.ref!a}" if address.ref else ""
    text = f"{shown_url(address.url)}{what} cannot be fetched; the lines above are git's own words."
    if address.is_ssh and identity is not None:
        return (
            f"{text} Is the Actor's deploymentKey among the repository's deploy keys? If the host has a new key for "
            f"a good reason, the operator removes known-hosts/{identity.known_hosts.name} from the server's cache."
        )
    if address.is_ssh:
        return f"{text} The Actor has no deployment key."
    if address.credentials is None:
        return f"{text} If the repository is private, use its ssh address and the Actor's deploymentKey."
    return text
