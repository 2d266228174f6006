"""Sees to the host's image cache: prunes it, fetches what is ordered ahead, and tells the control
plane what is in it."""

import threading
import time

import structlog
from kombu.exceptions import OperationalError

from config.queues import CACHE_REPORT
from tasks.errors import ByreError
from tasks.messages import CachedImage, CacheReport
from workers.hosted import Hosted

log = structlog.get_logger(__name__)

#: A report that says nothing new is sent so often all the same: one may have been lost.
_REPEAT_AFTER_S = 300.0
_STALE_AFTER_S = 60.0


class CacheKeeper(threading.Thread):
    """Prunes and reports until it is stopped."""

    def __init__(self, worker: Hosted) -> None:
        super().__init__(name="image-cache", daemon=True)
        self._worker = worker
        self._stopped = threading.Event()
        self._told: list[CachedImage] | None = None
        self._told_at = self._pruned_at = float("-inf")

    def run(self) -> None:
        """Look at once, then at the survey's interval, and whenever a warming begins or ends."""
        while not self._stopped.is_set():
            self._worker.warming.changed.clear()
            try:
                self._turn()
            except (ByreError, OperationalError, OSError) as error:
                log.warning("cache.not_seen_to", reason=str(error))
            except Exception:
                log.exception("cache.failed")
            self._worker.warming.changed.wait(self._worker.settings.survey_interval_s)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._worker.warming.changed.set()

    def _turn(self) -> None:
        moment = time.monotonic()
        if moment - self._pruned_at >= self._worker.settings.image_cache_interval_s:
            self._pruned_at = moment
            self._worker.host.prune_images()
        images = self._worker.host.cached_images()
        if images != self._told or moment - self._told_at >= _REPEAT_AFTER_S:
            self._report(images)
            self._told, self._told_at = images, moment

    def _report(self, images: list[CachedImage]) -> None:
        report = CacheReport(host=self._worker.settings.host, taken_at=time.time(), images=images)
        self._worker.celery.send_task(
            CACHE_REPORT, args=[report.model_dump()], retry=False, expires=_STALE_AFTER_S
        )


class Warmer(threading.Thread):
    """Fetches images that were ordered ahead, one after the other, and takes no slot of the stages
    for it. A failure is in the cache's list, with its reason."""

    def __init__(self, worker: Hosted) -> None:
        super().__init__(name="image-warmer", daemon=True)
        self._worker = worker

    def run(self) -> None:
        """Fetch what comes."""
        while (image := self._worker.warming.next()) is not None:
            self._worker.warming.changed.set()
            try:
                self._worker.host.ensure_image(image)
            except ByreError as error:
                log.warning("cache.not_warmed", image=image.image_id, reason=error.public)
            except Exception:
                log.exception("cache.not_warmed", image=image.image_id)
            self._worker.warming.changed.set()

    def stop(self) -> None:
        """Fetch nothing more; a download under way is gone on with by the next process."""
        self._worker.warming.end()
