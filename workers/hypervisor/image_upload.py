"""Gives an image of the API its bytes, with the ticket that came with the work.

Effect  the image is active, made of one file of this host.
Repeat  whether it has its bytes already is asked first: an answer can be lost, the upload not.
Undo    none here: an upload that breaks off leaves the image as it was.
"""

import time
from pathlib import Path
from typing import Any

import requests
import structlog
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from tasks.errors import HostError, ImageRefused, UploadFailed
from tasks.messages import ImageUpload

log = structlog.get_logger(__name__)

_CONNECT_LIMIT_S = 5.0
#: The answer comes when the store has the bytes; if it does not within this, the image is asked.
_READ_LIMIT_S = 120.0
_TRIES = 5
_LONGEST_PAUSE_S = 5.0
_SAID_LIMIT = 300


class Uploader:
    """Sends files; safe for threads."""

    def __init__(self, ca_file: Path | None = None, pause_s: float = 0.5) -> None:
        self._pause_s = pause_s
        self._session = requests.Session()
        # A ticket is for the API alone: no proxy and no password file of the host's user.
        self._session.trust_env = False
        self._session.verify = str(ca_file) if ca_file else True

    def send(self, path: Path, upload: ImageUpload, limit_s: float) -> None:
        """Have the image made of the file's bytes; needless if it has its bytes. Raises
        UploadFailed, ImageRefused, and HostError without the file."""
        tries = Retrying(
            retry=retry_if_exception_type(UploadFailed),
            wait=wait_random_exponential(multiplier=self._pause_s, max=_LONGEST_PAUSE_S),
            stop=stop_after_attempt(_TRIES) | stop_after_delay(limit_s),
            reraise=True,
        )
        tries(self._try, path, upload, time.monotonic() + limit_s)

    def _try(self, path: Path, upload: ImageUpload, end: float) -> None:
        while (status := self._status(upload)) == "saving":
            # Of a copy of this work that has died, or whose answer was lost: it ends by itself.
            if time.monotonic() > end:
                raise UploadFailed("The image's upload took too long.", image=upload.image_id)
            time.sleep(min(_LONGEST_PAUSE_S, 2 * self._pause_s))
        if status == "queued":
            self._put(path, upload)
        elif status not in {"active", "deactivated"}:
            raise ImageRefused(f"The image of the snapshot is {status}.", image=upload.image_id)

    def _status(self, upload: ImageUpload) -> str:
        answer = self._asked(upload, "GET")
        _refuse(answer, upload)
        return str(answer.json().get("status"))

    def _put(self, path: Path, upload: ImageUpload) -> None:
        try:
            with path.open("rb") as file:
                kind = {"Content-Type": "application/octet-stream"}
                answer = self._asked(upload, "PUT", data=file, headers=kind)
        except FileNotFoundError as error:
            raise HostError("The snapshot to send is not there.", path=str(path)) from error
        if answer.status_code == requests.codes.conflict:
            raise UploadFailed("Another upload of the image has begun.", image=upload.image_id)
        _refuse(answer, upload)
        log.info("image.sent", image=upload.image_id, size_bytes=path.stat().st_size)

    def _asked(self, upload: ImageUpload, method: str, **more: Any) -> requests.Response:
        """Send a request. What is answered to a body that is still being sent is lost with the
        connection; the next look tells what became of it."""
        limits = (_CONNECT_LIMIT_S, _READ_LIMIT_S)
        try:
            return self._session.request(method, upload.url, timeout=limits, **more)
        except requests.RequestException as error:
            # The URL carries a ticket, and the library's text the URL: no log may show either, so
            # the cause is cut off.
            raise UploadFailed(
                "The image could not be sent to the API.",
                image=upload.image_id,
                problem=type(error).__name__,
            ) from None


def _refuse(answer: requests.Response, upload: ImageUpload) -> None:
    """Raise UploadFailed for passing trouble, ImageRefused for what will not change."""
    status = answer.status_code
    if status < requests.codes.bad_request:
        return
    if status >= requests.codes.server_error or status == requests.codes.too_many_requests:
        raise UploadFailed(
            "The image could not be sent to the API.", image=upload.image_id, status=status
        )
    raise ImageRefused(
        f"The image store does not take the snapshot: {_reason(answer)}",
        image=upload.image_id,
        status=status,
    )


def _reason(answer: requests.Response) -> str:
    try:
        said = answer.json()["error"]["message"]
    except (requests.JSONDecodeError, KeyError, TypeError):
        said = ""
    return str(said)[:_SAID_LIMIT] or f"status {answer.status_code}"
