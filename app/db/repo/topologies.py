"""Queries on the networks that are made by themselves, and on what they need."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import AutoTopology, Network


def of_project(session: Session, project_id: str) -> AutoTopology | None:
    """Return what was made for the project, or None."""
    return session.get(AutoTopology, project_id)


def default_external(session: Session) -> Network | None:
    """Return the external network that routers lead to when nobody says where, or None."""
    query = select(Network).where(Network.is_default.is_(True))
    return session.scalars(query.limit(1)).first()
