"""What operators are told of drift."""

from datetime import datetime, timedelta

from app.db.models.base import now
from app.services import drift
from app.services.context import Context
from app.services.drift import DriftFilter
from tests.publishers import NoPublisher
from tests.rows import add_host
from tests.services.drift.scene import (
    GRACE,
    KEPT,
    SETTINGS,
    Scene,
    strange_ends,
    stranger,
    thing,
    whole,
)


def told(scene: Scene, **wanted: str) -> drift.DriftReport:
    context = Context(scene.sessions, SETTINGS, NoPublisher())
    return drift.listed(context, DriftFilter(**wanted))


def next_of(scene: Scene) -> dict[str, tuple[str | None, datetime | None]]:
    return {row.kind: (row.next_action, row.next_action_at) for row in told(scene).drift}


def test_report_says_what_is_next_and_when(scene: Scene) -> None:
    server, holder = scene.server(), scene.server(hypervisor_id=None)
    scene.room(holder)
    disk, entry = thing("disk", stranger()), strange_ends()[0]
    grace, kept = timedelta(seconds=300), timedelta(seconds=3600)

    scene.look(*whole(server)[:2], disk, entry)
    first = scene.clock
    assert next_of(scene) == {
        "config_drive": (None, None),
        "allocation": ("release", first + grace),
        "disk": ("quarantine", first + grace),
        "dhcp_entry": ("remove", first + grace + kept),
    }

    scene.look(*whole(server), disk, entry, after=GRACE)
    second = scene.clock
    due = ("remove", second + kept)
    assert next_of(scene) == {"disk": due, "dhcp_entry": due}

    scene.look(*whole(server), disk, after=KEPT)
    assert next_of(scene) == {"disk": ("remove", scene.clock)}


def test_report_tells_silent_hosts_from_clean_ones(scene: Scene) -> None:
    add_host(scene.sessions, "silent", last_seen_at=now() - timedelta(days=1))
    scene.look()

    report = told(scene)

    hosts = {host.host: (host.alive, host.surveyed_at) for host in report.hosts}
    assert hosts == {"h": (True, scene.clock), "silent": (False, None)}
    assert report.drift == ()


def test_report_is_filtered(scene: Scene) -> None:
    add_host(scene.sessions, "other")
    lost, server = stranger(), scene.server()
    scene.look(thing("disk", lost), thing("console_log", lost), *whole(server)[:2])

    def kinds(**wanted: str) -> list[str]:
        return sorted(row.kind for row in told(scene, **wanted).drift)

    assert kinds() == ["config_drive", "console_log", "disk"]
    assert kinds(host="h", direction="unowned") == ["console_log", "disk"]
    assert kinds(direction="missing") == kinds(server_id=server) == ["config_drive"]
    assert kinds(kind="disk", server_id=lost) == ["disk"]
    assert kinds(host="other") == []
    assert [host.host for host in told(scene, host="other").hosts] == ["other"]
