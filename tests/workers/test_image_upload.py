"""An image's bytes sent to a store that behaves, and to one that does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import HostError, ImageRefused, UploadFailed
from tests.drivers.images import ImageServer, serving
from workers.hypervisor.image_upload import Uploader


@pytest.fixture
def store() -> Iterator[ImageServer]:
    with serving(b"") as server:
        yield server


def sent(store: ImageServer, path: Path, content: bytes | None = b"disk", **manner: Any) -> None:
    """Send a file to a store that behaves like this."""
    for name, value in manner.items():
        setattr(store, name, value)
    if content is not None:
        path.write_bytes(content)
    Uploader(pause_s=0.001).send(path, store.upload(), 30)


@pytest.mark.parametrize("manner", [{}, {"refusals": 2 * (503,)}, {"lost_answers": 1}])
def test_passing_trouble_costs_another_try(
    store: ImageServer, tmp_path: Path, manner: dict[str, Any]
) -> None:
    sent(store, tmp_path / "disk", **manner)
    assert store.uploaded == b"disk"


def test_image_that_has_its_bytes_is_left_alone(store: ImageServer, tmp_path: Path) -> None:
    sent(store, tmp_path / "gone", None, upload_status="active")
    assert store.uploaded == b""
    with pytest.raises(HostError, match="not there"):
        sent(store, tmp_path / "gone", None, upload_status="queued")


@pytest.mark.parametrize(
    ("manner", "error", "told"),
    [
        ({"refusals": (413,)}, ImageRefused, "does not take the snapshot: It says no."),
        ({"upload_status": "gone"}, ImageRefused, "It is gone."),
        ({"upload_status": "killed"}, ImageRefused, "is killed"),
        ({"refusals": 9 * (503,)}, UploadFailed, "could not be sent"),
        ({"refusals": 9 * (409,)}, UploadFailed, "Another upload"),
    ],
)
def test_refusal_is_told(
    store: ImageServer, tmp_path: Path, manner: dict[str, Any], error: Any, told: str
) -> None:
    with pytest.raises(error, match=told):
        sent(store, tmp_path / "disk", **manner)


def test_ticket_is_in_no_error(tmp_path: Path) -> None:
    with serving(b"") as closed:
        upload = closed.upload()
    with pytest.raises(UploadFailed) as caught:
        Uploader(pause_s=0.001).send(tmp_path, upload, 0)
    assert "secret" not in f"{caught.value!r} {caught.value.facts} {caught.value.__cause__}"
