"""Downloads from servers that misbehave."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from tests.receivers import Answer, answer, listening

from callboard.builders.fetching.download import download
from callboard.builders.fetching.errors import FetchFailed


async def fetched(url: str, folder: Path, *, limit_bytes: int = 1000) -> bytes:
    target = folder / "archive"
    size = await asyncio.to_thread(download, url, target, limit_bytes=limit_bytes)
    assert size == target.stat().st_size
    return target.read_bytes()


async def test_a_file_comes_with_the_urls_query_and_credentials(tmp_path: Path) -> None:
    async with listening(answer(200, "content")) as server:
        url = server.url.replace("//", "//me:p%40ss@") + "/a.zip?signature=abc#part"
        assert await fetched(url, tmp_path) == b"content"
        assert server.received[0].path == "/a.zip?signature=abc"
        assert server.received[0].headers["authorization"] == "Basic bWU6cEBzcw=="


async def test_a_redirect_is_followed_without_the_credentials(tmp_path: Path) -> None:
    async with listening(answer(200, "there")) as other:
        async with listening(answer(302, Location=f"{other.url}/b?x=1")) as server:
            url = server.url.replace("//", "//me:secret@")
            assert await fetched(url, tmp_path) == b"there"
        assert other.received[0].path == "/b?x=1"
        assert "authorization" not in other.received[0].headers


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "/again"])
async def test_a_redirect_leads_to_http_and_ends(tmp_path: Path, target: str) -> None:
    async with listening(answer(302, Location=target)) as server:
        with pytest.raises(FetchFailed):
            await fetched(f"{server.url}/again", tmp_path)
        assert len(server.received) < 12
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "credentials"), (403, "signature or token"), (404, "404 Not Found"), (500, "500")],
)
async def test_an_error_is_told_without_the_query(tmp_path: Path, status: int, words: str) -> None:
    async with listening(answer(status)) as server:
        with pytest.raises(FetchFailed, match=words) as caught:
            await fetched(f"{server.url}/a.zip?token=verysecret", tmp_path)
    assert f"{server.url}/a.zip was answered" in str(caught.value)
    assert "verysecret" not in str(caught.value)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(10_000):
        await response.write(b"x" * 1000)
    return response


async def broken(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "500"})
    await response.prepare(request)
    await response.write(b"x" * 100)
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.parametrize(
    ("response", "words"),
    [(endless, "larger than"), (answer(200, "x" * 1001), "larger than"), (broken, "broke off")],
    ids=["endless", "too-large", "broken"],
)
async def test_a_download_is_complete_and_small_enough(
    tmp_path: Path, response: Answer, words: str
) -> None:
    async with listening(response) as server:
        with pytest.raises(FetchFailed, match=words):
            await fetched(server.url, tmp_path)
    size = (tmp_path / "archive").stat().st_size if (tmp_path / "archive").exists() else 0
    assert size <= 1000


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with listening() as server:
        url = server.url
    with pytest.raises(FetchFailed, match=r"cannot be downloaded: .*[Rr]efused"):
        await fetched(url, tmp_path)
