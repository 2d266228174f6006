"""What a server's guest has proved of its boot."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.dialects import BYRE
from app.api.routes import Routes
from app.api.times import micro_time
from app.services import boot_views
from app.services.boot_views import ProofView

routes = Routes(BYRE, "boot", "What a server's guest has proved of its boot.", "/byre/v1")


class ProofSchema(Schema):
    """One piece of evidence that the guest is up: `seen`, `not_seen`, or `unknown` if it was not
    looked for or cannot be known. Times are of the host's clock."""

    proof = fields.String(required=True)
    state = fields.String(required=True)
    seen_at = fields.String(required=True, allow_none=True)
    after_s = fields.Float(required=True, allow_none=True)
    detail = fields.String(required=True)
    addresses = fields.List(fields.String(), required=True)


class Boot(Schema):
    """A boot: `waiting`, `booting`, `up` or `failed`, and the proof that is `wanted`."""

    server_id = fields.String(required=True)
    state = fields.String(required=True)
    wanted = fields.String(required=True, allow_none=True)
    limit_s = fields.Float(required=True, allow_none=True)
    started_at = fields.String(required=True, allow_none=True)
    ended_at = fields.String(required=True, allow_none=True)
    proofs = fields.List(fields.Nested(ProofSchema), required=True)


class BootAnswer(Schema):
    """A boot."""

    boot = fields.Nested(Boot, required=True)


@routes.endpoint("GET", "/servers/<server_id>/boot", "boot:show", returns=BootAnswer, errors=(404,))
def show_boot(server_id: str) -> Any:
    """Show which proofs of a server's boot were seen, and when"""
    view = boot_views.of_server(context(), caller(), server_id)
    return {
        "boot": {
            "server_id": view.server_id,
            "state": view.state,
            "wanted": view.wanted,
            "limit_s": view.limit_s,
            "started_at": micro_time(view.started_at),
            "ended_at": micro_time(view.ended_at),
            "proofs": [proof_body(proof) for proof in view.proofs],
        }
    }


def proof_body(view: ProofView) -> dict[str, Any]:
    """Return a proof as it is shown."""
    return {
        "proof": view.proof,
        "state": view.state,
        "seen_at": micro_time(view.seen_at),
        "after_s": view.after_s,
        "detail": view.detail,
        "addresses": list(view.addresses),
    }
