"""`callboard token`: API tokens."""

from pathlib import Path
from typing import Annotated

import typer

from callboard.cli.failures import CommandFailed, run
from callboard.core.errors import ApiError

app = typer.Typer(help="API tokens.", no_args_is_help=True)


@app.callback()
def tokens() -> None:
    """API tokens."""


@app.command("create")
def create(
    user: Annotated[str, typer.Option(help="Whose token it is to be.")],
    name: Annotated[str, typer.Option(help="A name to know it by.")] = "default",
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder.")] = None,
) -> None:
    """Create a token and print it. It is shown this once: only its hash is kept."""

    async def main() -> None:
        # Imported late: opening a database costs time that other commands need not pay.
        from callboard.cli.accounts import opened_accounts

        async with opened_accounts(data_dir) as accounts:
            try:
                print(await accounts.create_token(user, name=name))
            except ApiError as error:
                raise CommandFailed(error.message) from error

    run(main())
