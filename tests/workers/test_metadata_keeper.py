"""The worker keeps the metadata service running, and ends it with itself."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import ComputeSettings, load_compute
from workers.metadata_keeper import MetadataKeeper


def settings(**names: str) -> ComputeSettings:
    """Return a worker's settings."""
    return load_compute({"BYRE_DRIVER": "libvirt", **names})


def eventually(condition: Callable[[], object]) -> None:
    """Wait until it is so."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_that_ends_is_started_anew_and_stopped_in_the_end(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    script = f"import sys; open({str(starts)!r}, 'a').write('x'); sys.stdin.read()"
    keeper = MetadataKeeper(settings(), [sys.executable, "-c", script])
    keeper.start()
    try:
        eventually(lambda: starts.exists() and starts.read_text() == "x")
        assert keeper.process is not None
        keeper.process.kill()
        eventually(lambda: starts.read_text() == "xx")
    finally:
        keeper.stop()
        keeper.join(10)
    assert not keeper.is_alive()
    assert keeper.process.poll() is not None
    assert starts.read_text() == "xx"


def test_a_program_that_is_not_there_harms_nobody(tmp_path: Path) -> None:
    keeper = MetadataKeeper(settings(), [str(tmp_path / "no-such-program")])
    keeper.start()
    time.sleep(0.1)
    keeper.stop()
    keeper.join(10)
    assert not keeper.is_alive()


@pytest.mark.parametrize("names", [{"BYRE_DRIVER": "fake"}, {"BYRE_METADATA_SERVICE": "off"}])
def test_nothing_is_started_where_nobody_asks(names: dict[str, str]) -> None:
    keeper = MetadataKeeper(settings(**names), ["false"])
    keeper.start()
    keeper.join(10)
    assert (keeper.is_alive(), keeper.process) == (False, None)
