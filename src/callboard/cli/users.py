"""`callboard users`: accounts of a server."""

from pathlib import Path
from typing import Annotated

import typer

from callboard.cli.failures import CommandFailed, run
from callboard.core.errors import ApiError

app = typer.Typer(help="Accounts of a server.", no_args_is_help=True)


@app.callback()
def users() -> None:
    """Accounts of a server."""


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Username: 3 to 30 of a-z, 0-9, _ . -")],
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder.")] = None,
) -> None:
    """Create an account and print an API token of it."""

    async def main() -> None:
        # Imported late: opening a database costs time that other commands need not pay.
        from callboard.cli.accounts import opened_accounts

        async with opened_accounts(data_dir) as accounts:
            try:
                await accounts.create(name)
                print(await accounts.create_token(name))
            except ApiError as error:
                raise CommandFailed(error.message) from error

    run(main())
