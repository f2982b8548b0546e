"""`callboard config`: the settings in force and where each comes from."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from callboard import config
from callboard.cli.columns import show_columns
from callboard.cli.failures import fail
from callboard.config import InvalidSetting

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:]*):[^/@]*(?=@)")

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.callback()
def settings() -> None:
    """Settings."""


@app.command("show")
def show(
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder.")] = None,
    host: Annotated[str | None, typer.Option(help="As given to `up`.")] = None,
    port: Annotated[int | None, typer.Option(help="As given to `up`.")] = None,
) -> None:
    """Show the settings in force and where each comes from. Passwords are hidden."""
    flags = {"data_dir": data_dir, "host": host, "port": port}
    try:
        in_force, sources = config.load_with_sources(flags, os.environ)
    except InvalidSetting as error:
        fail(error)
    else:
        rows = [
            (
                setting.name,
                shown(getattr(in_force, setting.name)),
                sources.get(setting.name, "default"),
            )
            for setting in config.setting_fields()
        ]
        show_columns([("SETTING", "VALUE", "FROM"), *rows], indent="")


def shown(value: Any) -> str:
    """A value as it may be seen by others: URLs lose their password."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "1" if value else "0"
    return _PASSWORD_IN_URL.sub(r"\1:***", str(value))
