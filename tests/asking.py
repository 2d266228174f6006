"""Ask for an action as the API does, whatever it needs to be told."""

from app.services import server_actions, snapshots
from app.services.context import Caller, Context
from app.services.snapshots import NewSnapshot
from tasks.pipelines import CREATE_BACKUP, CREATE_IMAGE


def ask(context: Context, caller: Caller, server_id: str, pipeline: str) -> None:
    """Begin the pipeline's action. Raises what that raises."""
    new = NewSnapshot("a copy", {"mark": "mine"})
    if pipeline == CREATE_IMAGE:
        snapshots.create_image(context, caller, server_id, new)
    elif pipeline == CREATE_BACKUP:
        snapshots.create_backup(context, caller, server_id, new, backup_type="daily", rotation=1)
    else:
        server_actions.begin(context, caller, server_id, pipeline)
