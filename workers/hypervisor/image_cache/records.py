"""What the cache remembers of an image beside its file: under which id it was fetched, which
edition of it a partial file is of, and why it is not there.

A record that is lost costs little: a download begins anew, a list lacks an id.
"""

from pathlib import Path

from tasks.errors import ByreError, MalformedMessage
from tasks.messages import ImageSource, StoredFormat, Value
from workers.hypervisor.files import replacing

_TEXT_LIMIT = 500


class Record(Value):
    """One image's record."""

    image_id: str
    disk_format: StoredFormat
    size_bytes: int
    #: What the server called the edition that the partial file is of; empty: nothing.
    etag: str = ""
    #: Why it is not there; empty: nothing went wrong.
    failure: str = ""


class Records:
    """Records by digest, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, digest: str) -> Record | None:
        """Return the digest's record, or None if there is none that can be read."""
        try:
            return Record.model_validate_json(self._path(digest).read_bytes())
        except (OSError, ValueError, MalformedMessage):
            return None

    def note(self, image: ImageSource, *, etag: str = "", failure: str = "") -> None:
        """Write the image's record."""
        record = Record(
            image_id=image.image_id,
            disk_format=image.disk_format,
            size_bytes=image.size_bytes,
            etag=etag[:_TEXT_LIMIT],
            failure=failure[:_TEXT_LIMIT],
        )
        if record != self.get(image.sha256):
            self._directory.mkdir(parents=True, exist_ok=True)
            with replacing(self._path(image.sha256)) as (file, _):
                file.write(record.model_dump_json().encode())

    def fail(self, image: ImageSource, error: ByreError) -> None:
        """Note why the image is not there."""
        before = self.get(image.sha256)
        self.note(image, etag=before.etag if before else "", failure=error.public)

    def digests(self) -> list[str]:
        """Return the digests of which there is a record."""
        names = (path.name for path in self._directory.glob("image-*.json"))
        return [name.removeprefix("image-").removesuffix(".json") for name in names]

    def touched_at(self, digest: str) -> float:
        """Return when the record was written, in Unix seconds; 0 if there is none."""
        try:
            return self._path(digest).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def remove(self, digest: str) -> None:
        """Remove the digest's record."""
        self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._directory / f"image-{digest}.json"
