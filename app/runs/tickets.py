"""Tickets by which a hypervisor fetches one image until a moment, without a token of anybody's; and
the word by which a guest proves that it is the one that was asked."""

import hmac
import time

from itsdangerous import BadSignature, URLSafeSerializer

from config.settings import ControlSettings
from tasks.errors import Forbidden
from tasks.messages import AttemptRef

_SALT = "byre.image-ticket"


def image_url(settings: ControlSettings, image_id: str, expires_at: float) -> str:
    """Return the URL of the image's bytes, good until `expires_at` (Unix seconds)."""
    ticket = _serializer(settings).dumps([image_id, int(expires_at)])
    base = settings.internal_api_url.rstrip("/")
    return f"{base}/byre/v1/images/{image_id}/file?ticket={ticket}"


def check_ticket(settings: ControlSettings, image_id: str, ticket: str) -> None:
    """Raise Forbidden unless the ticket is ours, for this image, and not yet expired."""
    try:
        named, expires_at = _serializer(settings).loads(ticket)
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


def _serializer(settings: ControlSettings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret_key.get_secret_value(), salt=_SALT)
