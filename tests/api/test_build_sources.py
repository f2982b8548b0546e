"""Builds whose sources the build itself fetches: from this server, and from others that the test runs."""

import base64
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import brotli
import pytest
from aiohttp import web

from callboard.storages.signatures import sign
from tests.actors import ActorMaker
from tests.archives import tar_of, zip_of
from tests.receivers import Receiver, answer, listening
from tests.repositories import commit, git, repository, served
from tests.server import Client

HOST = "host.callboard.internal"
SHELL = "FROM debian\nCOPY . ./\nCMD sh main.sh\n"
PROJECT = {
    ".actor/actor.json": '{"actorSpecification": 1, "name": "fetched", "version": "0.0"}',
    ".actor/Dockerfile": SHELL,
    "main.sh": "echo fetched",
}

needs_git = pytest.mark.skipif(
    shutil.which("git") is None, reason="builds from Git run the git program"
)


def within(url: str) -> str:
    """A server of this machine as builds reach it."""
    return url.replace("127.0.0.1", HOST)


class Fetched:
    """An Actor whose sources are somewhere else, built once."""

    def __init__(self, api: Client, actors: ActorMaker) -> None:
        self._api, self._actors = api, actors

    async def build(self, **version: Any) -> tuple[dict[str, Any], str]:
        """The finished build and its log."""
        actor = await self._actors.create({}, version={"sourceFiles": None, **version})
        build = await self._actors.build(actor["id"])
        log = await self._api.get(f"/v2/logs/{build['id']}")
        return build, log.body.decode()


@pytest.fixture
def fetched(api: Client, actors: ActorMaker) -> Fetched:
    return Fetched(api, actors)


async def run_log(api: Client, build: dict[str, Any]) -> str:
    run = await api.post(f"/v2/acts/{build['actId']}/runs", params={"waitForFinish": 30})
    return (await api.get(f"/v2/logs/{run.data['id']}")).body.decode()


async def uploaded(api: Client, key: str, content: bytes) -> str:
    """The record's URL, made and signed as `apify push` does for larger sources."""
    store = (await api.post("/v2/key-value-stores", params={"name": "actor-x-source"})).data
    path = f"/v2/key-value-stores/{store['id']}/records/{key}"
    headers = {"Content-Type": "application/zip", "Content-Encoding": "br"}
    stored = await api.put(path, data=brotli.compress(content, quality=1), headers=headers)
    assert stored.status == 201
    restricted = await api.put(
        f"/v2/key-value-stores/{store['id']}", json={"generalAccess": "RESTRICTED"}
    )
    assert restricted.status == 200
    return (
        f"{api.url}{path}?disableRedirect=true&signature={sign(store['urlSigningSecretKey'], key)}"
    )


async def test_a_zip_in_this_servers_private_store_is_built(api: Client, fetched: Fetched):
    url = await uploaded(api, "version-0.0.zip", zip_of(PROJECT))
    build, log = await fetched.build(sourceType="TARBALL", tarballUrl=url)
    assert build["status"] == "SUCCEEDED", log
    assert build["actorDefinition"]["name"] == "fetched"
    assert "fetched" in await run_log(api, build)
    assert "/records/version-0.0.zip" in log
    assert "signature" not in log + json.dumps(build)
    version = (await api.get(f"/v2/acts/{build['actId']}/versions/0.0")).data
    assert version["tarballUrl"] == url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_this_server_is_known_by_its_other_names(api: Client, fetched: Fetched, host: str):
    url = await uploaded(api, "version-0.0.zip", zip_of(PROJECT))
    build, log = await fetched.build(
        sourceType="TARBALL", tarballUrl=url.replace("127.0.0.1", host)
    )
    assert build["status"] == "SUCCEEDED", log


async def test_a_private_record_without_its_signature_is_not_built(api: Client, fetched: Fetched):
    url = await uploaded(api, "version-0.0.zip", zip_of(PROJECT))
    build, log = await fetched.build(sourceType="TARBALL", tarballUrl=url.partition("&")[0])
    assert build["status"] == "FAILED"
    assert "was answered with 40" in log


async def test_a_tar_file_of_a_code_host_is_built(api: Client, fetched: Fetched):
    content = tar_of({f"repo-1a2b3c/{name}": text for name, text in PROJECT.items()})
    async with listening(lambda _: web.Response(body=content)) as server:
        url = within(server.url) + "/archive.tar.gz?token=verysecret"
        build, log = await fetched.build(sourceType="TARBALL", tarballUrl=url)
    assert build["status"] == "SUCCEEDED", log
    assert server.received[0].path == "/archive.tar.gz?token=verysecret"
    assert "verysecret" not in log
    assert "fetched" in await run_log(api, build)


