"""Whose turn it is at the packet filter, and what becomes of a start that it disturbed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import libvirt
import pytest

from tests.drivers.conftest import Rig
from tests.drivers.namespaces import run
from tests.drivers.values import NETWORK
from workers.hypervisor.libvirt import LibvirtSettings, domains, turns
from workers.hypervisor.libvirt.turns import Turns
from workers.hypervisor.names import bridge_name

#: Long enough for what does not wait, and for what waits to be seen waiting.
SOON_S, LIMIT_S = 0.4, 30.0


@contextmanager
def elsewhere(work: Callable[[], object]) -> Iterator[threading.Event]:
    """Do the work in another thread; give the event that it is done."""
    done = threading.Event()

    def whole() -> None:
        work()
        done.set()

    thread = threading.Thread(target=whole)
    thread.start()
    try:
        yield done
    finally:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


@contextmanager
def interface_without_a_filter() -> Iterator[None]:
    """Give a guest's interface on the network of the test."""
    name = "test-tap"
    run("ip", "tuntap", "add", name, "mode", "tap")
    try:
        run("ip", "link", "set", name, "master", bridge_name(NETWORK.network_id))
        yield
    finally:
        run("ip", "link", "delete", name)


def passing(turn: AbstractContextManager[None]) -> Callable[[], None]:
    """Return what takes the turn and gives it back."""

    def take() -> None:
        with turn:
            pass

    return take


def test_ours_waits_for_every_guest_that_starts(tmp_path: Path) -> None:
    with ExitStack() as starting:
        starting.enter_context(Turns(tmp_path).libvirts())
        starting.enter_context(Turns(tmp_path).libvirts())
        with elsewhere(passing(Turns(tmp_path).ours())) as done:
            assert not done.wait(SOON_S)
            starting.close()


def test_a_guest_that_comes_later_does_not_go_first(tmp_path: Path) -> None:
    order: list[str] = []

    def ours() -> None:
        with Turns(tmp_path).ours():
            order.append("ours")

    def libvirts() -> None:
        with Turns(tmp_path).libvirts():
            order.append("libvirt's")

    with ExitStack() as first:
        first.enter_context(Turns(tmp_path).libvirts())
        with elsewhere(ours) as done:
            assert not done.wait(SOON_S)
            with elsewhere(libvirts) as late:
                assert not late.wait(SOON_S)
                first.close()
    assert order == ["ours", "libvirt's"]


@pytest.mark.parametrize("kind", ["ours", "libvirts"])
def test_a_turn_that_does_not_end_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(turns, "_PATIENCE_S", 0.1)
    with Turns(tmp_path).ours(), getattr(Turns(tmp_path), kind)():
        pass


class Disturbed:
    """A domain whose start fails so often in libvirt's part of the packet filter."""

    def __init__(self, failures: int, where: int) -> None:
        self.left = failures
        self._where = where

    def createWithFlags(self, flags: int) -> None:  # noqa: N802 - libvirt's name
        """Start it."""
        assert flags == 0
        if self.left:
            self.left -= 1
            error = libvirt.libvirtError("")
            error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, self._where, "", 2, None, None, None, 0, 0)
            raise error


FIREWALL, QEMU = libvirt.VIR_FROM_FIREWALL, libvirt.VIR_FROM_QEMU  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("failures", "where", "left"), [(3, FIREWALL, 0), (9, FIREWALL, 5), (3, QEMU, 2)]
)
def test_a_start_that_others_disturbed_is_tried_again(
    failures: int, where: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domains._create_behind_filters.retry, "sleep", lambda _: None)
    domain = Disturbed(failures, where)
    try:
        domains._create_behind_filters(domain)  # type: ignore[arg-type]
    except libvirt.libvirtError:
        assert left
    assert domain.left == left


@pytest.mark.lab
@pytest.mark.parametrize("act", ["start", "remove_domain"])
def test_a_guest_starts_and_ends_in_its_turn(
    libvirt_rig: Rig, libvirt_settings: LibvirtSettings, act: str
) -> None:
    host, server = libvirt_rig.host, libvirt_rig.server()
    host.define(server.job, server.resources(host))
    if act == "remove_domain":
        host.start(server.server_id)
    with ExitStack() as ours:
        ours.enter_context(Turns(libvirt_settings.state_dir / "locks").ours())
        with elsewhere(lambda: getattr(host, act)(server.server_id)) as done:
            assert not done.wait(SOON_S)
            ours.close()


@pytest.mark.lab
def test_an_interface_whose_guest_is_being_started_is_no_gap(
    libvirt_rig: Rig, libvirt_settings: LibvirtSettings
) -> None:
    """Under load the interface is there for seconds before its filter."""
    host, server = libvirt_rig.host, libvirt_rig.server()
    host.define(server.job, server.resources(host))
    assert host.firewall_intact()
    found: list[bool] = []
    with ExitStack() as start:
        start.enter_context(Turns(libvirt_settings.state_dir / "locks").libvirts())
        start.enter_context(interface_without_a_filter())
        with elsewhere(lambda: found.append(host.firewall_intact())) as done:
            assert not done.wait(SOON_S)
            # As if its filter had come, and the start had ended.
            start.close()
    assert found == [True]
    with interface_without_a_filter():
        assert not host.firewall_intact()
