"""Bringing a database to the current schema."""

from sqlalchemy import Engine

from callboard.db.tables import metadata


def upgrade(engine: Engine) -> None:
    """Create or migrate the tables. Harmless when they are current."""
    metadata.create_all(engine)
