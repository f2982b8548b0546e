"""`callboard images`: base images for builds with a container engine, where no registry has them."""

import os
from typing import Annotated

import typer

from callboard import config
from callboard.cli.failures import CommandFailed, run

app = typer.Typer(help="Base images for builds with a container engine.", no_args_is_help=True)


@app.callback()
def images() -> None:
    """Base images for builds with a container engine."""


@app.command()
def bootstrap(
    languages: Annotated[
        list[str] | None, typer.Argument(help="python, node, or both; python by default.")
    ] = None,
    installed: Annotated[
        bool,
        typer.Option(
            "--installed",
            help="Of the Debian packages installed on this machine: takes seconds and no network.",
        ),
    ] = False,
    no_sdk: Annotated[
        bool,
        typer.Option(
            "--no-sdk",
            help="Leave apify and crawlee, which come from the npm registry, out of the image for Node.js.",
        ),
    ] = False,
    suite: Annotated[
        str | None, typer.Option(help="Debian release. Default: this machine's, else stable.")
    ] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            help="Where packages come from, as mmdebstrap takes it: a URL, a sources line or file. May be repeated."
        ),
    ] = None,
    package: Annotated[
        list[str] | None, typer.Option(help="One more package to install. May be repeated.")
    ] = None,
) -> None:
    """Make apify/actor-python and apify/actor-node images of Debian's packages, without a registry.

    What pip, npm and TLS are told by this environment and its configuration files, builds in the images
    are told as well.
    """
    from callboard.builders.docker.base_images import LANGUAGES
    from callboard.builders.docker.bootstrap import (
        BootstrapFailed,
        Wish,
        host_suite,
    )
    from callboard.builders.docker.bootstrap import (
        bootstrap as make,
    )
    from callboard.executors.docker.engine import Engine, EngineGone, EngineRefused, default_url

    async def main() -> None:
        settings = config.load({}, os.environ)
        unknown = [name for name in languages or () if name not in LANGUAGES]
        if unknown:
            raise CommandFailed(f"There is no image for {unknown[0]}; use python or node.")
        wish = Wish(suite or host_suite(), mirror or (), package or (), installed, not no_sdk)
        try:
            async with Engine(settings.docker_url or default_url(os.environ)) as engine:
                for name in languages or ["python"]:
                    made = await make(engine, LANGUAGES[name], wish, say=print)
                    print(f"Made {' and '.join(made)}.")
        except (BootstrapFailed, EngineGone, EngineRefused, ValueError) as error:
            raise CommandFailed(str(error)) from error

    run(main())
