"""What a server's machine has used, as operators are told."""

from datetime import timedelta
from typing import Any

import pytest

from app.api import microversions
from app.db.models import Hypervisor
from app.db.models.base import now
from app.services import consoles
from tasks.messages import Diagnosis, DiskUse, InterfaceUse, Traffic
from tests.http.cases import Api, tell
from tests.http.table_servers import ONE
from tests.http.world import ACTIVE, FAILED, HOST

FOUND = Diagnosis(
    driver="libvirt",
    domain_type="kvm",
    state="running",
    cpu_times_ns=[17, 18],
    memory_kib=524288,
    memory={"actual": 262144, "rss": 99},
    disks=[
        DiskUse(
            device="vda",
            read_requests=1,
            read_bytes=2,
            write_requests=3,
            write_bytes=4,
            errors=-1,
        )
    ],
    interfaces=[
        InterfaceUse(
            device="vnet0",
            mac="fa:16:3e:00:00:01",
            rx=Traffic(octets=1, packets=2, errors=3, drop=4),
            tx=Traffic(octets=5, packets=6, errors=7, drop=8),
        )
    ],
)


def ask(api: Api, user: str = "root", path: str = ONE, version: str = "2.1") -> Any:
    headers = {"X-OpenStack-Nova-API-Version": version}
    return api.call(user, "GET", f"{path}/diagnostics", headers=headers)


def message(answer: Any) -> str:
    assert answer.status_code == 409
    return str(answer.get_json()["conflictingRequest"]["message"])


def test_each_figure_has_a_key_at_first(api: Api) -> None:
    api.recorder.reply = lambda asked: tell(api.sessions, asked, FOUND.model_dump_json())
    answer = ask(api)
    assert (answer.status_code, answer.get_json()) == (
        200,
        {
            "cpu0_time": 17,
            "cpu1_time": 18,
            "vda_read_req": 1,
            "vda_read": 2,
            "vda_write_req": 3,
            "vda_write": 4,
            "vda_errors": -1,
            "memory": 524288,
            "memory-actual": 262144,
            "memory-rss": 99,
            "vnet0_rx": 1,
            "vnet0_rx_packets": 2,
            "vnet0_rx_errors": 3,
            "vnet0_rx_drop": 4,
            "vnet0_tx": 5,
            "vnet0_tx_packets": 6,
            "vnet0_tx_errors": 7,
            "vnet0_tx_drop": 8,
        },
    )
    [order] = api.recorder.questions
    assert (order.host, getattr(order, "server_id", "")) == ("host-1", ACTIVE)


def test_later_they_are_the_same_for_all_hypervisors(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microversions, "MAXIMUM", (2, 64))
    api.recorder.reply = lambda asked: tell(api.sessions, asked, FOUND.model_dump_json())
    body = ask(api, version="2.48").get_json()
    assert body.pop("uptime") >= 0
    assert body == {
        "state": "running",
        "driver": "libvirt",
        "hypervisor": "kvm",
        "hypervisor_os": "linux",
        "config_drive": True,
        "num_cpus": 2,
        "num_nics": 1,
        "num_disks": 1,
        "memory_details": {"maximum": 512, "used": 256},
        "cpu_details": [
            {"id": 0, "time": 17, "utilisation": None},
            {"id": 1, "time": 18, "utilisation": None},
        ],
        "nic_details": [
            {
                "mac_address": "fa:16:3e:00:00:01",
                "rx_octets": 1,
                "rx_packets": 2,
                "rx_errors": 3,
                "rx_drop": 4,
                "rx_rate": None,
                "tx_octets": 5,
                "tx_packets": 6,
                "tx_errors": 7,
                "tx_drop": 8,
                "tx_rate": None,
            }
        ],
        "disk_details": [
            {
                "read_bytes": 2,
                "read_requests": 1,
                "write_bytes": 4,
                "write_requests": 3,
                "errors_count": -1,
            }
        ],
    }


def test_host_that_refuses_or_does_not_answer_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "PATIENCE_S", 0.2)
    api.recorder.reply = lambda asked: tell(api.sessions, asked, refused="The server does not run.")
    assert message(ask(api)).endswith(": The server does not run.")
    api.recorder.reply = None
    assert "its host did not answer within" in message(ask(api))
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).last_seen_at = now() - timedelta(hours=1)
    assert message(ask(api)).endswith("while its host does not answer")
    assert len(api.recorder.questions) == 2


@pytest.mark.parametrize(
    ("user", "path", "status"),
    [
        ("alice", ONE, 403),
        ("root", ONE.replace(ACTIVE, "nope"), 404),
        ("root", ONE.replace(ACTIVE, FAILED), 409),
    ],
)
def test_refused_question_asks_nobody(api: Api, user: str, path: str, status: int) -> None:
    assert ask(api, user, path).status_code == status
    assert api.recorder.questions == []
