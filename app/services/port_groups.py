"""Which security groups a port is in."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.db.models import Port, PortSecurityGroup, SecurityGroup
from app.db.repo import security_groups as repo
from app.runs import fabric
from app.services.context import Caller
from tasks.errors import Conflict, NotFound


def of(session: Session, row: Port) -> list[str]:
    """Return the ids of the port's groups."""
    return repo.of_ports(session, [row.id]).get(row.id, [])


def replace(session: Session, caller: Caller, row: Port, wanted: Sequence[str]) -> None:
    """Put the port into these groups, and take it out of all others. Raises NotFound for a group
    that is not there, or another project's, and Conflict without port security."""
    before, after = set(of(session, row)), set(wanted)
    there = repo.keep(session, after)
    for group_id in wanted:
        if group_id not in there or not _may_use(session, caller, row, group_id):
            raise NotFound(f"Security group {group_id} does not exist")
    for group_id in sorted(before - after):
        repo.leave(session, group_id, [row.id])
    session.add_all(
        PortSecurityGroup(port_id=row.id, security_group_id=group_id) for group_id in after - before
    )
    session.flush()
    check(session, row)
    fabric.note_members(session, before ^ after)


def leave_all(session: Session, row: Port) -> None:
    """Take the port out of all groups."""
    groups = of(session, row)
    for group_id in groups:
        repo.leave(session, group_id, [row.id])
    fabric.note_members(session, groups)


def check(session: Session, row: Port) -> None:
    """Groups need port security, which cannot be taken from a port that is in some. Raises
    Conflict."""
    if not row.port_security and of(session, row):
        raise Conflict(
            "Port security must be enabled and port must have an IP address in order to use"
            " security groups; a port that is in some keeps it."
        )


def _may_use(session: Session, caller: Caller, row: Port, group_id: str) -> bool:
    group = session.get_one(SecurityGroup, group_id)
    return group.project_id == row.project_id or caller.is_admin
