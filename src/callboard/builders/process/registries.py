"""The operator's package registry settings, as the tools of a build step need them.

Build steps run an Actor's code, so of the server's environment only these settings reach them: where packages come
from and how to trust that place. A credential in such a setting is readable by every build; the tools cannot do
without it.
"""

import configparser
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from callboard.executors.base import Mount

_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_")
_NAMES = frozenset(
    {
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NODE_EXTRA_CA_CERTS",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    }
)
_PLACES = frozenset(
    {
        "PIP_CACHE_DIR",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "PIP_CONFIG_FILE",
        "PIP_REQUIRE_VIRTUALENV",
        "UV_CACHE_DIR",
        "UV_CONFIG_FILE",
        "UV_PYTHON",
        "UV_PROJECT_ENVIRONMENT",
        "UV_PYTHON_INSTALL_DIR",
        "UV_TOOL_DIR",
        "UV_TOOL_BIN_DIR",
        "NPM_CONFIG_CACHE",
        "NPM_CONFIG_PREFIX",
        "NPM_CONFIG_USERCONFIG",
        "NPM_CONFIG_GLOBALCONFIG",
    }
)
"""Settings that name the server's own folders; a build has its own."""

_UV_OF_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
}
_NPM_KEYS = re.compile(
    r"(@[^:]+:)?registry|//.*:(_authToken|_auth|username|_password)|cafile|ca|strict-ssl|proxy|https-proxy"
    r"|noproxy|nodedir|fund|audit|update-notifier|omit-lockfile-registry-resolved"
)
_PATH_SETTINGS = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
)


@dataclass(frozen=True)
class Registries:
    """What a step gets: environment, the text of an `.npmrc`, and host paths it must see, read-only."""

    env: dict[str, str]
    npmrc: str
    paths: tuple[Path, ...]

    def mounts(self) -> Iterator[Mount]:
        """The paths, but for those that every sandbox shows."""
        for path in self.paths:
            if not path.is_relative_to("/usr") and not path.is_relative_to("/etc/ssl"):
                yield Mount(path, str(path))


def passed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that says where packages come from."""
    return {
        name: value
        for name, value in environ.items()
        if (name in _NAMES or name.startswith(_PREFIXES)) and name.upper() not in _PLACES
    }


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Of these settings, the way out of this network, which steps in containers have without declaring it."""
    passed = passed_environment(environ)
    return {name: value for name, value in passed.items() if name.lower().endswith("_proxy")}


def read_registries(environ: Mapping[str, str]) -> Registries:
    """Collect the settings from `environ` and the configuration files it points to."""
    env = passed_environment(environ)
    pip = _pip_settings(environ)
    for name, value in pip.items():
        env.setdefault("PIP_" + name.upper().replace("-", "_"), " ".join(value.split()))
    for name, setting in _UV_OF_PIP.items():
        value = env.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            env.setdefault(setting, _for_uv(name, value))
    if "UV_INDEX" in env:
        env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # pip takes all indexes for equals
    npmrc = _npmrc(environ)
    return Registries(env, npmrc, tuple(_existing_paths(env, npmrc)))


def _for_uv(name: str, value: str) -> str:
    """uv separates find-links by commas, pip everything by spaces."""
    return ",".join(value.split()) if name == "find-links" else value


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for path in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update(
                    {k: v for k, v in parser.items(section) if k in _UV_OF_PIP or k == "proxy"}
                )
    return settings


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Weakest first, as pip reads them."""
    home = Path(environ.get("HOME", "/root"))
    yield Path("/etc/xdg/pip/pip.conf")
    yield Path("/etc/pip.conf")
    yield home / ".pip/pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    if environ.get("PIP_CONFIG_FILE"):
        yield Path(environ["PIP_CONFIG_FILE"])


def _npmrc(environ: Mapping[str, str]) -> str:
    """The registry lines of the operator's npm configuration, strongest last."""
    home = Path(environ.get("HOME", "/root"))
    user = environ.get("NPM_CONFIG_USERCONFIG") or environ.get("npm_config_userconfig")
    shared = environ.get("NPM_CONFIG_GLOBALCONFIG") or "/etc/npmrc"
    lines: dict[str, str] = {}
    for path in (
        Path("/usr/local/etc/npmrc"),
        Path(shared),
        Path(user) if user else home / ".npmrc",
    ):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for line in text.splitlines():
            key, equals, _ = line.partition("=")
            if equals and _NPM_KEYS.fullmatch(key.strip().removesuffix("[]")):
                lines[key.strip()] = os.path.expandvars(line.strip())
    return "".join(f"{line}\n" for line in lines.values())


def _existing_paths(env: Mapping[str, str], npmrc: str) -> Iterator[Path]:
    """Files and folders of the host that the settings point to: certificates, local indexes, wheel folders."""
    named = [env[name] for name in _PATH_SETTINGS if name in env]
    for name in (
        "UV_FIND_LINKS",
        "UV_INDEX",
        "UV_DEFAULT_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_INDEX_URL",
    ):
        named += re.split(r"[,\s]+", env.get(name, ""))
    named += [
        match[1] for match in re.finditer(r"^(?:cafile|nodedir)\s*=\s*(\S+)$", npmrc, re.MULTILINE)
    ]
    seen: set[Path] = set()
    for text in named:
        path = Path(unquote(urlsplit(text).path) if text.startswith("file:") else text)
        path = (
            path.parent if path.name == "simple" else path
        )  # a local index links to files beside its pages
        if path.is_absolute() and path not in seen and path.exists():
            seen.add(path)
            yield path
