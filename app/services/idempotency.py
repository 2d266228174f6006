"""A request that makes servers, sent twice under one key, makes them once: a client that never got
the answer may ask again (IETF draft-ietf-httpapi-idempotency-key-header).

A key belongs to a user in a project, and is kept for `idempotency_key_life_s`. What was refused is
not kept: it may be asked again under the same key.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db.models import IdempotencyKey
from app.db.models.base import now
from app.services.context import Caller, Context
from tasks.errors import Conflict

#: Keys removed with each new one: the table shrinks faster than it grows.
_EXPIRED_BATCH = 100


@dataclass(frozen=True)
class Once:
    """A request as its sender called it, and what it said."""

    key: str
    body_sha256: str

    @classmethod
    def of(cls, key: str, body: Any) -> Self:
        """`body` is JSON as it was read: spaces and the order of its keys do not matter."""
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return cls(key, hashlib.sha256(text.encode()).hexdigest())


def earlier(
    session: Session, context: Context, caller: Caller, once: Once
) -> IdempotencyKey | None:
    """Return what came of the same request before. Raises Conflict if the key was another's."""
    row = session.get(IdempotencyKey, (caller.project_id, caller.user_id, once.key))
    if row is None or row.created_at <= _oldest(context):
        return None
    if row.body_sha256 != once.body_sha256:
        raise Conflict(
            "Idempotency-Key: this key was used before, for a request with another body."
        )
    return row


def remember(
    session: Session,
    context: Context,
    caller: Caller,
    once: Once,
    *,
    server_id: str,
    reservation_id: str,
) -> None:
    """Keep what came of the request, to be committed with it. Some that have expired go."""
    _remove_expired(session, _oldest(context))
    session.merge(
        IdempotencyKey(
            project_id=caller.project_id,
            user_id=caller.user_id,
            key=once.key,
            body_sha256=once.body_sha256,
            server_id=server_id,
            reservation_id=reservation_id,
            created_at=now(),
        )
    )


def _oldest(context: Context) -> datetime:
    return now() - timedelta(seconds=context.settings.idempotency_key_life_s)


def _remove_expired(session: Session, moment: datetime) -> None:
    """Those that another process is removing are left to it."""
    expired = session.execute(
        select(IdempotencyKey.project_id, IdempotencyKey.user_id, IdempotencyKey.key)
        .where(IdempotencyKey.created_at <= moment)
        .limit(_EXPIRED_BATCH)
        .with_for_update(skip_locked=True)
    )
    for project_id, user_id, key in expired.all():
        session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.project_id == project_id,
                IdempotencyKey.user_id == user_id,
                IdempotencyKey.key == key,
            )
        )
