"""What is done to images beside their bytes: tags, deactivation, hiding, giving away; schemas."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]

from app.services import images, uploads
from app.services.context import Caller
from app.services.images import ImageChange
from tasks.errors import Forbidden
from tests.http.cases import Api, image_fault
from tests.http.table_refusals import GOOD
from tests.http.test_images import IMAGES, make, op, patch, qcow2, status, upload
from tests.http.world import (
    ALICE,
    ALPHA,
    ALPHA_IMAGE,
    BETA,
    BETA_IMAGE,
    PUBLIC_IMAGE,
    QUEUED_IMAGE,
    uid,
)

CALLER = Caller(ALICE, "alice", ALPHA, "alpha", ("member",), "req-x")


def show(api: Api, image_id: str, who: str = "alice") -> dict[str, Any]:
    """Return an image's record."""
    found: dict[str, Any] = api.call(who, "GET", f"{IMAGES}/{image_id}").get_json()
    return found


def listed(api: Api, query: str, who: str = "alice") -> list[str]:
    """Return the ids of the images of a list."""
    return [image["id"] for image in api.call(who, "GET", f"{IMAGES}?{query}").get_json()["images"]]


def act(api: Api, image_id: str, verb: str, who: str = "alice") -> Any:
    """Deactivate or reactivate an image."""
    return api.call(who, "POST", f"{IMAGES}/{image_id}/actions/{verb}")


def tag(api: Api, method: str, image_id: str, word: str, who: str = "alice") -> Any:
    """Put or delete one tag."""
    return api.call(who, method, f"{IMAGES}/{image_id}/tags/{word}")


def test_tags_come_and_go_one_by_one(api: Api) -> None:
    image_id = make(api, tags=["a"])

    for word in ("b", "b", "t%C3%BCr zu"):
        answer = tag(api, "PUT", image_id, word)
        assert (answer.status_code, answer.data) == (204, b"")
    assert show(api, image_id)["tags"] == ["a", "b", "tür zu"]
    assert listed(api, "tag=b&tag=t%C3%BCr zu") == [image_id]

    assert tag(api, "DELETE", image_id, "b").status_code == 204
    assert show(api, image_id)["tags"] == ["a", "tür zu"]
    assert listed(api, "tag=a&tag=b") == []
    answer = tag(api, "DELETE", image_id, "b")
    assert answer.get_json() == image_fault(404, "Not Found", f"Image {image_id} has no tag b.")


def test_tags_of_pages_are_the_databases_work(api: Api) -> None:
    wanted = [make(api, tags=["x", f"n{number}"]) for number in range(5)]
    make(api, tags=["xx"])

    first = listed(api, "tag=x&limit=2&sort=created_at:asc")
    rest = listed(api, f"tag=x&sort=created_at:asc&marker={first[-1]}")

    assert first + rest == wanted


@pytest.mark.parametrize(
    ("word", "code"), [("x" * 256, 400), ("a%07", 400), ("a%00", 400), ("x" * 255, 204)]
)
def test_a_tag_must_be_a_word(api: Api, word: str, code: int) -> None:
    assert tag(api, "PUT", make(api), word).status_code == code


def test_there_are_so_many_tags_and_no_more(api: Api) -> None:
    image_id = make(api, tags=[f"t{number}" for number in range(128)])

    assert tag(api, "PUT", image_id, "t5").status_code == 204
    answer = tag(api, "PUT", image_id, "more")

    assert (answer.status_code, "tags" in answer.get_json()["message"]) == (413, True)


def test_tags_at_one_moment_are_all_kept(api: Api) -> None:
    image_id = make(api)
    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda number: tag(api, "PUT", image_id, f"t{number}"), range(6))
        assert {answer.status_code for answer in answers} == {204}

    assert sorted(show(api, image_id)["tags"]) == [f"t{number}" for number in range(6)]


def test_nobody_elses_image_is_tagged_or_deactivated(api: Api) -> None:
    for image_id, who, code in (
        (BETA_IMAGE, "alice", 404),
        (PUBLIC_IMAGE, "alice", 403),
        (ALPHA_IMAGE, "rita", 403),
        (uid(99), "alice", 404),
    ):
        assert tag(api, "PUT", image_id, "x", who).status_code == code
        assert tag(api, "DELETE", image_id, "x", who).status_code == code
        assert act(api, image_id, "deactivate", who).status_code == code
        assert act(api, image_id, "reactivate", who).status_code == code


def test_a_deactivated_image_is_of_no_use_until_it_is_reactivated(api: Api) -> None:
    image_id = make(api)
    upload(api, image_id, qcow2())

    for _ in range(2):
        assert act(api, image_id, "deactivate").status_code == 204
    assert status(api, image_id) == "deactivated"
    assert listed(api, "status=deactivated") == [image_id]
    refused = api.call("alice", "GET", f"{IMAGES}/{image_id}/file")
    assert refused.get_json() == image_fault(
        403,
        "Forbidden",
        "The requested image has been deactivated. Image data download is forbidden.",
    )
    with api.call("root", "GET", f"{IMAGES}/{image_id}/file") as got:
        assert got.data == qcow2()
    server = api.call(
        "alice", "POST", "/compute/v2.1/servers", json={"server": {**GOOD, "imageRef": image_id}}
    )
    assert server.status_code == 400
    assert "deactivated" in server.get_json()["badRequest"]["message"]
    assert upload(api, image_id, qcow2()).status_code == 409
    assert patch(api, image_id, op("replace", "name", "bad")).get_json()["name"] == "bad"

    for _ in range(2):
        assert act(api, image_id, "reactivate").status_code == 204
    with api.call("alice", "GET", f"{IMAGES}/{image_id}/file") as got:
        assert got.data == qcow2()


