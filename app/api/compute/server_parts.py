"""Parts of servers: the password that a guest has made for itself."""

from typing import Any

from marshmallow import fields

from app.api.auth import caller, context
from app.api.compute.schema import answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import posted_passwords

routes = Routes(COMPUTE, "server-parts", "Parts of servers.", "/v2.1/servers/<server_id>")

Password = answer("ServerPasswordAnswer", password=fields.String(required=True))


@routes.endpoint("GET", "/os-server-password", "passwords:show", returns=Password, errors=(404,))
def show_password(server_id: str) -> Any:
    """Show the password that a server's guest has made for itself, and encrypted with its key"""
    return {"password": posted_passwords.get(context(), caller(), server_id)}


@routes.endpoint("DELETE", "/os-server-password", "passwords:clear", status=204, errors=(404,))
def clear_password(server_id: str) -> None:
    """Forget that password, so that the guest may post another"""
    posted_passwords.clear(context(), caller(), server_id)
