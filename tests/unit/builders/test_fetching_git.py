"""Cloning over ssh: a stand-in for ssh notes how it was called and serves a repository of this machine."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from tests.archives import tree
from tests.repositories import commit, git, repository

from callboard.actors.deploy_keys import new_deploy_key
from callboard.builders.base import SYSTEM_PATH
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.git import clone, folder_in
from callboard.builders.fetching.limits import Limits
from callboard.builders.fetching.ssh import Identity
from callboard.builders.fetching.trees import check_tree
from callboard.builders.fetching.urls import GitAddress, git_address
from callboard.builders.process.fetch_sandbox import ProcessSandbox
from callboard.builders.process.registries import Registries
from callboard.builders.process.steps import StepRunner
from callboard.core.vault import Vault, new_master_key
from callboard.executors.launcher.surroundings import Surroundings

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

SSH = """#!/bin/sh
python3 - "$@" > {calls} <<'END'
import json, os, sys
key = sys.argv[sys.argv.index("-i") + 1]
print(json.dumps({{
    "args": sys.argv[1:], "prompt": os.environ["GIT_TERMINAL_PROMPT"],
    "key": [open(key).read(), os.stat(key).st_mode & 0o777],
}}))
END
for word; do
    case $word in UserKnownHostsFile=*) known=${{word#*=}};; esac
done
test ! -e "$known" || cp "$known" {calls}.known
echo "example.com ssh-ed25519 AAAA" >> "$known"
shift $(($# - 1))
eval "$1"
"""


@dataclass
class Bench:
    """`ssh` is the stand-in; steps run unprotected, with the paths of the host."""

    folder: Path
    sandbox: ProcessSandbox
    identity: Identity
    count: int = 0

    def clone(self, address: GitAddress, **options: Limits) -> Path:
        self.count += 1
        work = self.folder / f"work{self.count}"
        path = f"{self.folder / 'bin'}:{SYSTEM_PATH}"
        return clone(address, work, self.sandbox, identity=self.identity, path=path, **options)

    @property
    def call(self) -> dict[str, object]:
        return json.loads((self.folder / "calls").read_text())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/ssh"
    program.write_text(SSH.format(calls=tmp_path / "calls"))
    program.chmod(0o755)
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).touch()
    (tmp_path / "runner").mkdir()
    runner = StepRunner(tmp_path / "runner", Surroundings(tmp_path / "etc", None, "h", "none"))
    (tmp_path / "key").write_text("the private key\n")
    identity = Identity(tmp_path / "key", tmp_path / "known/actor")
    return Bench(tmp_path, ProcessSandbox(runner, Registries({}, "", ())), identity)


def over_ssh(repository: Path, fragment: str = "") -> GitAddress:
    return git_address(f"ssh://git@example.com{repository}{fragment}")


def test_ssh_gets_the_deployment_key_and_nothing_of_the_machine(bench: Bench) -> None:
    source = repository(bench.folder / "r", {"main.py": "1"})
    found = bench.clone(over_ssh(source))
    assert tree(found) == {"main.py": "1"}
    args = " ".join(str(word) for word in bench.call["args"])  # pyright: ignore
    for option in ("-F /dev/null", "BatchMode=yes", "accept-new", "IdentitiesOnly=yes"):
        assert option in args
    assert bench.call["prompt"] == "0"
    key = bench.folder / "work1/keys/key"
    assert f"-i {key}" in args
    assert bench.call["key"] == ["the private key\n", 0o600]
    assert not key.exists()


def test_hosts_are_remembered_for_the_next_build(bench: Bench) -> None:
    source = repository(bench.folder / "r", {"main.py": "1"})
    bench.clone(over_ssh(source))
    assert bench.identity.known_hosts.read_text() == "example.com ssh-ed25519 AAAA\n"
    bench.clone(over_ssh(source))
    assert (bench.folder / "calls.known").read_text() == "example.com ssh-ed25519 AAAA\n"


def test_a_branch_a_tag_and_a_commit_can_be_named(bench: Bench) -> None:
    source = repository(bench.folder / "r", {"a/main.py": "1"})
    git(source, "tag", "v1")
    second = commit(source, {"a/main.py": "2"})
    git(source, "checkout", "-q", "-b", "feature/x")
    commit(source, {"a/main.py": "3"})
    git(source, "checkout", "-q", "main")
    commit(source, {"a/main.py": "4"})
    for fragment, text in (("#v1", "1"), (f"#{second}", "2"), ("#feature/x:a", "3"), ("", "4")):
        address = over_ssh(source, fragment)
        found = bench.clone(address)
        assert tree(found) == {"a/main.py": text}
        assert (
            folder_in(found, address) / ("a" if not address.folder else "") / "main.py"
        ).exists()


def test_what_is_not_there_is_told(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    source = repository(bench.folder / "r", {"main.py": "1", "up": "->main.py"})
    with pytest.raises(FetchFailed, match=r"at 'nowhere' cannot be fetched.*deploymentKey"):
        bench.clone(over_ssh(source, "#nowhere"))
    assert "nowhere" in capfd.readouterr().err
    for folder in ("gone", "main.py"):
        address = over_ssh(source, f"#:{folder}")
        with pytest.raises(FetchFailed, match="has no folder"):
            folder_in(bench.clone(address), address)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a/out": "->../../etc/passwd", "x": ""}, "a/out.*leads out"),
        ({"out": "->/etc/passwd"}, "out.*leads out"),
        ({"many/a": "", "many/b": "", "many/c": ""}, "more than 3 files"),
        ({"big": "x" * 2000}, "larger than"),
    ],
    ids=["link", "absolute", "many", "big"],
)
def test_a_repository_is_held_to_the_rules_of_archives(
    bench: Bench, files: dict[str, str], words: str
) -> None:
    source = repository(bench.folder / "r", files)
    with pytest.raises(FetchFailed, match=words):
        bench.clone(over_ssh(source), limits=Limits(files=3, unpacked_bytes=1000))


def test_hooks_filters_and_submodules_of_a_repository_do_nothing(bench: Bench) -> None:
    other = repository(bench.folder / "other", {"secret": "x"})
    source = repository(bench.folder / "r", {"main.py": "1", ".gitattributes": "* filter=evil\n"})
    modules = f'[submodule "s"]\n\tpath = s\n\turl = {other}\n'
    commit(source, {".gitmodules": modules})
    git(
        source,
        "update-index",
        "--add",
        "--cacheinfo",
        f"160000,{git(other, 'rev-parse', 'HEAD')},s",
    )
    git(source, "commit", "-q", "-m", "submodule")
    found = bench.clone(over_ssh(source))
    assert set(tree(found)) == {"main.py", ".gitattributes", ".gitmodules"}


def test_a_named_pipe_in_a_tree_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FetchFailed, match=r"pipe.*no file, folder or link"):
        check_tree(tmp_path, Limits())


def test_a_machine_without_git_or_ssh_says_so(bench: Bench) -> None:
    for url, tool in (("https://example.com/a", "git"), ("git@example.com:a", "git")):
        with pytest.raises(FetchFailed, match=f"need {tool}, which is not installed"):
            clone(git_address(url), bench.folder / "w", bench.sandbox, path=str(bench.folder))
    only_git = bench.folder / "only"
    only_git.mkdir()
    (only_git / "git").symlink_to(shutil.which("git") or "")
    with pytest.raises(FetchFailed, match="need ssh"):
        clone(git_address("git@h:a"), bench.folder / "w", bench.sandbox, path=str(only_git))


def test_the_private_half_of_a_deployment_key_is_sealed_and_read_by_openssh(tmp_path: Path) -> None:
    vault = Vault(new_master_key())
    keys = new_deploy_key(vault, "actor1")
    assert keys["deploy:public"].startswith("ssh-ed25519 AAAA")
    assert "PRIVATE" not in str(keys)
    private = vault.open(keys["deploy:private"], context="deploy key:actor1")
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    load_ssh_private_key(private.encode(), None)
