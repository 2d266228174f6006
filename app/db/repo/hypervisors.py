"""Queries on hypervisors, except claims."""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from app.db.models import Hypervisor


def update_seen(session: Session, name: str, facts: Mapping[str, Any]) -> bool:
    """Write what a host reported; False if there is no such host yet."""
    result = session.execute(update(Hypervisor).where(Hypervisor.name == name).values(**facts))
    return cast("CursorResult[Any]", result).rowcount == 1


def next_number(session: Session) -> int:
    """Return the number after the highest."""
    return (session.scalar(select(func.max(Hypervisor.number))) or 0) + 1
