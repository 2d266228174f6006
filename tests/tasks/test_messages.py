"""What crosses the broker is typed, versioned, and refused with the field's name."""

from typing import Any

import pytest

from tasks.errors import MalformedMessage, NewerMessage
from tasks.messages import Envelope, NetworkSpec, PortSpec, StageReport
from tests.tasks.values import make_job


def envelope(**changes: Any) -> dict[str, Any]:
    return {**Envelope(job=make_job()).model_dump(), **changes}


def test_envelope_survives_the_wire() -> None:
    sent = Envelope(job=make_job(), data={"ports": {"ports": []}})

    assert Envelope.parse(sent.model_dump()) == sent


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (envelope(version=2), "no version 2"),
        (envelope(more=1), "field more"),
        (envelope(job={}), "field job.pipeline"),
        (envelope(job={**make_job().model_dump(), "attempt": "1"}), "field job.attempt"),
        (envelope(job={**make_job().model_dump(), "attempt": 0}), "field job.attempt"),
        ("text", "(the whole)"),
        (None, "(the whole)"),
    ],
)
def test_malformed_message_is_refused_with_the_field(message: object, words: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        Envelope.parse(message)

    assert words in caught.value.public


def test_newer_version_is_told_apart_from_garbage() -> None:
    with pytest.raises(NewerMessage, match="speaks version 5; known is 4"):
        Envelope.parse(envelope(version=5, more=1))


def test_network_and_port_as_rows_of_owed_runs_may_hold_them_are_understood() -> None:
    network = NetworkSpec.parse(
        {
            "network_id": "n",
            "name": "private",
            "cidr": "10.9.0.0/24",
            "gateway": "10.9.0.1",
            "dns": ["9.9.9.9"],
            "mtu": 1500,
        }
    )
    port = PortSpec.parse(
        {
            "port_id": "p",
            "network_id": "n",
            "mac": "fa:16:3e:00:00:01",
            "address": "10.9.0.7",
            "prefix_length": 24,
        }
    )

    (subnet,), (fixed,) = network.subnets, port.addresses
    assert (subnet.cidr, subnet.gateway, subnet.host_address) == (
        "10.9.0.0/24",
        "10.9.0.1",
        "10.9.0.1",
    )
    assert (subnet.dns, fixed.address, fixed.prefix_length) == (["9.9.9.9"], "10.9.0.7", 24)
    assert subnet.subnet_id == fixed.subnet_id


def test_report_of_an_unknown_event_is_refused() -> None:
    report = StageReport(
        job=make_job(), stage="launch", event="began", worker="w", started_at=1.0, at=2.0
    )

    with pytest.raises(MalformedMessage, match="field event"):
        StageReport.parse({**report.model_dump(), "event": "paused"})
