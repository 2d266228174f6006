"""What the worker does about its host's image cache, beside the stages."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from config.settings import ComputeSettings
from tasks.errors import DownloadFailed, HostGone
from tasks.messages import CacheReport, ImageSource, WarmCache
from workers.cache_keeper import CacheKeeper, Warmer
from workers.compute_ledger import ComputeLedger
from workers.fabric import FabricKeeper
from workers.hosted import Hosted
from workers.hypervisor.fake import FakeHypervisor
from workers.hypervisor.journal import Journal
from workers.orders import warm_cache


class Outbox(Celery):
    """An application whose reports are kept instead of sent; some get lost."""

    def __init__(self) -> None:
        super().__init__("test", broker="memory://", set_as_current=False)
        self.reports: list[CacheReport] = []
        self.lost = 0

    def send_task(self, name: str, *_: Any, args: Any = (), **__: Any) -> Any:
        """Keep the report."""
        assert name == "cache_report"
        if self.lost:
            self.lost -= 1
            raise OperationalError("the broker is away")
        self.reports.append(CacheReport.parse(args[0]))


def source(digit: str) -> ImageSource:
    return ImageSource(
        image_id=digit * 36,
        disk_format="qcow2",
        url="http://127.0.0.1:9/",
        sha256=digit * 64,
        size_bytes=7,
    )


def make_worker(directory: Path, host: FakeHypervisor, outbox: Outbox) -> Hosted:
    settings = ComputeSettings(
        host="h", driver="fake", survey_interval_s=0.02, image_cache_interval_s=0.05
    )
    journal = Journal(directory)
    ledger, fabric = ComputeLedger(outbox, journal, "p"), FabricKeeper(host, directory)
    return Hosted(outbox, host, journal, ledger, fabric, settings, "p")


@contextmanager
def at_work(*threads: CacheKeeper | Warmer) -> Iterator[None]:
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.stop()
            thread.join(5)
            assert not thread.is_alive()


def soon(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not within 5 s")


def last(outbox: Outbox) -> dict[str, str]:
    images = outbox.reports[-1].images if outbox.reports else []
    return {one.sha256[0]: one.state for one in images}


def test_what_is_ordered_is_fetched_and_told(tmp_path: Path) -> None:
    host, outbox = FakeHypervisor(), Outbox()
    worker = make_worker(tmp_path, host, outbox)
    order = WarmCache(host="h", deadline=time.time() + 60, images=[source("a"), source("b")])
    with at_work(CacheKeeper(worker), Warmer(worker)):
        warm_cache(worker, order)
        soon(lambda: last(outbox) == {"a": "ready", "b": "ready"})
    assert host.calls["prune_images"] >= 1


def test_an_order_that_comes_late_is_void(tmp_path: Path) -> None:
    host, outbox = FakeHypervisor(), Outbox()
    worker = make_worker(tmp_path, host, outbox)
    warm_cache(worker, WarmCache(host="h", deadline=time.time() - 1, images=[source("a")]))
    worker.warming.put(source("b"))
    with at_work(Warmer(worker)):
        soon(lambda: host.calls["ensure_image"])
    assert [one.sha256[0] for one in host.cached_images()] == ["b"]


def test_a_fetch_that_fails_is_told_and_stops_nobody(tmp_path: Path) -> None:
    def fetch(image: ImageSource) -> None:
        if image.sha256[0] == "a":
            raise DownloadFailed("The image could not be fetched from the API.")
        if image.sha256[0] == "b":
            raise RuntimeError("unforeseen")

    host, outbox = FakeHypervisor(fetch=fetch), Outbox()
    worker = make_worker(tmp_path, host, outbox)
    order = WarmCache(host="h", deadline=time.time() + 60, images=[source(d) for d in "abc"])
    with at_work(CacheKeeper(worker), Warmer(worker)):
        warm_cache(worker, order)
        soon(lambda: last(outbox) == {"a": "failed", "c": "ready"})


def test_the_keeper_goes_on_after_any_trouble_and_tells_changes_only(tmp_path: Path) -> None:
    host, outbox = FakeHypervisor(), Outbox()
    host.faults.before["cached_images"] = [HostGone("no libvirt"), RuntimeError("unforeseen")]
    host.faults.before["prune_images"] = [HostGone("no libvirt")]
    outbox.lost = 1
    with at_work(CacheKeeper(make_worker(tmp_path, host, outbox))):
        soon(lambda: outbox.reports)
        before = host.calls["cached_images"]
        soon(lambda: host.calls["cached_images"] > before + 3)
        assert len(outbox.reports) == 1
        host.ensure_image(source("a"))
        soon(lambda: last(outbox) == {"a": "ready"})
    assert host.calls["prune_images"] >= 2
