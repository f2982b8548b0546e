"""`callboard config`: the settings in force and where each comes from."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from callboard import config
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
        table = Table("Setting", "Value", "From", box=None, pad_edge=False)
        for setting in config.setting_fields():
            value = shown(getattr(in_force, setting.name))
            table.add_row(setting.name, value, sources.get(setting.name, "default"))
        Console(soft_wrap=True, highlight=False, markup=False).print(table)


def shown(value: Any) -> str:
    """A value as it may be seen by others: URLs lose their password."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "1" if value else "0"
    return _PASSWORD_IN_URL.sub(r"\1:***", str(value))
