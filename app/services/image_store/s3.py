"""Images' bytes in a bucket that speaks S3, one object an image; any number of machines share it.

Effects  objects and unfinished uploads whose keys are our prefix and an image's id; files of a
         local directory, in which uploads arrive. Nothing else is touched.
"""

import io
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import structlog
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.manager import TransferConfig, TransferManager

from app.services.image_store.interface import Readable, Received
from app.services.image_store.s3_object import S3Object
from app.services.image_store.spool import CHUNK, remove_unlocked, spooled
from config.image_place import S3Place
from config.settings import ControlSettings
from tasks.errors import NotFound, StoreUnavailable

#: Parts are sent from the file as they are read, so that their size takes no memory. s3transfer
#: makes them larger where there would be more of them than S3 allows (10,000).
PART_BYTES = 16 * 1024 * 1024
PARTS_AT_ONCE = 4

_NETWORK = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=32,
    tcp_keepalive=True,
    # Newer checksums are asked for where S3 demands them only: Swift, Ceph and MinIO of some age do
    # not know them. Each part is signed with its SHA-256 instead, which every server checks.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)

log = structlog.get_logger(__name__)


def open_s3_store(settings: ControlSettings, place: S3Place) -> "S3Store":
    """Return the store; asks nobody yet."""
    key, secret = settings.image_store_access_key, settings.image_store_secret_key
    session = Session(
        # None: what the environment, the files of AWS' tools or the machine's role give.
        aws_access_key_id=key.get_secret_value() if key else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        region_name=place.region,
    )
    options = {"addressing_style": place.addressing, "payload_signing_enabled": True}
    config = _NETWORK.merge(Config(s3=options))
    client = session.client("s3", endpoint_url=place.endpoint, config=config)
    return S3Store(client, place, settings.image_spool_dir)


class S3Store:
    """A bucket's objects below a prefix, and a directory of this machine."""

    #: Uploads of other machines are seen by their records only.
    lease_s = 60.0

    def __init__(self, client: Any, place: S3Place, spool: Path) -> None:
        self._client, self._place, self._spool = client, place, spool.absolute()

    def receive(
        self, image_id: str, source: Readable, *, limit: int, expected: int | None = None
    ) -> AbstractContextManager[Received]:
        """Write the source's bytes to a file of this machine."""
        return spooled(self._spool, image_id, source, limit=limit, expected=expected)

    def put(self, image_id: str, received: Received) -> None:
        """Send what was received, in parts if it is large. S3 shows it when it is whole."""
        target = self._target(image_id)
        transfer = TransferConfig(
            multipart_threshold=PART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_request_concurrency=PARTS_AT_ONCE,
            max_submission_concurrency=1,
        )
        facts = {"byre-sha256": received.sha256}
        with self._translated(), TransferManager(self._client, transfer) as manager:
            manager.upload(
                str(received.path),
                target["Bucket"],
                target["Key"],
                {"ContentType": "application/octet-stream", "Metadata": facts},
            ).result()
            head = self._client.head_object(**target)
        if head["ContentLength"] != received.size_bytes or head["Metadata"] != facts:
            raise StoreUnavailable(
                "The image store did not keep what it was sent; try again later.",
                store=str(self._place),
                sent=received.size_bytes,
                kept=head["ContentLength"],
            )

    def open(self, image_id: str) -> BinaryIO:
        """Return the object, of which only that is fetched which is read."""
        target = self._target(image_id)
        try:
            with self._translated():
                head = self._client.head_object(**target)
        except NotFound:
            with self._translated("The image store's bucket is not there."):
                self._client.head_bucket(Bucket=self._place.bucket)
            raise NotFound(f"The bytes of image {image_id} are not in the store.") from None
        # Of the same bytes to the end, whatever becomes of the object meanwhile.
        target["IfMatch"] = head["ETag"]

        def get(first: int, last: int) -> Any:
            with self._translated():
                return self._client.get_object(**target, Range=f"bytes={first}-{last}")

        return io.BufferedReader(S3Object(get, head["ContentLength"]), CHUNK)

    def remove(self, image_id: str) -> None:
        """Remove the object; who is reading it is cut off."""
        with self._translated():
            self._client.delete_object(**self._target(image_id))

    def remove_abandoned(self) -> set[str]:
        """Remove what uploads to this machine have left; return the ids of the images that its
        processes receive."""
        return remove_unlocked(self._spool)

    def stop_unfinished(self, saving: Callable[[], Collection[str]]) -> None:
        """Abort the multipart uploads of images that nobody uploads."""
        with self._translated():
            found = list(self._unfinished())
            alive = saving() if found else ()
            for image_id, upload_id in found:
                if image_id not in alive:
                    self._abort(image_id, upload_id)

    def _unfinished(self) -> Iterator[tuple[str, str]]:
        start = self._place.key("")
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._place.bucket, Prefix=start):
            for upload in page.get("Uploads", ()):
                name = upload["Key"].removeprefix(start)
                # Of others who share the bucket, though their prefix begins with ours.
                if _is_id(name):
                    yield name, upload["UploadId"]

    def _abort(self, image_id: str, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(**self._target(image_id), UploadId=upload_id)
        except self._client.exceptions.NoSuchUpload:
            return
        log.warning("upload.stopped", image=image_id)

    def _target(self, image_id: str) -> dict[str, Any]:
        return {"Bucket": self._place.bucket, "Key": self._place.key(image_id)}

    @contextmanager
    def _translated(self, missing: str | None = None) -> Iterator[None]:
        """Raise what S3's client raises as ours; what is missing is NotFound, unless there is a
        text for it."""
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if code in {"404", "NoSuchKey"} and missing is None:
                raise NotFound("The image's bytes are not in the store.") from error
            if code == "NoSuchBucket" or status == 404:
                text = missing or "The image store's bucket is not there."
            elif status in {401, 403}:
                text = "The image store refuses the credentials that its operator has set."
            else:
                text = "The image store does not answer as it should; try again later."
            raise self._unavailable(text, error) from error
        except BotoCoreError as error:
            text = "The image store does not answer; try again later."
            raise self._unavailable(text, error) from error

    def _unavailable(self, text: str, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(text, store=str(self._place), error=str(error))


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
