"""The `callboard` command."""

from importlib.metadata import version
from typing import Annotated

import typer

from callboard.cli import config, demo, doctor, env, images, tokens, up, users

app = typer.Typer(
    help="A self-hosted, Apify-compatible platform for Actors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"callboard {version('callboard')}")
        raise typer.Exit


@app.callback()
def callboard(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """A self-hosted, Apify-compatible platform for Actors."""


app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("env")(env.env)
app.command("doctor")(doctor.doctor)
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="token")
app.add_typer(config.app, name="config")
app.add_typer(images.app, name="images")


def main() -> None:
    app()
