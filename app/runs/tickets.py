"""Tickets by which a hypervisor fetches one image until a moment, or gives one its bytes, without a
token of anybody's; and the word by which a guest proves that it is the one that was asked."""

import hmac
import time

from itsdangerous import BadSignature, URLSafeSerializer

from config.settings import ControlSettings
from tasks.errors import Forbidden
from tasks.messages import AttemptRef

#: What a ticket is for is in its signature: one for reading is none for writing.
_READING, _WRITING = "byre.image-ticket", "byre.image-upload-ticket"


def image_url(settings: ControlSettings, image_id: str, expires_at: float) -> str:
    """Return the URL of the image's bytes, good until `expires_at` (Unix seconds)."""
    return _url(settings, _READING, f"{image_id}/file", image_id, expires_at)


def upload_url(settings: ControlSettings, image_id: str, expires_at: float) -> str:
    """Return the URL by which the image is given its bytes, good until `expires_at` (Unix
    seconds)."""
    return _url(settings, _WRITING, f"{image_id}/upload", image_id, expires_at)


def check_ticket(settings: ControlSettings, image_id: str, ticket: str) -> None:
    """Raise Forbidden unless the ticket is ours, for reading this image, and not yet expired."""
    _check(settings, _READING, image_id, ticket)


def check_upload_ticket(settings: ControlSettings, image_id: str, ticket: str) -> None:
    """Raise Forbidden unless the ticket is ours, for writing this image, and not yet expired."""
    _check(settings, _WRITING, image_id, ticket)


def _url(settings: ControlSettings, use: str, path: str, image_id: str, expires_at: float) -> str:
    ticket = _serializer(settings, use).dumps([image_id, int(expires_at)])
    base = settings.internal_api_url.rstrip("/")
    return f"{base}/byre/v1/images/{path}?ticket={ticket}"


def _check(settings: ControlSettings, use: str, image_id: str, ticket: str) -> None:
    try:
        named, expires_at = _serializer(settings, use).loads(ticket)
    except (BadSignature, ValueError, TypeError) as error:
        raise Forbidden("The ticket is not valid.") from error
    if named != image_id or time.time() > expires_at:
        raise Forbidden("The ticket is for another image or has expired.")


def phone_home(settings: ControlSettings, attempt: AttemptRef) -> str:
    """Return the attempt's own word, which nobody can guess who has not the secret key. It is made
    again when a message is, so nothing of it is kept in the database; its host takes it once."""
    key = settings.secret_key.get_secret_value().encode()
    text = f"byre.phone-home.{attempt.run_id}.{attempt.attempt}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()[:40]


def _serializer(settings: ControlSettings, use: str) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret_key.get_secret_value(), salt=use)
