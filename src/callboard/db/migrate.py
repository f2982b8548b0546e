"""Bringing a database to the current schema, by the migrations beside this module.

A new one is written by `python -m callboard.db.migrate "what it does"` after a change of `tables.py`.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run the migrations that are missing, all or none. Harmless when the schema is current."""
    with engine.begin() as connection:
        command.upgrade(_config(connection), "head")


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