async def test_what_cannot_be_downloaded_or_unpacked_ends_the_build_in_plain_words(
    fetched: Fetched,
):
    hostile = zip_of({"../../evil.sh": "x"})
    async with listening(answer(404), lambda _: web.Response(body=hostile)) as server:
        url = within(server.url) + "/a.zip"
        missing, missing_log = await fetched.build(sourceType="TARBALL", tarballUrl=url)
        refused, refused_log = await fetched.build(sourceType="TARBALL", tarballUrl=url)
    assert (missing["status"], refused["status"]) == ("FAILED", "FAILED")
    assert "/a.zip was answered with 404 Not Found. Is the URL right" in missing_log
    assert "'../../evil.sh' is not allowed: it climbs out" in refused_log


@asynccontextmanager
async def git_server(
    bare: Path, allows: Callable[[web.Request], bool] = lambda _: True
) -> AsyncIterator[str]:
    """A repository behind a plain file server, as builds reach it."""

    def respond(request: web.Request) -> web.StreamResponse:
        if not allows(request):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        path = bare / request.path.removeprefix("/repo.git/")
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    server: Receiver
    async with listening(respond) as server:
        yield f"{within(server.url)}/repo.git"


@needs_git
async def test_a_folder_of_a_branch_is_built_with_what_it_needs_of_the_repository(
    api: Client, fetched: Fetched, tmp_path: Path
):
    work = repository(tmp_path / "repo", {"README.md": "no Actor here"})
    git(work, "checkout", "-q", "-b", "feature/x")
    definition = {"actorSpecification": 1, "name": "inner", "dockerContextDir": "../../.."}
    dockerfile = "FROM debian\nCOPY . ./\nCMD sh shared/main.sh\n"
    commit(
        work,
        {
            "actors/one/.actor/actor.json": json.dumps(definition),
            "actors/one/Dockerfile": dockerfile,
            "shared/main.sh": "echo from the branch",
        },
    )
    async with git_server(served(work)) as url:
        build, log = await fetched.build(
            sourceType="GIT_REPO", gitRepoUrl=f"{url}#feature/x:actors/one"
        )
    assert build["status"] == "SUCCEEDED", log
    assert f"Commit {git(work, 'rev-parse', 'HEAD')}." in log
    assert build["actorDefinition"]["name"] == "inner"
    assert "from the branch" in await run_log(api, build)


@needs_git
async def test_a_gist_is_cloned_with_the_credentials_of_its_url(fetched: Fetched, tmp_path: Path):
    bare = served(repository(tmp_path / "repo", {"Dockerfile": SHELL, "main.sh": "echo gist"}))
    header = "Basic " + base64.b64encode(b"me:verysecret").decode()
    async with git_server(
        bare, lambda request: request.headers.get("Authorization") == header
    ) as url:
        private = url.replace("//", "//me:verysecret@")
        built, log = await fetched.build(sourceType="GITHUB_GIST", gitHubGistUrl=private)
        refused, refused_log = await fetched.build(sourceType="GITHUB_GIST", gitHubGistUrl=url)
    assert built["status"] == "SUCCEEDED", log
    assert "verysecret" not in log + json.dumps(built)
    assert refused["status"] == "FAILED"
    assert "If the repository is private, use its ssh address" in refused_log


@needs_git
async def test_git_says_what_it_could_not_find(fetched: Fetched, tmp_path: Path):
    bare = served(repository(tmp_path / "repo", {"Dockerfile": SHELL}))
    async with git_server(bare) as url:
        build, log = await fetched.build(sourceType="GIT_REPO", gitRepoUrl=f"{url}#nowhere")
    assert build["status"] == "FAILED"
    assert "couldn't find remote ref nowhere" in log
    assert "at 'nowhere' cannot be fetched" in log


async def test_an_actor_shows_its_public_deployment_key(api: Client, actors: ActorMaker):
    first, second = await actors.create({"main.py": ""}), await actors.create({"main.py": ""})
    assert first["deploymentKey"].startswith("ssh-ed25519 AAAA")
    assert first["deploymentKey"] != second["deploymentKey"]
    again = (await api.get(f"/v2/acts/{first['id']}")).data
    assert again["deploymentKey"] == first["deploymentKey"]
    assert "PRIVATE" not in json.dumps(again)


@pytest.mark.parametrize(
    "version",
    [
        {"sourceType": "GIT_REPO"},
        {"sourceType": "GIT_REPO", "gitRepoUrl": "file:///etc"},
        {"sourceType": "GIT_REPO", "gitRepoUrl": "https://h/a#main:../up"},
        {"sourceType": "TARBALL", "tarballUrl": "ftp://h/a.tgz"},
        {"sourceType": "SOURCE_CODE"},
    ],
    ids=["no-url", "file", "climbing", "ftp", "legacy"],
)
async def test_a_version_that_could_never_be_built_is_refused(api: Client, version: dict[str, Any]):
    body = {"name": "refused", "versions": [{"versionNumber": "0.0", **version}]}
    reply = await api.post("/v2/acts", json=body)
    assert (reply.status, reply.error["type"]) == (400, "invalid-value")
