"""What a hypervisor is told of a server that it is to build."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.db.models import Image, RequestSpec, Server
from app.db.session import Sessions
from app.runs.build_spec import build_spec, rescue_spec
from config.settings import ControlSettings
from tasks.errors import ImageUnusable
from tasks.messages import AttemptRef, BuildSpec
from tests.rows import World, add_server, make_settings, make_world

SETTINGS = make_settings()


def told(
    sessions: Sessions, world: World, settings: ControlSettings = SETTINGS, **facts: Any
) -> BuildSpec:
    """Return the word on a new server; `facts` are of its row."""
    with sessions.begin() as session:
        run = add_server(session, world, settings, **facts)
        server = session.get_one(Server, run.server_id)
        spec = session.get_one(RequestSpec, server.id)
        attempt = AttemptRef(run_id=run.id, attempt=1)
        return build_spec(session, server, spec, [], settings, 2e9, attempt)


def set_image(sessions: Sessions, world: World, properties: dict[str, str]) -> None:
    with sessions.begin() as session:
        session.get_one(Image, world.image_id).properties = properties


def test_every_guest_gets_the_operators_vendor_data(sessions: Sessions, tmp_path: Path) -> None:
    file = tmp_path / "vendor.json"
    file.write_text(json.dumps({"cloud-init": "#cloud-config\npackages: [vim]\n"}))
    settings = make_settings(vendor_data_file=file)
    first_boot = told(sessions, make_world(sessions), settings).first_boot
    assert json.loads(first_boot.vendor_data) == json.loads(file.read_text())


def test_a_word_of_the_first_boot_is_asked_for_only_where_it_is_the_proof(
    sessions: Sessions,
) -> None:
    world = make_world(sessions)
    assert told(sessions, world).first_boot.phone_home_token == ""
    set_image(sessions, world, {"byre_boot_proof": "first_boot"})
    first, second = (told(sessions, world) for _ in range(2))
    assert first.boot.proof == "first_boot"
    tokens = {first.first_boot.phone_home_token, second.first_boot.phone_home_token}
    assert len(tokens - {""}) == 2, "another server's word would do"


def test_the_servers_metadata_overrules_the_images_proof(sessions: Sessions) -> None:
    world = make_world(sessions)
    set_image(sessions, world, {"byre_boot_proof": "agent", "byre_boot_limit": "90"})
    boot = told(sessions, world, user_metadata={"byre_boot_proof": "running"}).boot
    assert (boot.proof, boot.limit_s) == ("running", 90)


def test_the_images_hardware_is_the_guests(sessions: Sessions) -> None:
    world = make_world(sessions)
    set_image(sessions, world, {"hw_firmware_type": "uefi", "hw_vif_model": "e1000"})
    hardware = told(sessions, world).machine.hardware
    assert (hardware.firmware, hardware.vif_model) == ("uefi", "e1000")


def test_files_are_told_but_not_to_a_rescue(sessions: Sessions) -> None:
    world = make_world(sessions)
    file = {"path": "/etc/motd", "contents": "aGVsbG8="}
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS)
        server = session.get_one(Server, run.server_id)
        spec = session.get_one(RequestSpec, server.id)
        spec.files = [file]
        attempt = AttemptRef(run_id=run.id, attempt=1)
        built = build_spec(session, server, spec, [], SETTINGS, 2e9, attempt)
        rescued = rescue_spec(session, run, SETTINGS)
    assert [each.model_dump() for each in built.first_boot.files] == [file]
    assert rescued.first_boot.files == []


def test_an_image_that_is_gone_is_told_by_its_id(sessions: Sessions) -> None:
    world = make_world(sessions)
    with sessions.begin() as session:
        server = session.get_one(Server, add_server(session, world, SETTINGS).server_id)
        spec = session.get_one(RequestSpec, server.id)
        server.image_id = "0" * 36
        attempt = AttemptRef(run_id="r", attempt=1)
        with session.no_autoflush, pytest.raises(ImageUnusable, match=r"0{36}"):
            build_spec(session, server, spec, [], SETTINGS, 2e9, attempt)
        session.rollback()


@pytest.mark.parametrize("has", [True, False])
def test_whether_the_guest_has_a_config_drive_is_told(sessions: Sessions, *, has: bool) -> None:
    assert told(sessions, make_world(sessions), config_drive=has).machine.config_drive is has


def test_rescue_has_a_drive_for_its_password(sessions: Sessions) -> None:
    """The metadata service goes on telling what it told: without a drive nobody would learn it."""
    world = make_world(sessions)
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS, config_drive=False)
        run.parameters = {"rescue_image_id": world.image_id, "admin_pass": "secret"}
        build = rescue_spec(session, run, SETTINGS)
    assert (build.machine.config_drive, build.first_boot.admin_pass) == (True, "secret")
