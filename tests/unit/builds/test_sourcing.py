"""What a build is told about its sources, and what is left of it afterwards."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from callboard.actors.deploy_keys import new_deploy_key
from callboard.actors.model import Actor
from callboard.builders.base import BuildSource, SourceKind
from callboard.builds.own_url import OwnUrls
from callboard.builds.sourcing import Sourcing, source_secrets
from callboard.core import clock
from callboard.core.vault import SealBroken, Vault, new_master_key

OWN = OwnUrls("http://10.0.0.1:8484", "https://callboard.example.com/base", 8484)
RECORD = "/v2/key-value-stores/s/records/version-0.0.zip?disableRedirect=true&signature=x"
INSIDE = f"http://10.0.0.1:8484{RECORD}"


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        (f"https://callboard.example.com/base{RECORD}", INSIDE),
        (f"https://callboard.example.com:443/base{RECORD}", INSIDE),
        (f"http://localhost:8484{RECORD}", INSIDE),
        (f"http://127.0.0.1:8484{RECORD}", INSIDE),
        (f"http://[::1]:8484{RECORD}", INSIDE),
        (f"https://callboard.example.com/other{RECORD}", None),
        (f"https://callboard.example.com:8443/base{RECORD}", None),
        (f"http://localhost:8485{RECORD}", None),
        (f"https://localhost:8484{RECORD}", None),
        (f"http://192.0.2.1:8484{RECORD}", None),
        ("http://[broken", None),
        ("git@github.com:a/b", None),
    ],
)
def test_only_urls_of_this_server_are_rewritten(url: str, inside: str | None) -> None:
    if "::1" in url and not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")
    assert OWN.inside(url) == inside


@pytest.fixture
def vault() -> Vault:
    return Vault(new_master_key())


@pytest.fixture
def sourcing(vault: Vault, tmp_path: Path) -> Sourcing:
    return Sourcing(vault, lambda: OWN, tmp_path / "cache")


@pytest.fixture
def actor(vault: Vault) -> Actor:
    at = clock.now()
    keys = new_deploy_key(vault, "a1")
    return Actor("a1", "u", "me", "actor", at, at, False, {}, {}, keys, {}, None, 0)


def test_files_are_written_and_left_alone_after_a_crash(sourcing: Sourcing, tmp_path: Path) -> None:
    files = [{"name": "main.py", "format": "TEXT", "content": "1"}]
    version = {"sourceType": "SOURCE_FILES", "sourceFiles": files}
    assert sourcing.prepare(version, None, tmp_path / "build") == BuildSource()
    (tmp_path / "build/source/main.py").write_text("as the driver sees it")
    assert sourcing.prepare(version, None, tmp_path / "build") == BuildSource()
    assert (tmp_path / "build/source/main.py").read_text() == "as the driver sees it"


def test_an_archive_of_this_server_is_fetched_without_a_proxy(
    sourcing: Sourcing, tmp_path: Path
) -> None:
    version = {"sourceType": "TARBALL", "tarballUrl": f"http://localhost:8484{RECORD}"}
    own = sourcing.prepare(version, None, tmp_path / "build")
    other = sourcing.prepare(version | {"tarballUrl": "https://h/a.zip"}, None, tmp_path / "build")
    assert own == BuildSource(SourceKind.ARCHIVE, INSIDE, direct=True)
    assert other == BuildSource(SourceKind.ARCHIVE, "https://h/a.zip")


def test_the_deployment_key_is_there_for_ssh_and_gone_after_the_build(
    sourcing: Sourcing, actor: Actor, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    version = {"sourceType": "GIT_REPO", "gitRepoUrl": "git@github.com:me/private.git#main"}
    for _ in range(2):  # the second time as after a crash
        source = sourcing.prepare(version, actor, build)
    assert source.deploy_key is not None
    key = Path(source.deploy_key)
    load_ssh_private_key(key.read_bytes(), None)
    assert key.stat().st_mode & 0o777 == 0o600
    sourcing.clean(build)
    sourcing.clean(build)
    assert list(build.iterdir()) == []


@pytest.mark.parametrize("url", ["https://github.com/me/a", "git://h/a", "file:///a"])
def test_no_other_server_gets_to_see_the_deployment_key(
    sourcing: Sourcing, actor: Actor, tmp_path: Path, url: str
) -> None:
    version = {"sourceType": "GIT_REPO", "gitRepoUrl": url}
    assert sourcing.prepare(version, actor, tmp_path / "b") == BuildSource(SourceKind.GIT, url)
    assert list((tmp_path / "b").iterdir()) == []


def test_a_deployment_key_opens_for_its_own_actor_only(
    sourcing: Sourcing, actor: Actor, tmp_path: Path
) -> None:
    version = {"sourceType": "GIT_REPO", "gitRepoUrl": "git@h:a"}
    with pytest.raises(SealBroken):
        sourcing.prepare(version, replace(actor, id="a2"), tmp_path / "b")


def test_the_log_hides_the_secrets_of_the_url() -> None:
    version = {"sourceType": "TARBALL", "tarballUrl": "https://h/a?signature=12345678"}
    assert source_secrets(version) == ("12345678",)
    assert source_secrets({"sourceType": "SOURCE_FILES"}) == ()
