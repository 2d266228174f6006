"""What an owner changes of a server that runs: its name, its addresses, its metadata."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.db.models import Server
from app.db.session import reading
from tests.http.cases import SECOND, Api
from tests.http.table_servers import CHANGED, META, ONE
from tests.http.world import ACTIVE


def send(api: Api, method: str, path: str, body: Any = None) -> Any:
    """Send it as the owner, and return what is answered."""
    answer = api.call("alice", method, path, json=body)
    assert answer.status_code in (200, 204), answer.get_data(as_text=True)
    return answer.get_json(silent=True)


def shown(api: Api) -> Any:
    """Return the server as everybody sees it."""
    return api.call("rita", "GET", ONE).get_json()["server"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "db"},
        {"accessIPv4": "192.0.2.1", "accessIPv6": "2001:db8::1"},
        {"OS-DCF:diskConfig": "AUTO"},
    ],
)
def test_what_is_changed_is_answered_and_stays(api: Api, changes: dict[str, str]) -> None:
    before = shown(api)
    found = send(api, "PUT", ONE, {"server": changes})
    assert found == {"server": {**CHANGED, **changes, "updated": SECOND}}
    after = shown(api)
    assert after == {**before, **changes, "updated": after["updated"]}
    assert after["updated"] > before["updated"]


def test_a_guest_keeps_its_host_name(api: Api) -> None:
    with reading(api.sessions) as session:
        before = session.get_one(Server, ACTIVE).hostname
    send(api, "PUT", ONE, {"server": {"name": "other"}})
    with reading(api.sessions) as session:
        assert session.get_one(Server, ACTIVE).hostname == before


def test_metadata_is_merged_replaced_and_removed(api: Api) -> None:
    steps: list[tuple[str, str, Any, Any]] = [
        ("POST", "", {"metadata": {"a": "b"}}, {"role": "web", "a": "b"}),
        ("PUT", "/a", {"meta": {"a": ""}}, {"role": "web", "a": ""}),
        ("PUT", "/new", {"meta": {"new": "c"}}, {"role": "web", "a": "", "new": "c"}),
        ("DELETE", "/role", None, {"a": "", "new": "c"}),
        ("PUT", "", {"metadata": {"x": "y"}}, {"x": "y"}),
        ("PUT", "", {"metadata": {}}, {}),
    ]
    for method, path, body, left in steps:
        found = send(api, method, f"{META}{path}", body)
        if path == "":
            assert found == {"metadata": left}
        elif body is not None:
            assert found == body
        assert shown(api)["metadata"] == left
        assert send(api, "GET", META) == {"metadata": left}


def test_items_that_come_at_once_are_all_kept(api: Api) -> None:
    """All are one column: whoever adds one must not lose another's."""

    def add(number: int) -> None:
        send(api, "PUT", f"{META}/k{number}", {"meta": {f"k{number}": "v"}})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(24)))
    assert len(shown(api)["metadata"]) == 25
