"""What a server lacks on its host."""

from tests.services.drift.scene import GRACE, KEPT, Scene, ends, thing, whole


def test_all_that_a_server_lacks_is_missing_until_it_is_there(scene: Scene) -> None:
    server = scene.server()
    port_id, mac = scene.port(server)

    scene.look(thing("domain", server))
    assert scene.rows() == [
        ("missing", "config_drive", server),
        ("missing", "dhcp_entry", mac),
        ("missing", "disk", server),
        ("missing", "filter", port_id),
    ]

    assert scene.look(thing("domain", server), after=GRACE + KEPT) is None
    assert set(scene.states()) == {"reported"}

    scene.look(*whole(server), *ends(port_id, mac))
    assert scene.rows() == []


def test_what_is_in_quarantine_is_of_no_use_to_its_server(scene: Scene) -> None:
    server = scene.server()
    domain, disk, drive = whole(server)

    scene.look(domain, disk.model_copy(update={"quarantined": True}), drive)

    assert scene.rows() == [("missing", "disk", server)]


def test_nothing_is_missing_of_a_server_under_a_run(scene: Scene) -> None:
    server = scene.server()
    scene.look(thing("domain", server))
    scene.owe(server, "delete")

    scene.look(thing("domain", server))

    assert scene.rows() == []
