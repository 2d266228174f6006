"""The image caches of hosts: what is in them, as they tell, and what they are to have in them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

import structlog
from sqlalchemy.orm import Session

from app.db.models import CachedImage, Image
from app.db.repo import cached_images, hypervisors, images
from app.db.session import Sessions, reading
from app.runs.build_spec import image_source
from app.runs.checkpoint import moment_of
from app.scheduling.rules import alive_since
from app.services.context import Context
from tasks.errors import Conflict, NotFound
from tasks.messages import CacheReport, ImageSource, StoredFormat, WarmCache

log = structlog.get_logger(__name__)

#: A report that is older than the last one by at most so many seconds came late; by more, the
#: host's clock was set back.
_LATE_S = 300.0


@dataclass(frozen=True)
class CachedView:
    """An image in a host's cache."""

    image_id: str | None
    sha256: str
    disk_format: str
    state: str
    reason: str | None
    size_bytes: int
    allocated_bytes: int
    used_at: datetime
    in_use: bool


@dataclass(frozen=True)
class CacheView:
    """A host's cache. `reported_at` is None until the host has told of it."""

    host: str
    alive: bool
    reported_at: datetime | None
    allocated_bytes: int
    images: list[CachedView]


def take_report(sessions: Sessions, report: CacheReport) -> None:
    """Write down what a host says of its cache."""
    taken_at = moment_of(report.taken_at)
    with sessions.begin() as session:
        host = cached_images.lock_host(session, report.host)
        if host is None:
            log.info("cache_report.unknown_host", host=report.host)
            return
        before = host.image_cache_at
        if before is not None and 0 < (before - taken_at).total_seconds() < _LATE_S:
            return
        host.image_cache_at = taken_at
        rows = {(one.sha256, one.disk_format): one for one in report.images}
        cached_images.replace(
            session,
            host.id,
            [{**one.model_dump(), "used_at": moment_of(one.used_at)} for one in rows.values()],
        )


def listed(context: Context, name: str) -> CacheView:
    """Return what is in a host's cache. Raises NotFound."""
    with reading(context.sessions) as session:
        host = hypervisors.by_name(session, name)
        if host is None:
            raise NotFound(f"No hypervisor is named {name}.")
        return CacheView(
            host=host.name,
            alive=host.last_seen_at >= alive_since(context.settings),
            reported_at=host.image_cache_at,
            allocated_bytes=host.image_cache_bytes,
            images=[_view(row) for row in cached_images.listed(session, host.id)],
        )


def warm(context: Context, name: str, image_ids: Sequence[str]) -> None:
    """Order a host to have images in its cache. Raises NotFound for a host or an image, Conflict
    for an image that is not active, and for a host that is silent: the order would be lost."""
    deadline = time.time() + context.settings.run_limit_s
    with reading(context.sessions) as session:
        host = hypervisors.by_name(session, name)
        if host is None:
            raise NotFound(f"No hypervisor is named {name}.")
        if host.last_seen_at < alive_since(context.settings):
            raise Conflict(f"Hypervisor {name} is not heard of: it cannot be told to fetch.")
        sources = [_source(session, context, one, deadline) for one in dict.fromkeys(image_ids)]
    context.publisher.warm(WarmCache(host=name, deadline=deadline, images=sources))


def _source(session: Session, context: Context, image_id: str, deadline: float) -> ImageSource:
    row = images.get(session, image_id)
    if row is None:
        raise NotFound(f"No image found with ID {image_id}")
    _refuse_unfit(row)
    return image_source(row, context.settings, deadline)


def _refuse_unfit(row: Image) -> None:
    if row.status != "active":
        raise Conflict(f"Image {row.id} cannot be cached: its status is {row.status}.")
    if row.disk_format not in get_args(StoredFormat):
        raise Conflict(f"Image {row.id} cannot be cached: its disk format is {row.disk_format}.")


def _view(row: CachedImage) -> CachedView:
    return CachedView(
        image_id=row.image_id or None,
        sha256=row.sha256,
        disk_format=row.disk_format,
        state=row.state,
        reason=row.reason or None,
        size_bytes=row.size_bytes,
        allocated_bytes=row.allocated_bytes,
        used_at=row.used_at,
        in_use=row.in_use,
    )
