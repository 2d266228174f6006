"""Put ports into security groups."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.db.models import Port, PortSecurityGroup
from app.db.repo import security_groups
from tasks.errors import NotFound


def join_groups(
    session: Session, project_id: str, group_ids: Sequence[str], ports: Sequence[Port]
) -> None:
    """Put new ports into groups, but for those without port security; into the project's default
    group if none is named: a server that was asked for before there were groups names none.
    Raises NotFound if a group is gone.
    """
    wanted = list(group_ids)
    if not wanted:
        default = security_groups.default_id(session, project_id)
        wanted = [default] if default else []
    there = security_groups.keep(session, wanted)
    for group_id in wanted:
        if group_id not in there:
            raise NotFound(f"Security group {group_id} is gone.")
    session.add_all(
        PortSecurityGroup(port_id=port.id, security_group_id=group_id)
        for port in ports
        if port.port_security
        for group_id in wanted
    )
    session.flush()
