"""Ask for an action as the API does, whatever it needs to be told."""

from app.services import (
    ports,
    resizing,
    server_actions,
    server_interfaces,
    shelving,
    snapshots,
)
from app.services.context import Caller, Context
from app.services.server_networks import Interface
from app.services.snapshots import NewSnapshot
from tasks.pipelines import (
    ATTACH_INTERFACE,
    CHANGE_ADDRESSES,
    CONFIRM_RESIZE,
    CREATE_BACKUP,
    CREATE_IMAGE,
    DETACH_INTERFACE,
    RESIZE,
    REVERT_RESIZE,
    SHELVE,
)


def ask(
    context: Context, caller: Caller, server_id: str, pipeline: str, flavor_id: str = ""
) -> None:
    """Begin the pipeline's action; a resize is to the flavor. Raises what that raises."""
    new = NewSnapshot("a copy", {"mark": "mine"})
    if pipeline == CREATE_IMAGE:
        snapshots.create_image(context, caller, server_id, new)
    elif pipeline == CREATE_BACKUP:
        snapshots.create_backup(context, caller, server_id, new, backup_type="daily", rotation=1)
    elif pipeline == RESIZE:
        resizing.resize(context, caller, server_id, flavor_id)
    elif pipeline == CONFIRM_RESIZE:
        resizing.confirm(context, caller, server_id)
    elif pipeline == REVERT_RESIZE:
        resizing.revert(context, caller, server_id)
    elif pipeline == SHELVE:
        shelving.shelve(context, caller, server_id)
    elif pipeline == ATTACH_INTERFACE:
        server_interfaces.attach(context, caller, server_id, Interface())
    elif pipeline in (DETACH_INTERFACE, CHANGE_ADDRESSES):
        _ask_of_last(context, caller, server_id, pipeline)
    else:
        server_actions.begin(context, caller, server_id, pipeline)


def _ask_of_last(context: Context, caller: Caller, server_id: str, pipeline: str) -> None:
    """Of the server's last interface, if it has one."""
    for port in ports.of_server(context, server_id)[-1:]:
        if pipeline == DETACH_INTERFACE:
            server_interfaces.detach(context, caller, server_id, port.id)
        else:
            server_interfaces.add_address(context, caller, server_id, port.network_id)
