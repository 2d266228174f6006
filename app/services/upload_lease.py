"""An upload's sign of life and its fence: the image's `updated_at` while it is `saving`.

Whoever uploads knows the last one that it wrote. When the sign is overdue others let the image be
uploaded again, and what comes late from the one before has no effect.
"""

import threading
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.db.models.base import now
from app.db.repo import images
from app.db.session import Sessions

log = structlog.get_logger(__name__)


class UploadLease:
    """Renews the sign in a thread of its own, every so many seconds; 0: never."""

    def __init__(self, sessions: Sessions, image_id: str, stamp: datetime, every_s: float) -> None:
        self._sessions, self._image_id, self._stamp = sessions, image_id, stamp
        self._every_s = every_s
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True, name="upload-lease")

    def __enter__(self) -> Self:
        if self._every_s:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._over.set()
        if self._every_s:
            self._thread.join()

    def renew(self) -> bool:
        """Give the sign now; False if the image is no longer this upload's."""
        with self._lock:
            stamp = now()
            with self._sessions.begin() as session:
                held = images.move(
                    session, self._image_id, "saving", "saving", self._stamp, updated_at=stamp
                )
            if held:
                self._stamp = stamp
            return held

    def end(self, session: Session, status: str, **facts: Any) -> bool:
        """Leave the image in a status; False if it is no longer this upload's."""
        self._over.set()
        with self._lock:
            return images.move(
                session, self._image_id, "saving", status, self._stamp, updated_at=now(), **facts
            )

    def _go_on(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                if not self.renew():
                    return
            except SQLAlchemyError as error:
                log.warning("upload.not_renewed", image=self._image_id, error=str(error))
