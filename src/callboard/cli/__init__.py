"""The `callboard` command."""

import typer

from callboard.cli import tokens, up, users

app = typer.Typer(
    help="A self-hosted, Apify-compatible platform for Actors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="token")


def main() -> None:
    app()
