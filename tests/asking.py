"""Ask for an action as the API does, whatever it needs to be told."""

from app.services import guest_passwords, resizing, server_actions, shelving, snapshots
from app.services.context import Caller, Context
from app.services.snapshots import NewSnapshot
from tasks.pipelines import (
    CHANGE_PASSWORD,
    CONFIRM_RESIZE,
    CREATE_BACKUP,
    CREATE_IMAGE,
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
    elif pipeline == CHANGE_PASSWORD:
        guest_passwords.change(context, caller, server_id, "secret")
    elif pipeline == RESIZE:
        resizing.resize(context, caller, server_id, flavor_id)
    elif pipeline == CONFIRM_RESIZE:
        resizing.confirm(context, caller, server_id)
    elif pipeline == REVERT_RESIZE:
        resizing.revert(context, caller, server_id)
    elif pipeline == SHELVE:
        shelving.shelve(context, caller, server_id)
    else:
        server_actions.begin(context, caller, server_id, pipeline)
