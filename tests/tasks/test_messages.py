"""What crosses the broker is typed, versioned, and refused with the field's name."""

from typing import Any

import pytest

from tasks.errors import MalformedMessage
from tasks.messages import Envelope, StageReport
from tests.tasks.values import make_job


def envelope(**changes: Any) -> dict[str, Any]:
    return {**Envelope(job=make_job()).model_dump(), **changes}


def test_envelope_survives_the_wire() -> None:
    sent = Envelope(job=make_job(), data={"ports": {"ports": []}})

    assert Envelope.parse(sent.model_dump()) == sent


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (envelope(version=2), "field version"),
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


def test_report_of_an_unknown_event_is_refused() -> None:
    report = StageReport(
        job=make_job(), stage="launch", event="began", worker="w", started_at=1.0, at=2.0
    )

    with pytest.raises(MalformedMessage, match="field event"):
        StageReport.parse({**report.model_dump(), "event": "paused"})
