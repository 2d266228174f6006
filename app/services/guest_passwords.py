"""The administrator's password of a guest that runs, set by the agent in it."""

from sqlalchemy.orm import Session

from app.db.models import RequestSpec, Server
from app.runs.hardware import admin_user_of, hardware_of
from app.services import server_actions
from app.services.context import Caller, Context
from tasks.errors import Conflict
from tasks.messages import Password
from tasks.pipelines import CHANGE_PASSWORD


def change(context: Context, caller: Caller, server_id: str, password: str) -> None:
    """Begin the change. Raises as `server_actions.begin`, and Conflict if the server's image wants
    no agent."""

    def prepare(session: Session, server: Server) -> dict[str, object]:
        words = session.get_one(RequestSpec, server.id).image_words
        if not hardware_of(words).guest_agent:
            raise Conflict("QEMU guest agent is not enabled")
        return Password(user=admin_user_of(words), password=password).model_dump()

    server_actions.begin(context, caller, server_id, CHANGE_PASSWORD, prepare)
