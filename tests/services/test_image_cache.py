"""What hosts tell of their image caches, what they are ordered to fetch, what room that takes."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.db.models import Hypervisor, Image
from app.db.models.base import now
from app.db.session import Sessions, reading
from app.runs.tickets import check_ticket
from app.services import hypervisors, image_cache, retiring
from app.services.context import Context
from tasks.errors import Conflict, Forbidden
from tasks.messages import CachedImage, CacheReport
from tests.http.cases import Recorder
from tests.rows import add_host, make_settings, make_world

SETTINGS = make_settings()


def context_of(sessions: Sessions) -> Context:
    return Context(sessions, SETTINGS, Recorder())


def an_image(digit: str, **changes: Any) -> CachedImage:
    values = {
        "image_id": "0" * 36,
        "sha256": digit * 64,
        "disk_format": "qcow2",
        "state": "ready",
        "size_bytes": 3 * 2**32,
        "allocated_bytes": 2**33,
        "used_at": 1_700_000_000.5,
    }
    return CachedImage.parse({**values, **changes})


def a_report(*images: CachedImage, taken_at: float) -> CacheReport:
    return CacheReport(host="h1", taken_at=taken_at, images=list(images))


def digits(sessions: Sessions) -> str:
    view = image_cache.listed(context_of(sessions), "h1")
    return "".join(one.sha256[0] for one in view.images)


def test_a_report_takes_the_place_of_the_one_before(sessions: Sessions) -> None:
    add_host(sessions, "h1")
    add_host(sessions, "h2")
    began = time.time()
    image_cache.take_report(
        sessions, a_report(an_image("a"), an_image("b", used_at=1.8e9), taken_at=began)
    )
    assert digits(sessions) == "ba"
    failed = an_image("c", state="failed", reason="The host's disk is full.", size_bytes=0)
    image_cache.take_report(sessions, a_report(an_image("a"), failed, taken_at=began + 1))
    view = image_cache.listed(context_of(sessions), "h1")
    assert [(one.state, one.reason) for one in view.images] == [
        ("ready", None),
        ("failed", "The host's disk is full."),
    ]
    assert view.images[0].used_at == datetime.fromtimestamp(1_700_000_000.5, UTC)
    assert view.images[0].size_bytes == 3 * 2**32
    assert view.reported_at == datetime.fromtimestamp(began + 1, UTC)
    assert image_cache.listed(context_of(sessions), "h2").images == []


def test_a_report_that_comes_late_is_not_believed(sessions: Sessions) -> None:
    add_host(sessions, "h1")
    image_cache.take_report(sessions, a_report(an_image("a"), taken_at=1e9))
    image_cache.take_report(sessions, a_report(an_image("b"), taken_at=1e9 - 5))
    assert digits(sessions) == "a"
    # A clock that was set back must not silence the host for ever.
    image_cache.take_report(sessions, a_report(an_image("b"), taken_at=1e9 - 4000))
    assert digits(sessions) == "b"


def test_a_report_of_an_unknown_host_or_with_doubles_does_no_harm(sessions: Sessions) -> None:
    image_cache.take_report(sessions, a_report(an_image("a"), taken_at=1e9))
    add_host(sessions, "h1")
    image_cache.take_report(sessions, a_report(an_image("a"), an_image("a"), taken_at=1e9))
    assert digits(sessions) == "a"


def test_a_host_is_ordered_to_fetch_with_a_ticket_that_ends(sessions: Sessions) -> None:
    world, context = make_world(sessions), context_of(sessions)
    add_host(sessions, "h1")
    with sessions.begin() as session:
        row = session.get(Image, world.image_id)
        assert row is not None
        row.sha256 = "a" * 64
    image_cache.warm(context, "h1", [world.image_id, world.image_id])
    assert isinstance(context.publisher, Recorder)
    (order,) = context.publisher.warmed
    (source,) = order.images
    assert (order.host, source.image_id) == ("h1", world.image_id)
    assert time.time() < order.deadline <= time.time() + SETTINGS.run_limit_s
    ticket = source.url.partition("ticket=")[2]
    check_ticket(SETTINGS, world.image_id, ticket)
    with pytest.raises(Forbidden):
        check_ticket(SETTINGS, world.project_id, ticket)


def test_a_silent_host_is_ordered_nothing(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "h1", last_seen_at=now() - timedelta(minutes=5))
    context = context_of(sessions)
    with pytest.raises(Conflict, match="not heard of"):
        image_cache.warm(context, "h1", [world.image_id])
    assert context.publisher.warmed == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("disk_format", ["vmdk", None])
def test_a_format_that_no_host_takes_is_refused(
    sessions: Sessions, disk_format: str | None
) -> None:
    world = make_world(sessions)
    add_host(sessions, "h1")
    with sessions.begin() as session:
        row = session.get(Image, world.image_id)
        assert row is not None
        row.disk_format = disk_format
    with pytest.raises(Conflict, match="its disk format is"):
        image_cache.warm(context_of(sessions), "h1", [world.image_id])


def test_what_is_cached_is_not_offered(sessions: Sessions) -> None:
    add_host(sessions, "h1", disk_gib=100, image_cache_bytes=2**30 + 1)
    (view,) = hypervisors.listed(context_of(sessions))
    assert view.image_cache_gib == 2


def test_a_host_that_is_forgotten_takes_its_list_along(sessions: Sessions) -> None:
    long_ago = now() - timedelta(days=1)
    add_host(sessions, "h1", last_seen_at=long_ago, lost_at=long_ago)
    image_cache.take_report(sessions, a_report(an_image("a"), taken_at=1e9))
    retiring.forget(context_of(sessions), "h1")
    with reading(sessions) as session:
        assert session.query(Hypervisor).count() == 0
