"""What a server's machine has used and moved: asked of its host, for administrators."""

import time
from dataclasses import dataclass

from app.db.models.base import new_id, now
from app.services import consoles, servers
from app.services.context import Caller, Context
from app.services.questions import answer_to
from tasks.errors import Conflict
from tasks.messages import Diagnose, Diagnosis

_DEED = "get_diagnostics"


@dataclass(frozen=True)
class DiagnosisView:
    """What its host says of a server, and what is known without it."""

    diagnosis: Diagnosis
    config_drive: bool
    uptime_s: int


def show(context: Context, caller: Caller, server_id: str) -> DiagnosisView:
    """Return it. Raises NotFound, and Conflict if the server has no host or does not run, or its
    host does not answer."""
    host = consoles.host_of(context, caller, server_id, _DEED)
    server = servers.get(context, caller, server_id)
    order = Diagnose(
        host=host.name,
        server_id=server_id,
        question=new_id(),
        deadline=time.time() + consoles.PATIENCE_S,
    )
    context.publisher.diagnose(order)
    answer = answer_to(context, order)
    if answer is None or answer.refused:
        silent = f"its host did not answer within {consoles.PATIENCE_S:.0f} seconds"
        why = answer.refused if answer else silent
        raise Conflict(f"Cannot '{_DEED}' instance {server_id}: {why}")
    uptime = (now() - server.launched_at).total_seconds() if server.launched_at else 0.0
    diagnosis = Diagnosis.model_validate_json(answer.text)
    return DiagnosisView(diagnosis, server.config_drive, int(uptime))
