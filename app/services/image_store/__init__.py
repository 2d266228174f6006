"""Where the images' bytes lie: a directory, or an object store that speaks S3."""

from pathlib import Path

from app.services.image_store.directory import DirectoryStore
from app.services.image_store.interface import ImageStore, Readable, Received
from config.settings import ControlSettings

__all__ = ["ImageStore", "Readable", "Received", "open_store"]


def open_store(settings: ControlSettings) -> ImageStore:
    """Return the store that the settings name; asks nobody."""
    if isinstance(settings.image_store, Path):
        return DirectoryStore(settings.image_store)
    # Its client takes its time and 30 MiB: for those who use it.
    from app.services.image_store.s3 import open_s3_store  # noqa: PLC0415

    return open_s3_store(settings, settings.image_store)
