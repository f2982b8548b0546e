"""URLs of sources: which are taken, what they say, and how they are shown. They may hold passwords and signatures."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from callboard.builders.sources import name_fault

ARCHIVE_SCHEMES = frozenset({"http", "https"})
GIT_SCHEMES = frozenset({"http", "https", "git", "ssh"})
_SCP = re.compile(r"(?P<user>[A-Za-z0-9_][\w.-]*)@(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>[^\s:-].*)")
_HOST = re.compile(r"[A-Za-z0-9_:][\w.:-]*")
_NOT_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|\.lock(?:/|$)|^[-+/.]")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MIN_SECRET_LENGTH = 8


class InvalidUrl(ValueError):
    """A URL that no sources are taken from. The message says why, without the URL's secrets."""


@dataclass(frozen=True)
class Credentials:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class GitAddress:
    """What `url#branchOrTag:folder` says. `url` is without credentials, except for the user name of SSH."""

    url: str
    ref: str
    """A branch, tag or full commit hash; empty means the default branch."""
    folder: str
    """Where in the tree the Actor is, empty for the top. Holds no `..`."""
    credentials: Credentials | None

    @property
    def is_ssh(self) -> bool:
        return self.url.startswith("ssh://") or "://" not in self.url

    @property
    def is_commit(self) -> bool:
        return _COMMIT.fullmatch(self.ref) is not None


@dataclass(frozen=True)
class ArchiveAddress:
    """Where to download an archive. `url` is without credentials and without a fragment."""

    url: str
    credentials: Credentials | None


def archive_address(url: str) -> ArchiveAddress:
    """Raises InvalidUrl."""
    plain, credentials = _split(url.partition("#")[0], ARCHIVE_SCHEMES)
    return ArchiveAddress(plain, credentials)


def git_address(url: str) -> GitAddress:
    """Raises InvalidUrl."""
    address, _, fragment = url.partition("#")
    ref, _, folder = fragment.partition(":")
    folder = folder.strip("/")
    if _NOT_IN_REF.search(ref):
        raise InvalidUrl(f"{ref!a} is no name of a branch or tag.")
    fault = name_fault(folder) if folder else None
    if fault or ".git" in folder.lower().split("/"):
        raise InvalidUrl(f"{folder!a} is no folder of a repository.")
    if _SCP.fullmatch(address) and "://" not in address:
        return GitAddress(_printable(address), ref, folder, None)
    plain, credentials = _split(address, GIT_SCHEMES)
    if credentials is not None and plain.startswith("ssh://"):
        plain = plain.replace("ssh://", f"ssh://{_ssh_user(credentials)}@", 1)
        credentials = None
    return GitAddress(plain, ref, folder, credentials)


def shown_url(url: str) -> str:
    """The URL for logs: without user name, password, query and fragment."""
    address = url.partition("#")[0]
    if "://" not in address:
        return address.partition("?")[0]
    try:
        parts = urlsplit(address)
    except ValueError:
        return "the URL"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def secrets_of(url: str) -> tuple[str, ...]:
    """What no log may show of the URL, as written and decoded."""
    try:
        parts = urlsplit(url.partition("#")[0])
    except ValueError:
        return ()
    userinfo = parts.netloc.rpartition("@")[0].split(":", 1)
    given = [*(userinfo if parts.scheme != "ssh" else userinfo[1:])]
    decoded = [unquote(value) for value in given]
    query = [pair.partition("=")[2] for pair in parts.query.split("&")]
    query += [value for _, value in parse_qsl(parts.query)]
    return tuple({value for value in given + decoded + query if len(value) >= _MIN_SECRET_LENGTH})


def _split(url: str, schemes: frozenset[str]) -> tuple[str, Credentials | None]:
    """The URL without credentials, and them."""
    try:
        parts = urlsplit(_printable(url))
        host, _ = parts.hostname, parts.port
    except ValueError:  # whose words quote the URL, with its password
        raise InvalidUrl("The URL is not valid.") from None
    if parts.scheme not in schemes:
        raise InvalidUrl(f"The URL must start with {_listed(schemes)}.")
    if not host or not _HOST.fullmatch(host):
        raise InvalidUrl("The URL names no host.")
    userinfo, _, netloc = parts.netloc.rpartition("@")
    credentials = _credentials(userinfo) if userinfo else None
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, "")), credentials


def _listed(schemes: frozenset[str]) -> str:
    first, *rest = sorted((f"{scheme}://" for scheme in schemes), key=len)
    return f"{', '.join([first, *rest[:-1]])} or {rest[-1]}"


def _printable(url: str) -> str:
    if not url.isprintable() or " " in url:
        raise InvalidUrl("The URL holds a space or a character that cannot be shown.")
    return url


def _credentials(userinfo: str) -> Credentials:
    username, _, password = userinfo.partition(":")
    made = Credentials(unquote(username), unquote(password))
    if not (made.username + made.password).isprintable():
        raise InvalidUrl("The user name or password in the URL cannot be used.")
    return made


def _ssh_user(credentials: Credentials) -> str:
    if not re.fullmatch(r"\w[\w.-]*", credentials.username) or credentials.password:
        raise InvalidUrl("An ssh URL may name a user, without a password.")
    return credentials.username
