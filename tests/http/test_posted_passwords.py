"""Passwords that guests post: told by their hosts, shown to their owners, and cleared."""

from hashlib import sha256
from typing import Any

import pytest

from app.db.models import PostedPassword
from app.db.session import reading
from app.services.posted_passwords import take
from tasks.errors import MalformedMessage
from tasks.messages import ForgetPasswords, PostedPasswords
from tests.http.cases import Api
from tests.http.world import ACTIVE, GONE

PATH = f"/compute/v2.1/servers/{ACTIVE}/os-server-password"
SECRET, OTHER = "c2VjcmV0", "b3RoZXI="


def told(api: Api, text: str = SECRET, host: str = "host-1") -> ForgetPasswords | None:
    """Have a host tell what the guest of the active server has posted."""
    return take(api.sessions, PostedPasswords(host=host, passwords={ACTIVE: text}))


def shown(api: Api) -> Any:
    return api.call("rita", "GET", PATH).get_json()["password"]


def test_what_was_posted_is_shown(api: Api) -> None:
    for text in (SECRET, SECRET, OTHER):
        assert told(api, text) is None
        assert shown(api) == text


def test_what_was_cleared_is_forgotten_by_its_host(api: Api) -> None:
    told(api)
    assert api.call("alice", "DELETE", PATH).status_code == 204
    assert shown(api) == ""
    for _ in range(2):
        digest = sha256(SECRET.encode()).hexdigest()
        assert told(api) == ForgetPasswords(host="host-1", digests={ACTIVE: digest})
        assert shown(api) == ""
    # The guest has posted another one since.
    assert told(api, OTHER) is None
    assert shown(api) == OTHER


def test_hosts_tell_of_servers_that_they_have(api: Api) -> None:
    assert told(api, host="host-2") is None
    passwords = {GONE: SECRET, "none": SECRET}
    assert take(api.sessions, PostedPasswords(host="host-1", passwords=passwords)) is None
    with reading(api.sessions) as session:
        assert session.query(PostedPassword).count() == 0


@pytest.mark.parametrize("text", ["", "a\0b", "é", "x" * 1021])
def test_what_is_no_password_is_malformed(text: str) -> None:
    with pytest.raises(MalformedMessage):
        PostedPasswords.parse({"version": 4, "host": "h", "passwords": {ACTIVE: text}})
