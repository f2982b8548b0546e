"""Every setting once: its name, type, default and meaning. Docs, `--help` and `config show` come from here.

A value is taken from the command line, else from the environment, else from the TOML file, else from the default.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin
from urllib.parse import urlsplit

import msgspec
from platformdirs import user_data_path

from callboard.core.caps import Caps

ENV_PREFIX = "CALLBOARD_"
CONFIG_FILE_VARIABLE = "CALLBOARD_CONFIG"
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?")
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_POSITIVE = (
    "max_actors",
    "max_tasks",
    "max_schedules",
    "max_webhooks",
    "rate_per_second",
    "record_rate_per_second",
    "busy_rate_per_second",
    "rate_per_minute",
)


class InvalidSetting(Exception):
    """A setting that cannot be used, named in a sentence for the operator."""


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


def _default_data_dir() -> Path:
    return user_data_path("callboard")


@dataclass(frozen=True)
class ProxyUpstream:
    """A proxy that requests go out through when they ask for one of its groups, for its country or for any."""

    url: str
    """`http://user:password@host:port`, also https:, socks5: or socks4:, or `direct` for this machine's way out."""
    groups: tuple[str, ...] = ()
    country: str | None = None
    """Two letters, or with a subdivision: `US`, `US_CA`."""


@dataclass(frozen=True)
class Settings:
    """All settings, checked. The environment variable of `sync_wait_secs` is `CALLBOARD_SYNC_WAIT_SECS`."""

    data_dir: Path = field(
        default_factory=_default_data_dir,
        metadata={
            "help": "Folder of the database, files, logs and builds. One server uses it at a time."
        },
    )
    host: str = _setting("127.0.0.1", "Address to listen on. Use 0.0.0.0 to serve other machines.")
    port: int = _setting(8484, "Port to listen on; 0 takes a free one.")
    public_url: str | None = _setting(
        None,
        "Base URL under which clients reach this server, without /v2. Default: as the client sent it.",
    )
    internal_url: str | None = _setting(
        None,
        "Base URL under which Actors reach the API, without /v2. Default: found by the server.",
    )
    gateway_host: str | None = _setting(
        None,
        "Domain below which Actors' own web servers have names, such as actors.example.com: a wildcard of it "
        "has to lead to this server. On one machine localhost will do for browsers and curl. "
        "Default: they have paths of the base URL.",
    )
    sync_wait_secs: float = _setting(
        300.0, "How long a synchronous run is held before it is answered with 408. The run goes on."
    )
    memory_limit_mbytes: int = _setting(
        0,
        "Sum of the memory of running runs and builds; others wait as READY. 0 means the machine's memory, "
        "or what its container allows.",
    )
    default_memory_mbytes: int = _setting(
        1024, "Memory of a run when neither caller nor Actor says."
    )
    default_timeout_secs: int = _setting(
        3600, "Timeout of a run when neither caller nor Actor says. 0 means none."
    )
    build_memory_mbytes: int = _setting(4096, "Memory limit of a build.")
    build_timeout_secs: int = _setting(1800, "Timeout of a build.")
    executor: str = _setting(
        "process",
        "What builds and runs Actors: process (sandboxed processes of this machine) or docker.",
    )
    docker_url: str | None = _setting(
        None,
        "Address of the container engine, unix:///path or tcp://host:port. "
        "Default: DOCKER_HOST, else unix:///var/run/docker.sock.",
    )
    allow_unsandboxed: bool = _setting(
        False,
        "Run Actors without isolation where the machine offers none. Only for code you trust.",
    )
    allow_local_network: bool = _setting(
        False,
        "Let Actors reach services on this machine, as host.callboard.internal, "
        "and webhooks reach private addresses.",
    )
    proxy_upstreams: tuple[ProxyUpstream, ...] = _setting(
        (),
        "Proxies that the built-in one goes out through, each with url, groups and country: a list of tables, "
        "in the environment as JSON. Default: it goes out directly.",
    )
    retention_days: int = _setting(
        7,
        "Days after which unnamed storages and all but the ten newest runs of an Actor are removed.",
    )
    missed_schedules: str = _setting(
        "once",
        "What becomes of invocations of a schedule that were due while the server was down: "
        "once (one of them is made up for) or skip.",
    )
    max_actors: int = _setting(500, "Actors an account may have.")
    max_tasks: int = _setting(5000, "Actor tasks an account may have.")
    max_schedules: int = _setting(100, "Schedules an account may have.")
    max_webhooks: int = _setting(
        100, "Webhooks an account may have, besides those for a single run."
    )
    rate_limits: str = _setting(
        "auto",
        "Whether requests are refused with 429 beyond the rates below: on, off, or auto, which is on "
        "unless only this machine can reach the server.",
    )
    rate_per_second: int = _setting(60, "Requests a second of one account on one resource.")
    record_rate_per_second: int = _setting(
        200, "The same for reading, writing and deleting records of a key-value store."
    )
    busy_rate_per_second: int = _setting(
        400,
        "The same for starting runs, pushing items, and adding and changing requests of a queue.",
    )
    rate_per_minute: int = _setting(
        250_000, "Requests a minute of one account, or of one address without a token."
    )
    log_level: str = _setting(
        "info", "Least severe server messages shown: debug, info, warning, error."
    )

    @property
    def is_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def caps(self) -> Caps:
        return Caps(self.max_actors, self.max_tasks, self.max_schedules, self.max_webhooks)

    @property
    def enforces_rates(self) -> bool:
        is_reached_by_others = not self.is_loopback or self.public_url is not None
        return self.rate_limits == "on" or (self.rate_limits == "auto" and is_reached_by_others)

    def base_url(self, port: int) -> str:
        """Where clients reach a server that listens on `port`, without /v2 and without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def env_name(setting: str) -> str:
    return ENV_PREFIX + setting.upper()


def setting_fields() -> tuple[Field[Any], ...]:
    return fields(Settings)


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Gather the settings. Flags that are None count as not given. Raises InvalidSetting."""
    return load_with_sources(flags, environ)[0]


