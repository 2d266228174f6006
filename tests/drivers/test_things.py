"""Things by name, and the shelf that moves and removes files by such names."""

import uuid
from pathlib import Path

import pytest

from tasks.errors import HostError, MalformedMessage
from tasks.messages import Thing, ThingKind
from workers.hypervisor.shelf import Shelf
from workers.hypervisor.things import check, dhcp_thing, file_thing, filter_thing

#: Always the same: it is in the names of the tests, which several workers must agree on.
SERVER = "4d2b9c1e-6f0a-4b7d-9c3e-5a8f1e2d7b60"
DISKS: frozenset[ThingKind] = frozenset({"disk", "config_drive"})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"{SERVER}.root.qcow2", "disk"),
        (f"{SERVER}.root.qcow2.3", "disk"),
        (f".{SERVER}.root.qcow2.xyz", "disk"),
        (f"{SERVER}.config.iso", "config_drive"),
        (f".{SERVER}.config.iso.a1_b2c3d", "config_drive"),
        (f".{SERVER}.config.iso.a1_b2c3d.0", "config_drive"),
        (f"{SERVER}.console.log", "console_log"),
        (f"{SERVER}.console.log.0", "console_log"),
    ],
)
def test_a_file_of_a_server_is_known_by_its_name(name: str, kind: ThingKind) -> None:
    thing = file_thing(name)
    assert thing == Thing(kind=kind, name=name, server_id=SERVER)
    check(thing)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        SERVER,
        f"{SERVER}.root",
        f"{SERVER}.root.raw",
        f"{SERVER}.root.qcow2.bak",
        f"{SERVER}.root.qcow2.",
        f"{SERVER}.root.qcow2\n",
        f"{SERVER}.root.qcow2.1234567",
        f"{SERVER}.root.qcow2/../../etc/passwd",
        f"{SERVER.upper()}X.root.qcow2",
        f"../{SERVER}.root.qcow2",
        f"/{SERVER}.root.qcow2",
        f"quarantine/{SERVER}.root.qcow2",
        f".{SERVER}.root.qcow2",
        f".{SERVER}.root.qcow2...",
        f".{SERVER}.root.qcow2.a/b",
        f".{SERVER}.root.qcow2.\u0663",
        f"{SERVER}.root.qcow2.\u0663",
        f"{SERVER}.root.qcow2\0",
        f"image-{'0' * 64}.qcow2",
    ],
)
def test_any_other_name_is_no_servers_and_names_nothing(name: str, tmp_path: Path) -> None:
    assert file_thing(name) is None
    shelf = Shelf(tmp_path, DISKS)
    for thing in (Thing(kind="disk", name=name), Thing(kind="disk", name=name, quarantined=True)):
        with pytest.raises(MalformedMessage):
            shelf.set_aside(thing)
        with pytest.raises(MalformedMessage):
            shelf.remove(thing)


@pytest.mark.parametrize("kind", ["config_drive", "console_log", "domain", "filter", "dhcp_entry"])
def test_a_name_of_another_kind_is_refused(kind: ThingKind) -> None:
    with pytest.raises(MalformedMessage):
        check(Thing(kind=kind, name=f"{SERVER}.root.qcow2"))


def test_a_claimed_server_does_not_change_what_is_named(tmp_path: Path) -> None:
    other = tmp_path / f"{uuid.uuid4()}.root.qcow2"
    other.touch()
    thing = Thing(kind="disk", name=f"{SERVER}.root.qcow2", server_id="../../etc/passwd")
    Shelf(tmp_path, DISKS).remove(thing)
    assert other.exists()


def test_entries_and_filters_are_named_by_their_ids() -> None:
    entry = dhcp_thing(SERVER, "FA:16:3E:00:00:0A")
    assert (entry.mac, entry.name) == ("fa:16:3e:00:00:0a", f"fa:16:3e:00:00:0a@{SERVER}")
    check(entry)
    found = filter_thing(f"byre-port-{SERVER}")
    assert found is not None
    assert found.port_id == SERVER
    check(found)
    assert filter_thing("clean-traffic") is None
    for name in (f"fa:16:3e:00:00:0A@{SERVER}", f"fa:16:3e:00:00@{SERVER}", f"@{SERVER}"):
        with pytest.raises(MalformedMessage):
            check(Thing(kind="dhcp_entry", name=name))


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "none", DISKS)
    thing = Thing(kind="disk", name=f"{SERVER}.root.qcow2")
    assert shelf.things() == []
    shelf.set_aside(thing)
    shelf.remove(thing)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_neither_shown_nor_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    shelf, directory = Shelf(tmp_path / "storage", DISKS), tmp_path / "storage"
    directory.mkdir()
    (directory / f"{SERVER}.root.qcow2").symlink_to(precious)
    assert shelf.things() == []
    thing = Thing(kind="disk", name=f"{SERVER}.root.qcow2")
    shelf.set_aside(thing)
    assert not (directory / "quarantine").exists()
    shelf.remove(thing)
    assert precious.read_text() == "mine"


def test_what_is_set_aside_keeps_its_content_and_is_for_root_alone(tmp_path: Path) -> None:
    path, shelf = tmp_path / f"{SERVER}.root.qcow2", Shelf(tmp_path, DISKS)
    for content in ("first", "second", "third"):
        path.write_text(content)
        shelf.set_aside(Thing(kind="disk", name=path.name))
    aside = tmp_path / "quarantine"
    assert sorted(file.read_text() for file in aside.iterdir()) == ["first", "second", "third"]
    assert (aside / path.name).read_text() == "third"
    assert aside.stat().st_mode & 0o077 == 0


def test_a_file_system_that_refuses_is_the_hosts_fault(tmp_path: Path) -> None:
    (tmp_path / f"{SERVER}.root.qcow2").touch()
    (tmp_path / "quarantine").touch()
    with pytest.raises(HostError):
        Shelf(tmp_path, DISKS).set_aside(Thing(kind="disk", name=f"{SERVER}.root.qcow2"))
    assert (tmp_path / f"{SERVER}.root.qcow2").exists()
