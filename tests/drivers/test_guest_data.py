"""What a host keeps for its metadata service, and the word that it takes from a guest."""

import threading
from hashlib import sha256
from pathlib import Path

import pytest

from tasks.errors import MalformedMessage
from tests.drivers.test_first_boot import guest_data
from tests.drivers.values import NETWORK, make_port
from workers.hypervisor.guest_data import GuestData, GuestStore

TOKEN = "t0ken"
SERVER = "0a1b2c3d-0000-4000-8000-000000000001"


def data(token: str = TOKEN) -> GuestData:
    """Return a guest's data, with that token."""
    given = guest_data([NETWORK], [make_port()], phone_home_token=token)
    return given.model_copy(update={"server_id": SERVER})


@pytest.fixture
def store(tmp_path: Path) -> GuestStore:
    """Return a store that nobody has used yet."""
    return GuestStore(tmp_path / "state")


def test_data_is_kept_for_root_alone_until_it_is_removed(store: GuestStore) -> None:
    store.keep(data())
    store.keep(kept := data())
    assert store.read(SERVER) == kept
    assert list(store.server_ids()) == [SERVER]
    (path,) = store.found(SERVER)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert store.take_word(kept, "t0ken", "ok")
    assert len(store.found(SERVER)) == 2
    for _ in range(2):
        store.remove(SERVER)
        assert (store.found(SERVER), store.server_ids(), store.read(SERVER)) == ([], {}, None)


def test_what_was_set_aside_is_told_to_nobody(store: GuestStore) -> None:
    store.keep(data())
    for thing in store.shelf.things():
        store.shelf.set_aside(thing)
    assert (store.server_ids(), store.read(SERVER), store.found(SERVER)) == ({}, None, [])


def test_the_first_word_stands(store: GuestStore) -> None:
    store.keep(kept := data())
    assert store.what_it_said(SERVER) == {"first_boot": False}
    assert store.take_word(kept, "t0ken", "failed")
    assert not store.take_word(kept, "t0ken", "ok")
    assert store.what_it_said(SERVER) == {"first_boot": True, "first_boot_result": "failed"}
    # A stage that is repeated keeps the same, and what was said stays said.
    store.keep(kept)
    assert store.what_it_said(SERVER)["first_boot"] is True


def test_of_many_at_once_one_word_is_taken(store: GuestStore) -> None:
    store.keep(kept := data())
    taken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: taken.append(store.take_word(kept, "t0ken", "ok")))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 15 + [True]
    assert len(store.found(SERVER)) == 2


@pytest.mark.parametrize("token", ["", "t0ke", "t0ken ", "T0KEN", "t0ken\n", "é", "x" * 9000])
def test_another_token_says_nothing(store: GuestStore, token: str) -> None:
    store.keep(kept := data())
    assert not store.take_word(kept, token, "ok")
    assert store.what_it_said(SERVER) == {"first_boot": False}


def test_a_new_attempts_token_makes_the_old_word_void(store: GuestStore) -> None:
    store.keep(first := data())
    assert store.take_word(first, "t0ken", "ok")
    store.keep(second := data("0ther"))
    assert store.what_it_said(SERVER) == {"first_boot": False}
    assert not store.take_word(second, "t0ken", "ok")
    assert store.take_word(second, "0ther", "ok")


def test_who_was_not_asked_has_said_nothing_that_counts(store: GuestStore) -> None:
    store.keep(kept := data(""))
    assert not store.take_word(kept, "", "ok")
    assert store.what_it_said(SERVER) == {"first_boot": None}


def test_an_id_that_is_no_uuid_names_no_file(store: GuestStore) -> None:
    for act in (store.read, store.remove, store.found):
        with pytest.raises(MalformedMessage):
            act("../../etc/passwd")


def test_a_password_stands_until_that_one_is_forgotten(store: GuestStore) -> None:
    store.keep(data())
    assert (store.password(SERVER), store.passwords()) == ("", {})
    assert store.take_password(SERVER, "c2VjcmV0")
    assert not store.take_password(SERVER, "other")
    # Data that is kept anew, for another interface say, changes nothing of it.
    store.keep(data())
    assert store.passwords() == {SERVER: "c2VjcmV0"}
    store.forget_password(SERVER, sha256(b"other").hexdigest())
    assert store.password(SERVER) == "c2VjcmV0"
    store.forget_password(SERVER, sha256(b"c2VjcmV0").hexdigest())
    assert store.take_password(SERVER, "other")
    assert [thing.kind for thing in store.shelf.things()] == ["first_boot"] * 2
    store.remove(SERVER)
    assert store.found(SERVER) == []
