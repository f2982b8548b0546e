"""URLs of sources: how they are read, refused and shown."""

import pytest

from callboard.builders.fetching.urls import (
    Credentials,
    InvalidUrl,
    archive_address,
    git_address,
    secrets_of,
    shown_url,
)

HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/a/b", ("https://github.com/a/b", "", "", False)),
        ("https://h/a/b.git#main", ("https://h/a/b.git", "main", "", False)),
        ("https://h/a#feature/x-1:dir/sub", ("https://h/a", "feature/x-1", "dir/sub", False)),
        ("https://h/a#v1.2.3:/dir/", ("https://h/a", "v1.2.3", "dir", False)),
        ("git://h:9418/a#:dir", ("git://h:9418/a", "", "dir", False)),
        ("git@github.com:a/b.git#main:x", ("git@github.com:a/b.git", "main", "x", True)),
        ("ssh://git@h:2222/a.git#v1", ("ssh://git@h:2222/a.git", "v1", "", True)),
        (f"http://[::1]:80/a#{HASH}", ("http://[::1]:80/a", HASH, "", False)),
    ],
)
def test_a_git_url_names_repository_branch_and_folder(
    url: str, expected: tuple[str, str, str, bool]
) -> None:
    address = git_address(url)
    assert (address.url, address.ref, address.folder, address.is_ssh) == expected
    assert address.is_commit == (address.ref == HASH)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "/srv/repository",
        "ext::sh -c id",
        "--upload-pack=id",
        "git@h:-oProxyCommand=id",
        "-oProxyCommand=id@h:a",
        "ssh://-oProxyCommand=id/a",
        "ssh://git:password@h/a",
        "https:///a",
        "https://h/a b",
        "https://h/a\nb",
        "https://[h/a",
        "https://h:port/a",
        "https://user:pa%0ass@h/a",
        "https://h/a#-evil",
        "https://h/a#+refs/heads/x",
        "https://h/a#a..b",
        "https://h/a#a b",
        "https://h/a#x@{1}",
        "https://h/a#main:../x",
        "https://h/a#main:a/../../x",
        "https://h/a#main:a/.git/hooks",
        "https://h/a#main:a\\b",
    ],
)
def test_a_git_url_with_tricks_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        git_address(url)
    assert "password" not in str(caught.value).replace("password in", "").replace("a password", "")


@pytest.mark.parametrize("url", ["ftp://h/a.zip", "file:///a.zip", "a.zip", "http://", "data:,x"])
def test_an_archive_comes_by_http_only(url: str) -> None:
    with pytest.raises(InvalidUrl):
        archive_address(url)


def test_credentials_are_taken_out_of_the_url() -> None:
    address = archive_address("https://me:p%40ss@h:8443/a.zip?token=x#f")
    assert address.url == "https://h:8443/a.zip?token=x"
    assert address.credentials == Credentials("me", "p@ss")
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@h:1/a.zip?signature=abc#x", "https://h:1/a.zip"),
        ("ssh://git@h/a#main:dir", "ssh://h/a"),
        ("git@h:a/b.git#main", "git@h:a/b.git"),
        ("https://[broken?signature=abc", "the URL"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_the_secrets_of_a_url_are_known_to_the_log() -> None:
    url = "https://name:long%40secret@h/a.zip?signature=abcdefgh1&x=1"
    assert set(secrets_of(url)) == {"long%40secret", "long@secret", "abcdefgh1"}
