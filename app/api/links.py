"""Links: absolute, with the scheme, host and prefix by which the client came."""

from urllib.parse import urlencode

from flask import request
from marshmallow import Schema, fields


class LinkSchema(Schema):
    """A link."""

    rel = fields.String(required=True)
    href = fields.String(required=True)


def base_url() -> str:
    """Return where this API is, as the client sees it, without a slash at the end."""
    return request.url_root.rstrip("/")


def next_page(marker: str) -> str:
    """Return this request's URL, with the marker moved to the last row of its page."""
    pairs = [(name, value) for name, value in request.args.items(multi=True) if name != "marker"]
    return f"{base_url()}{request.path}?{urlencode([*pairs, ('marker', marker)])}"
