"""Run by Alembic: migrates the connection it is handed. There is no offline mode."""

from alembic import context

from callboard.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
