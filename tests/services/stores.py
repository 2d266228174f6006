"""Stores of images in a bucket, for tests."""

import uuid
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.services.image_store.s3 import S3Store, open_s3_store
from config.image_place import S3Place
from config.settings import ControlSettings
from tests.object_stores import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SwiftServer
from tests.rows import make_settings


def s3_settings(
    swift: SwiftServer, spool: Path, prefix: str | None = None, **changes: Any
) -> ControlSettings:
    """Return settings of a control plane with a bucket's prefix of its own."""
    prefix = f"test-{uuid.uuid4().hex[:8]}" if prefix is None else prefix
    return make_settings(
        **{
            "image_store": S3Place(BUCKET, prefix, swift.url, REGION, "path"),
            "image_store_access_key": SecretStr(ACCESS_KEY),
            "image_store_secret_key": SecretStr(SECRET_KEY),
            "image_spool_dir": spool,
            **changes,
        }
    )


def s3_store(swift: SwiftServer, spool: Path, prefix: str | None = None, **changes: Any) -> S3Store:
    """Return the store that such settings name."""
    settings = s3_settings(swift, spool, prefix, **changes)
    assert isinstance(settings.image_store, S3Place)
    return open_s3_store(settings, settings.image_store)