def load_with_sources(
    flags: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Settings, Mapping[str, str]]:
    """As `load`, and for each setting that is not the default where its value comes from."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    from_file = _read_file(environ.get(CONFIG_FILE_VARIABLE))
    for setting in setting_fields():
        for source, value in (
            ("the command line", flags.get(setting.name)),
            (env_name(setting.name), environ.get(env_name(setting.name))),
            ("the configuration file", from_file.pop(setting.name, None)),
        ):
            if value is not None:
                values[setting.name] = _convert(setting, value, source)
                sources[setting.name] = source
                break
    if from_file:
        raise InvalidSetting(f"Unknown in the configuration file: {', '.join(sorted(from_file))}.")
    return _checked(Settings(**values)), sources


def _read_file(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSetting(f"The configuration file {path} cannot be read: {error}") from error


def _convert(setting: Field[Any], value: Any, source: str) -> Any:
    if isinstance(value, str) and setting.type is bool:
        value = {"1": True, "true": True, "0": False, "false": False, "": False}.get(
            value.lower(), value
        )
    if setting.type is Path:
        return Path(value).expanduser().absolute()
    if get_origin(setting.type) is tuple:
        return _convert_list(setting, value, source)
    try:
        return msgspec.convert(value, setting.type, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidSetting(
            f'"{value}" from {source} is no value for {setting.name}: {error}'
        ) from error


def _convert_list(setting: Field[Any], value: Any, source: str) -> Any:
    """From tables, or from JSON. What is wrong is not shown: it may hold passwords."""
    try:
        items = msgspec.json.decode(value or "[]") if isinstance(value, str) else value
        return msgspec.convert(items, setting.type)
    except msgspec.MsgspecError as error:
        raise InvalidSetting(
            f"What {source} holds is no value for {setting.name}: {error}"
        ) from error


def _checked(settings: Settings) -> Settings:
    if not 0 <= settings.port <= 65_535:
        raise InvalidSetting(f"The port must be between 0 and 65535, not {settings.port}.")
    if settings.executor not in ("process", "docker"):
        raise InvalidSetting(f'There is no executor "{settings.executor}". Use process or docker.')
    if settings.sync_wait_secs <= 0:
        raise InvalidSetting("sync_wait_secs must be more than 0.")
    if settings.gateway_host is not None and not _HOST.fullmatch(settings.gateway_host):
        raise InvalidSetting(
            f'gateway_host must be a domain, like actors.example.com, not "{settings.gateway_host}".'
        )
    for upstream in settings.proxy_upstreams:
        _check_upstream(upstream)
    if settings.missed_schedules not in ("once", "skip"):
        raise InvalidSetting("missed_schedules must be once or skip.")
    if settings.rate_limits not in ("auto", "on", "off"):
        raise InvalidSetting("rate_limits must be auto, on or off.")
    for name in _POSITIVE:
        if getattr(settings, name) < 1:
            raise InvalidSetting(f"{name} must be at least 1.")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise InvalidSetting(f'There is no log level "{settings.log_level}".')
    return settings


def _check_upstream(upstream: ProxyUpstream) -> None:
    try:
        url = urlsplit(upstream.url)
        is_url = url.scheme in _PROXY_SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        is_url = False
    if not is_url and upstream.url != "direct":
        raise InvalidSetting(
            'The url in proxy_upstreams must be like http://host:port, https:, socks5: or socks4:, or "direct".'
        )
    for group in upstream.groups:
        if not re.fullmatch(r"[A-Za-z0-9_.~]+", group):
            raise InvalidSetting(f'"{group}" in proxy_upstreams is no name for a group.')
    if upstream.country is not None and not re.fullmatch(
        r"[A-Z]{2}(_[A-Z0-9]{1,3})?", upstream.country
    ):
        raise InvalidSetting(f'"{upstream.country}" in proxy_upstreams is no country, such as US.')
