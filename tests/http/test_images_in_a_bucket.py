"""Images whose bytes lie in a bucket: the same for clients, by a real server of S3."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from app.db.models import Image
from app.db.models.base import now
from app.db.session import Sessions
from app.services import uploads
from app.services.context import Caller, Context
from app.services.image_store.s3 import S3Store
from config.image_place import S3Place
from config.settings import ControlSettings
from tasks.errors import Conflict, NotFound
from tests.http.cases import Api, Recorder, image_fault
from tests.http.conftest import make_app
from tests.http.test_images import IMAGES, make, qcow2, status, upload
from tests.http.world import ALPHA, make_world
from tests.object_stores import SwiftServer
from tests.processes import free_port
from tests.services.stores import s3_settings

DATA = os.urandom(2**20) * 18


@pytest.fixture
def settings(tmp_path: Path, swift: SwiftServer) -> ControlSettings:
    return s3_settings(swift, tmp_path / "spool")


@pytest.fixture
def api(sessions: Sessions, tmp_path: Path, settings: ControlSettings) -> Api:
    """An API whose store is a bucket, in a world."""
    make_world(sessions, tmp_path / "unused")
    return beside(sessions, settings)


def beside(sessions: Sessions, settings: ControlSettings) -> Api:
    """Return an API process in the world that there is."""
    recorder = Recorder()
    return Api(make_app(settings, sessions, recorder), sessions, recorder)


def context_of(api: Api) -> Context:
    context: Context = api.app.extensions["byre"]
    return context


def spooled(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "spool").glob(".*"))


def test_an_image_goes_up_and_comes_back_whole_and_in_parts(api: Api, tmp_path: Path) -> None:
    image_id = make(api, disk_format="raw")

    assert upload(api, image_id, DATA).status_code == 204

    whole = api.call("alice", "GET", f"{IMAGES}/{image_id}/file")
    assert whole.data == DATA
    tag = f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert whole.headers["ETag"] == tag
    asked = {"Range": f"bytes={2**24 + 5}-", "If-Range": tag}
    rest = api.call("alice", "GET", f"{IMAGES}/{image_id}/file", headers=asked)
    assert rest.status_code == 206
    assert rest.headers["Content-Range"] == f"bytes {2**24 + 5}-{len(DATA) - 1}/{len(DATA)}"
    assert rest.data == DATA[2**24 + 5 :]
    assert api.call("alice", "HEAD", f"{IMAGES}/{image_id}/file").status_code == 200
    assert spooled(tmp_path) == []

    assert api.call("alice", "DELETE", f"{IMAGES}/{image_id}").status_code == 204
    assert api.call("alice", "GET", f"{IMAGES}/{image_id}/file").status_code == 404


def test_what_is_not_in_the_bucket_is_not_found(api: Api) -> None:
    image_id = make(api)
    upload(api, image_id, qcow2())
    context_of(api).image_store.remove(image_id)

    assert api.call("alice", "GET", f"{IMAGES}/{image_id}/file").status_code == 404


def test_what_cannot_be_used_never_gets_there(api: Api) -> None:
    image_id = make(api)

    assert upload(api, image_id, DATA[:70_000]).status_code == 400

    assert status(api, image_id) == "killed"
    with pytest.raises(Exception, match="not in the store"):
        context_of(api).image_store.open(image_id)


def test_without_an_answer_of_the_store_nothing_is_lost(
    api: Api, settings: ControlSettings, tmp_path: Path
) -> None:
    kept, waiting = make(api), make(api)
    upload(api, kept, qcow2())
    place = cast("S3Place", settings.image_store)
    elsewhere = replace(place, endpoint=f"http://127.0.0.1:{free_port()}")
    cut_off = beside(api.sessions, settings.model_copy(update={"image_store": elsewhere}))

    answers = [
        upload(cut_off, waiting, qcow2()),
        cut_off.call("alice", "GET", f"{IMAGES}/{kept}/file"),
        cut_off.call("alice", "DELETE", f"{IMAGES}/{kept}"),
    ]

    text = "The image store does not answer; try again later."
    assert [(answer.status_code, answer.get_json()) for answer in answers] == [
        (503, image_fault(503, "Service Unavailable", text))
    ] * 3
    assert (status(api, waiting), status(api, kept)) == ("queued", "pending_delete")
    assert spooled(tmp_path) == []
    # The store is back.
    assert upload(api, waiting, qcow2()).status_code == 204
    assert api.call("alice", "DELETE", f"{IMAGES}/{kept}").status_code == 204


def test_wrong_keys_are_told_without_the_keys(
    api: Api, settings: ControlSettings, capfd: pytest.CaptureFixture[str]
) -> None:
    image_id, keys = make(api), {"image_store_secret_key": SecretStr("hush-hush")}

    answer = upload(beside(api.sessions, settings.model_copy(update=keys)), image_id, qcow2())

    assert answer.status_code == 503
    assert "refuses the credentials" in answer.get_json()["message"]
    assert "hush" not in answer.get_data(as_text=True) + "".join(capfd.readouterr())
    assert status(api, image_id) == "queued"


def age(api: Api, image_id: str, image_status: str, seconds: float) -> None:
    """Make an image be in a status for so long."""
    facts = {"status": image_status, "updated_at": now() - timedelta(seconds=seconds)}
    with api.sessions.begin() as session:
        session.execute(update(Image).where(Image.id == image_id).values(**facts))


def test_an_upload_elsewhere_is_given_up_when_its_sign_is_overdue(api: Api) -> None:
    silent, alive = make(api), make(api)
    age(api, silent, "saving", 61)
    age(api, alive, "saving", 50)
    store = cast("S3Store", context_of(api).image_store)
    for image_id in (silent, alive):
        store._client.create_multipart_upload(**store._target(image_id))

    assert uploads.recover(context_of(api), 0) == [silent]

    assert (status(api, silent), status(api, alive)) == ("queued", "saving")
    assert [image_id for image_id, _ in store._unfinished()] == [alive]


class Meanwhile:
    """A source of bytes; something happens while they come."""

    def __init__(self, data: bytes, deed: Callable[[], object]) -> None:
        self._data, self._deed = data, deed

    def read(self, _: int, /) -> bytes:
        """Return all at once, after the deed."""
        if self._data:
            self._deed()
        data, self._data = self._data, b""
        return data


def send(api: Api, image_id: str, source: Meanwhile) -> None:
    alice = Caller("alice", "alice", ALPHA, "alpha", ("member",), "req-1")
    uploads.upload(context_of(api), alice, image_id, source, None)


def test_an_upload_that_was_given_up_takes_nothing_from_the_next_one(api: Api) -> None:
    image_id = make(api)

    def another() -> None:
        age(api, image_id, "queued", 0)
        assert upload(api, image_id, qcow2()).status_code == 204

    with pytest.raises(Conflict, match="was given up"):
        send(api, image_id, Meanwhile(qcow2(2**20), another))

    assert status(api, image_id) == "active"
    assert api.call("alice", "GET", f"{IMAGES}/{image_id}/file").data == qcow2()


def test_an_upload_that_was_given_up_does_not_end_the_next_one(api: Api) -> None:
    image_id = make(api)

    def another() -> None:
        age(api, image_id, "saving", 0)

    with pytest.raises(Conflict, match="was given up"):
        send(api, image_id, Meanwhile(qcow2(), another))

    assert status(api, image_id) == "saving"
    with pytest.raises(NotFound):
        context_of(api).image_store.open(image_id)


def test_a_change_of_the_record_during_the_upload_leaves_the_upload_alone(api: Api) -> None:
    image_id = make(api)
    patch = [{"op": "replace", "path": "/name", "value": "new"}]
    kind = {"Content-Type": "application/openstack-images-v2.1-json-patch"}

    def rename() -> None:
        url = f"{IMAGES}/{image_id}"
        answer = api.call("alice", "PATCH", url, data=json.dumps(patch), headers=kind)
        assert answer.status_code == 200, answer.text

    send(api, image_id, Meanwhile(qcow2(), rename))

    assert status(api, image_id) == "active"


def test_an_upload_gives_its_sign_until_it_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id, seen = make(api), []
    monkeypatch.setattr("app.services.image_store.s3.S3Store.lease_s", 0.2)

    def look() -> None:
        for _ in range(4):
            seen.append(api.call("alice", "GET", f"{IMAGES}/{image_id}").get_json()["status"])
            time.sleep(0.15)
            assert uploads.recover(context_of(api), 0) == []

    send(api, image_id, Meanwhile(qcow2(), look))

    assert (seen, status(api, image_id)) == (["saving"] * 4, "active")


def test_a_removal_that_did_not_end_is_ended(api: Api) -> None:
    image_id = make(api)
    upload(api, image_id, qcow2())
    age(api, image_id, "pending_delete", 31)

    assert api.call("alice", "GET", f"{IMAGES}/{image_id}/file").status_code == 204
    uploads.finish_deletions(context_of(api), 30)

    assert api.call("alice", "GET", f"{IMAGES}/{image_id}").status_code == 404
    with pytest.raises(NotFound):
        context_of(api).image_store.open(image_id)
