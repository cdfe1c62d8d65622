"""
Run the migrations on the connection that the caller opened.
"""

from __future__ import annotations

from alembic import context

from thim.store.schema import metadata


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
)
context.run_migrations()
