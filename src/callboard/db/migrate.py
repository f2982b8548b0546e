"""Bringing a database to the current schema, by the migrations beside this module.

A new one is written by `python -m callboard.db.migrate "what it does"` after a change of `tables.py`.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect
from sqlalchemy.exc import DatabaseError

_MIGRATIONS = Path(__file__).parent / "migrations"


class UnknownDatabase(Exception):
    """A database that this version of Callboard cannot work with. The message is one line for the operator."""


def upgrade(engine: Engine) -> None:
    """Run the migrations that are missing, all or none. Harmless when the schema is current.

    Raises UnknownDatabase, and has changed nothing then.
    """
    try:
        with engine.begin() as connection:
            config = _config(connection)
            _require_known(connection, config)
            command.upgrade(config, "head")
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # a full disk, or a mistake of ours
            raise
        raise UnknownDatabase(f"{engine.url.database} is not a database: {error.orig}.") from error


def _require_known(connection: Connection, config: Config) -> None:
    path = connection.engine.url.database
    heads = MigrationContext.configure(connection).get_current_heads()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if unknown := set(heads) - known:
        raise UnknownDatabase(
            f"{path} was made by a newer version of Callboard (its schema is {', '.join(unknown)}): "
            "start that version, or use another data folder."
        )
    if not heads and inspect(connection).get_table_names():
        raise UnknownDatabase(
            f"{path} was made by another program, or by a version of Callboard before the first release: "
            "use another data folder."
        )


def _config(connection: Connection) -> Config:
    config = Config()
    # A percent sign in the path would be taken for interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _write_migration(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/schema.db")
        upgrade(engine)
        with engine.connect() as connection:
            number = len(list((_MIGRATIONS / "versions").glob("*.py"))) + 1
            command.revision(
                _config(connection), message, autogenerate=True, rev_id=f"{number:04d}"
            )
        engine.dispose()


if __name__ == "__main__":
    _write_migration(" ".join(sys.argv[1:]))
