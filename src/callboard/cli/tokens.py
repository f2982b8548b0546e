"""`callboard token`: API tokens."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from callboard.cli.failures import CommandFailed, run
from callboard.core.clock import iso
from callboard.core.errors import ApiError

app = typer.Typer(help="API tokens.", no_args_is_help=True)


@app.callback()
def tokens() -> None:
    """API tokens."""


@app.command("create")
def create(
    user: Annotated[str, typer.Option(help="Whose token it is to be.")],
    name: Annotated[str, typer.Option(help="A name to know it by.")] = "default",
    days: Annotated[int | None, typer.Option(min=1, help="After how many days it expires.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="A permission, such as datasets:read or actors:run:ID. May be repeated. "
            "Without any, the token is good for everything."
        ),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder.")] = None,
) -> None:
    """Create a token and print it. It is shown this once: only its hash is kept."""

    async def main() -> None:
        # Imported late: opening a database costs time that other commands need not pay.
        from callboard.cli.accounts import opened_accounts

        async with opened_accounts(data_dir) as accounts:
            try:
                lifetime = None if days is None else timedelta(days=days)
                print(
                    await accounts.create_token(
                        user, name=name, lifetime=lifetime, scopes=allow or None
                    )
                )
            except ApiError as error:
                raise CommandFailed(error.message) from error

    run(main())


@app.command("list")
def list_all(
    user: Annotated[str, typer.Option(help="Whose tokens.")],
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder.")] = None,
) -> None:
    """Show a user's tokens: ID, name, when it expires, what it is good for."""

    async def main() -> None:
        from callboard.cli.accounts import opened_accounts

        async with opened_accounts(data_dir) as accounts:
            try:
                for token in await accounts.tokens_of(user):
                    until = iso(token.expires_at) if token.expires_at else "never expires"
                    allowed = "everything" if token.scopes is None else " ".join(token.scopes)
                    print("\t".join((token.id, token.name, until, allowed)))
            except ApiError as error:
                raise CommandFailed(error.message) from error

    run(main())


@app.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(help="ID of the token, as `token list` shows it.")],
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder.")] = None,
) -> None:
    """Delete a token. A running server refuses it within ten seconds."""

    async def main() -> None:
        from callboard.cli.accounts import opened_accounts

        async with opened_accounts(data_dir) as accounts:
            try:
                await accounts.revoke_token(token_id)
            except ApiError as error:
                raise CommandFailed(error.message) from error

    run(main())
