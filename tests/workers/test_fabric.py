"""What a worker does with the control plane's word on networks and security groups."""

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import HostError
from tasks.messages import Fabric, FirewallSpec
from tests.drivers.values import NETWORK
from workers import fabric as fabric_module
from workers.fabric import FabricKeeper
from workers.hypervisor.fake import FakeHypervisor


def order(revision: int, **changes: Any) -> Fabric:
    values = {"host": "h", "revision": revision, "networks": [NETWORK], "ports": []}
    return Fabric(**{**values, "firewall": FirewallSpec(revision=revision), **changes})


@pytest.fixture
def host() -> FakeHypervisor:
    return FakeHypervisor()


def test_what_was_carried_out_is_known_to_the_next_process(
    host: FakeHypervisor, tmp_path: Path
) -> None:
    keeper = FabricKeeper(host, tmp_path)
    assert keeper.revision() == 0
    keeper.carry_out(order(7))
    assert host.networks == {NETWORK.network_id: NETWORK}
    assert FabricKeeper(host, tmp_path).revision() == keeper.revision() == 7


def test_network_that_is_down_was_not_carried_out(host: FakeHypervisor, tmp_path: Path) -> None:
    """So the control plane tells all of it again, also to the next process."""
    keeper = FabricKeeper(host, tmp_path)
    keeper.carry_out(order(7))
    host.networks.clear()
    assert keeper.revision() == FabricKeeper(host, tmp_path).revision() == 0

    keeper.carry_out(order(7))

    assert keeper.revision() == 7
    assert host.networks == {NETWORK.network_id: NETWORK}


def test_an_order_of_the_past_is_dropped(host: FakeHypervisor, tmp_path: Path) -> None:
    keeper = FabricKeeper(host, tmp_path)
    keeper.carry_out(order(7))
    changed = NETWORK.model_copy(update={"mtu": 1300})
    keeper.carry_out(order(6, networks=[changed]))
    assert host.networks == {NETWORK.network_id: NETWORK}
    assert keeper.revision() == 7


def test_after_a_reboot_nothing_was_carried_out(
    host: FakeHypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FabricKeeper(host, tmp_path).carry_out(order(7))
    next_boot = tmp_path / "boot_id"
    next_boot.write_text("another\n")
    monkeypatch.setattr(fabric_module, "_BOOT_ID", next_boot)
    assert FabricKeeper(host, tmp_path).revision() == 0


@pytest.mark.parametrize("verb", ["ensure_network", "update_firewall"])
def test_what_failed_is_not_said_to_be_done_and_does_not_keep_the_rest(
    host: FakeHypervisor, tmp_path: Path, verb: str
) -> None:
    keeper = FabricKeeper(host, tmp_path)
    host.faults.before[verb] = [HostError("no room")]
    keeper.carry_out(order(7))
    assert keeper.revision() == 0
    assert host.calls["update_firewall"] == 1

    keeper.carry_out(order(7))
    assert keeper.revision() == 7
    assert NETWORK.network_id in host.networks


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"boot": "x"}', '{"revision": "many"}'])
def test_a_damaged_file_says_nothing(host: FakeHypervisor, tmp_path: Path, text: str) -> None:
    (tmp_path / "fabric.json").write_text(text)
    assert FabricKeeper(host, tmp_path).revision() == 0


def test_an_order_that_comes_while_another_is_carried_out_is_left_to_it(
    host: FakeHypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = FabricKeeper(host, tmp_path)
    told: list[int] = []

    def ensure(firewall: FirewallSpec, ports: list[Any]) -> None:
        told.append(firewall.revision)
        if firewall.revision == 7:
            for newer in (9, 8):
                keeper.carry_out(order(newer))
            assert told == [7], "both were left to the one that is at it"

    monkeypatch.setattr(host, "update_firewall", ensure)
    keeper.carry_out(order(7))
    assert told == [7, 9]
    assert keeper.revision() == 9
    keeper.carry_out(order(10))
    assert keeper.revision() == 10
