"""`callboard env`: what to set so that the official clients talk to this server.

Written for `eval "$(callboard env)"`: what a client reads from the environment is exported, the rest is comments.
"""

import os
import shlex
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from callboard import config
from callboard.cli.failures import CommandFailed, fail
from callboard.config import InvalidSetting


def env(
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder.")] = None,
    port: Annotated[int | None, typer.Option(help="The server's port on this machine.")] = None,
    url: Annotated[
        str | None, typer.Option(help="The server's base URL, without /v2, when it is elsewhere.")
    ] = None,
) -> None:
    """Print what to set for the official clients. Use: eval "$(callboard env)"."""
    try:
        settings = config.load({"data_dir": data_dir, "port": port}, os.environ)
        token_file = settings.data_dir / "token"
        if not token_file.exists():
            raise CommandFailed(
                f"There is no token in {settings.data_dir} yet. Start `callboard up` first."
            )
        base_url = (url or settings.base_url(settings.port)).rstrip("/")
    except (CommandFailed, InvalidSetting) as error:
        fail(error)
    else:
        print(client_settings(base_url, token_file))


def client_settings(base_url: str, token_file: Path) -> str:
    """Lines for a POSIX shell. The token itself is not among them: the shell reads it from its file."""
    url, token = shlex.quote(base_url), shlex.quote(str(token_file))
    console = shlex.quote(f"{base_url}/console")
    return f"""\
# Callboard at {base_url}

# All clients
export APIFY_TOKEN="$(cat {token})"

# Apify SDK for Python and JavaScript, Crawlee through it, the MCP server
export APIFY_API_BASE_URL={url}
export APIFY_API_PUBLIC_BASE_URL={url}
{_proxy_settings(base_url)}

# apify-cli, kept from calling other servers. It has to log in once:
#   apify login -t "$APIFY_TOKEN"
export APIFY_CLIENT_BASE_URL={url}
export APIFY_CONSOLE_URL={console}
export APIFY_CLI_DISABLE_TELEMETRY=1
export APIFY_CLI_SKIP_UPDATE_CHECK=1
export APIFY_DISABLE_KEYRING=1
export TELEMETRY_ENABLED=false

# apify-client for Python reads no variables:
#   base_url = os.environ["APIFY_API_BASE_URL"]
#   ApifyClient(os.environ["APIFY_TOKEN"], api_url=base_url, api_public_url=base_url)

# apify-client for JavaScript reads none either:
#   const {{ APIFY_TOKEN: token, APIFY_API_BASE_URL: baseUrl }} = process.env;
#   new ApifyClient({{ token, baseUrl, publicBaseUrl: baseUrl }});

# curl
#   curl -H "Authorization: Bearer $APIFY_TOKEN" "$APIFY_API_BASE_URL/v2/users/me\""""


def _proxy_settings(base_url: str) -> str:
    url = urlsplit(base_url)
    if url.scheme != "http":
        return "# The forward proxy is at the server's own port, not behind https."
    return f"""\
export APIFY_PROXY_HOSTNAME={shlex.quote(url.hostname or "")}
export APIFY_PROXY_PORT={url.port or 80}"""
