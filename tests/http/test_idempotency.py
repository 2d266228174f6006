"""One server for a request that comes twice under one Idempotency-Key."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.db.models import IdempotencyKey, Server
from app.db.models.base import now
from app.db.session import reading
from tests.http.cases import Api
from tests.http.table_refusals import GOOD
from tests.http.test_servers import SERVERS

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"


def create(api: Api, key: str = KEY, **more: Any) -> Any:
    body = {"server": {**GOOD, **more}}
    return api.call("alice", "POST", SERVERS, json=body, headers={"Idempotency-Key": key})


def count(api: Api) -> int:
    with reading(api.sessions) as session:
        return session.scalars(select(func.count()).select_from(Server)).one()


def test_the_same_request_again_is_the_same_server(api: Api) -> None:
    before = count(api)
    first = create(api)
    again = create(api)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.get_json() == first.get_json()
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert count(api) == before + 1
    assert len(api.recorder.sent) == 1


def test_the_bodys_spelling_does_not_matter(api: Api) -> None:
    first = create(api, metadata={"a": "1", "b": "2"})
    again = create(api, metadata={"b": "2", "a": "1"})
    assert again.get_json()["server"]["id"] == first.get_json()["server"]["id"]


def test_several_at_once_are_made_once(api: Api) -> None:
    before = count(api)
    answers = [create(api, min_count=2, return_reservation_id=True) for _ in range(2)]
    assert answers[0].get_json() == answers[1].get_json()
    assert count(api) == before + 2


def test_another_body_is_refused(api: Api) -> None:
    before = count(api)
    create(api)
    answer = create(api, name="other")
    assert answer.status_code == 409
    assert "Idempotency-Key" in answer.get_json()["conflictingRequest"]["message"]
    assert count(api) == before + 1


def test_what_was_refused_may_be_asked_again(api: Api) -> None:
    assert create(api, flavorRef="none").status_code == 400
    assert create(api).status_code == 202


def test_a_server_that_is_gone_is_not_made_again(api: Api) -> None:
    first = create(api)
    path = f"{SERVERS}/{first.get_json()['server']['id']}"
    assert api.call("alice", "DELETE", path).status_code == 204
    assert create(api).get_json()["server"]["id"] == first.get_json()["server"]["id"]


def test_a_key_is_its_users_own(api: Api) -> None:
    body = {"server": GOOD}
    first, other = (
        api.call(who, "POST", SERVERS, json=body, headers={"Idempotency-Key": KEY})
        for who in ("alice", "bob")
    )
    assert other.status_code == 202
    assert other.get_json()["server"]["id"] != first.get_json()["server"]["id"]


def test_a_key_is_forgotten_after_its_time(api: Api) -> None:
    first = create(api)
    with api.sessions.begin() as session:
        session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.key == KEY)
            .values(created_at=now() - timedelta(days=1, seconds=1))
        )
    create(api, key="next")
    with reading(api.sessions) as session:
        assert set(session.scalars(select(IdempotencyKey.key))) == {"next"}
    assert create(api).get_json()["server"]["id"] != first.get_json()["server"]["id"]


def test_two_at_the_same_moment_make_one(api: Api) -> None:
    before = count(api)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: create(api), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.get_json()["server"]["id"] for answer in answers}) == 1
    assert count(api) == before + 1


@pytest.mark.parametrize("key", ["", " ", "two words", "k" * 256, "k\u00e9y"])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    before = count(api)
    answer = create(api, key=key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.get_json()["badRequest"]["message"]
    assert count(api) == before
