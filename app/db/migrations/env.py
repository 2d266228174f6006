"""What alembic runs for each command; the connection comes from app.db.migrations."""

from typing import Any, Literal

from alembic import context

from app.db.models import Base
from app.db.models.base import UtcTime


def _render(kind: str, item: object, _: Any) -> str | Literal[False]:
    """Write our own column type as the plain one: a migration must not change with the code."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter a column: the table is copied instead.
    render_as_batch=True,
    compare_type=True,
    render_item=_render,
)
context.run_migrations()
