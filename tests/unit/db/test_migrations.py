"""The migrations make the schema that `tables.py` describes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from callboard.db.migrate import UnknownDatabase, upgrade
from callboard.db.tables import metadata


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path}/schema.db")
    yield made
    made.dispose()


# Indexes of expressions are left out here, and said to be; the next test has them.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_a_new_database_has_the_tables_that_the_code_knows(engine: Engine):
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_migrated_schema_is_that_of_the_tables_to_the_letter(engine: Engine, tmp_path: Path):
    upgrade(engine)
    described = create_engine(f"sqlite:///{tmp_path}/described.db")
    metadata.create_all(described)
    assert _definitions(engine) == _definitions(described)
    described.dispose()


def test_migrating_twice_changes_nothing(engine: Engine):
    upgrade(engine)
    before = inspect(engine).get_table_names()
    upgrade(engine)
    assert inspect(engine).get_table_names() == before


def test_tables_of_others_are_left_alone(engine: Engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (id INTEGER)"))
    with pytest.raises(UnknownDatabase, match="was made by another program"):
        upgrade(engine)
    assert inspect(engine).get_table_names() == ["users"]


def test_the_schema_of_a_newer_version_is_left_alone(engine: Engine):
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnknownDatabase, match=r"newer version of Callboard \(its schema is 9999\)"):
        upgrade(engine)


def test_a_file_that_is_no_database_is_left_alone(engine: Engine):
    path = Path(str(engine.url.database))
    path.write_bytes(b"something else" * 100)
    with pytest.raises(UnknownDatabase, match="not a database"):
        upgrade(engine)
    assert path.read_bytes() == b"something else" * 100


def _definitions(engine: Engine) -> dict[str, str]:
    """Tables and indexes by name, their SQL without its spacing."""
    query = text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    with engine.connect() as connection:
        rows = connection.execute(query)
        found = {name: "".join(str(sql).split()) for name, sql in rows}
    return {name: sql for name, sql in found.items() if name != "alembic_version"}
