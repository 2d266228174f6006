"""A server's metadata: its owner's notes on it. What a guest is told of them it is told at its
first boot; a change later is seen in the API only."""

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from app.db.models import Project, Server
from app.db.repo import images, servers
from app.db.session import reading
from app.runs.boot_properties import check_boot_properties, merged
from app.services.context import Caller, Context
from app.services.servers import found, refuse_locked
from tasks.errors import Conflict, NotFound, QuotaExceeded

#: Nova's states in which metadata and tags may change: what is built or deleted is left alone.
STEADY = frozenset({"active", "paused", "suspended", "stopped"})

Items = Mapping[str, str]


def check_count(session: Session, project_id: str, items: Items, refusal: str = "") -> None:
    """Raise QuotaExceeded if these are more than a server or image of the project may have."""
    most = session.get_one(Project, project_id).quota_metadata_items
    if 0 <= most < len(items):
        raise QuotaExceeded(refusal or f"Maximum number of metadata items exceeds {most}")


def get(context: Context, caller: Caller, server_id: str) -> dict[str, str]:
    """Return all items. Raises NotFound."""
    with reading(context.sessions) as session:
        return dict(found(servers.get(session, server_id), caller, server_id).user_metadata)


def get_item(context: Context, caller: Caller, server_id: str, key: str) -> str:
    """Return an item's value. Raises NotFound."""
    return _item(get(context, caller, server_id), key)


def merge(context: Context, caller: Caller, server_id: str, items: Items) -> dict[str, str]:
    """Add items or change them, and return all. Raises NotFound, Conflict, QuotaExceeded,
    RequestError."""
    return _change(context, caller, server_id, "update", lambda old: {**old, **items})


def replace(context: Context, caller: Caller, server_id: str, items: Items) -> dict[str, str]:
    """Let these be all items, and return them. Raises as `merge`."""
    return _change(context, caller, server_id, "update", lambda _: dict(items))


def remove(context: Context, caller: Caller, server_id: str, key: str) -> None:
    """Take an item away. Raises NotFound, Conflict, RequestError."""

    def without(old: Items) -> dict[str, str]:
        _item(old, key)
        return {name: value for name, value in old.items() if name != key}

    _change(context, caller, server_id, "delete", without)


def _item(items: Items, key: str) -> str:
    if key not in items:
        raise NotFound("Metadata item was not found")
    return items[key]


def _change(
    context: Context,
    caller: Caller,
    server_id: str,
    verb: str,
    make: Callable[[Items], dict[str, str]],
) -> dict[str, str]:
    with context.sessions.begin() as session:
        # All items are one column: who changes one of them must not lose another's change.
        servers.lock(session, server_id)
        server = found(servers.get(session, server_id), caller, server_id)
        refuse_locked(server, caller)
        items = make(server.user_metadata)
        _check_state(server, f"{verb} metadata")
        check_count(session, server.project_id, items)
        _check_boot(session, server, items)
        server.user_metadata = items
    return items


def _check_state(server: Server, action: str) -> None:
    word, state = "vm_state", server.vm_state
    if state in STEADY and server.task_state is not None:
        word, state = "task_state", server.task_state
    elif state in STEADY:
        return
    raise Conflict(f"Cannot '{action}' instance {server.id} while it is in {word} {state}")


def _check_boot(session: Session, server: Server, items: Items) -> None:
    """Refuse what a server may not be created with either."""
    image = images.get(session, server.image_id)
    check_boot_properties(merged({} if image is None else image.properties, items))