def test_a_deactivated_image_can_be_deleted(api: Api) -> None:
    image_id = make(api)
    upload(api, image_id, qcow2())
    act(api, image_id, "deactivate")

    assert api.call("alice", "DELETE", f"{IMAGES}/{image_id}").status_code == 204
    assert api.call("alice", "GET", f"{IMAGES}/{image_id}").status_code == 404


@pytest.mark.parametrize("verb", ["deactivate", "reactivate"])
def test_an_image_without_bytes_is_not_deactivated(api: Api, verb: str) -> None:
    assert act(api, QUEUED_IMAGE, verb).get_json() == image_fault(
        403, "Forbidden", f"Not allowed to {verb} image in status 'queued'."
    )


def test_a_hidden_image_is_listed_for_who_asks(api: Api) -> None:
    image_id = make(api, os_hidden=True, name="old")

    assert listed(api, "name=old") == []
    assert listed(api, "os_hidden=True") == [image_id]
    assert show(api, image_id)["os_hidden"] is True
    assert patch(api, image_id, op("replace", "os_hidden", False)).get_json()["os_hidden"] is False
    assert listed(api, "name=old") == [image_id]
    assert listed(api, "os_hidden=True") == []
    assert patch(api, image_id, op("replace", "os_hidden", "perhaps")).status_code == 400


def test_an_administrator_gives_images_to_a_project(api: Api) -> None:
    body = {"name": "gift", "owner": BETA}
    made = api.call("root", "POST", IMAGES, json=body).get_json()
    assert made["owner"] == BETA
    assert api.call("alice", "GET", f"{IMAGES}/{made['id']}").status_code == 404

    changed = patch(api, made["id"], op("replace", "owner", ALPHA), who="root")

    assert changed.get_json()["owner"] == ALPHA
    assert show(api, made["id"])["owner"] == ALPHA
    refused = patch(api, made["id"], op("replace", "owner", uid(99)), who="root")
    assert (refused.status_code, "owner" in refused.get_json()["message"]) == (400, True)
    body["owner"] = uid(99)
    assert api.call("root", "POST", IMAGES, json=body).status_code == 400


def test_what_is_shown_is_as_the_schemas_say(api: Api) -> None:
    make(api, tags=["a"], os_distro="debian")
    schema = api.call("rita", "GET", "/image/v2/schemas/image").get_json()
    for kind in (schema, api.call("rita", "GET", "/image/v2/schemas/images").get_json()):
        Draft4Validator.check_schema(kind)
    everything = api.call("alice", "GET", IMAGES).get_json()

    Draft4Validator(api.call("rita", "GET", "/image/v2/schemas/images").get_json()).validate(
        everything
    )
    for image in everything["images"]:
        Draft4Validator({"type": "object", **schema}).validate(image)
    assert set(everything["images"][-1]) <= set(schema["properties"])
    assert {image["schema"] for image in everything["images"]} == {"/v2/schemas/image"}


@pytest.mark.parametrize("name", ["status", "size", "checksum", "created_at", "self", "id"])
def test_what_the_schema_calls_read_only_is(api: Api, name: str) -> None:
    schema = api.call("alice", "GET", "/image/v2/schemas/image").get_json()

    assert schema["properties"][name].get("readOnly", False) is (name != "id")
    assert patch(api, ALPHA_IMAGE, op("replace", name, "x")).status_code == 403


def test_the_format_is_what_the_bytes_were_looked_through_for(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the format comes while an upload has read it, and has not yet reserved the
    image: one of them waits for the other."""
    image_id, context = make(api), api.app.extensions["byre"]
    has_read, pause, read = threading.Event(), threading.Event(), uploads._format

    def slow(row: Any) -> str:
        found = read(row)
        has_read.set()
        pause.wait(1)
        return found

    monkeypatch.setattr(uploads, "_format", slow)

    def change() -> str:
        has_read.wait(10)
        changes = [ImageChange("replace", "disk_format", "raw")]
        try:
            images.update(context, CALLER, image_id, changes)
        except Forbidden as error:
            return error.public
        finally:
            pause.set()
        return "changed"

    with ThreadPoolExecutor(2) as pool:
        refused = pool.submit(change)
        answer = pool.submit(upload, api, image_id, qcow2()).result()

    assert answer.status_code == 204
    assert refused.result() == "Attribute 'disk_format' can be changed before the upload only."
    image = show(api, image_id)
    assert (image["disk_format"], image["virtual_size"]) == ("qcow2", 10 * 1024**2)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("application/json", "application/json"),
        ("text/html, application/json;q=0.5", "application/json"),
        ("*/*", "text/html; charset=utf-8"),
        ("text/html, image/png;q=0.5", "text/html; charset=utf-8"),
    ],
)
def test_errors_are_json_for_who_names_it(api: Api, accept: str | None, kind: str) -> None:
    headers = {} if accept is None else {"Accept": accept}

    answer = api.call("alice", "GET", f"{IMAGES}/%3Cb%3E", headers=headers)

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, kind)
    if accept is None or "json" in accept:
        assert answer.get_json() == image_fault(404, "Not Found", "No image found with ID <b>")
    else:
        shown = [re.sub(r"<.+?>", "", line) for line in answer.text.splitlines()]
        title = "404 Not Found"
        assert list(filter(None, shown)) == [title, title, "No image found with ID &lt;b&gt;"]


def test_other_services_errors_stay_json(api: Api) -> None:
    for path in ("/compute/v2.1/servers/x", "/network/v2.0/networks/x"):
        answer = api.call("alice", "GET", path, headers={"Accept": "*/*"})
        assert answer.is_json
    assert api.call(None, "GET", IMAGES, headers={"Accept": "*/*"}).is_json
