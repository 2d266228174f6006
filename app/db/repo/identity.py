"""Queries on users, projects and roles. What is deleted is found by none of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, Select, delete, select
from sqlalchemy.orm import Session

from app.db.models import (
    ApplicationCredential,
    FlavorAccess,
    FloatingIp,
    Image,
    Keypair,
    Network,
    Port,
    PortSecurityGroup,
    Project,
    RoleAssignment,
    Router,
    SecurityGroup,
    Server,
    ServerGroup,
    User,
)


@dataclass(frozen=True)
class AccountFilter:
    """Which users or projects a list is to have; None is all."""

    name: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True)
class AssignmentFilter:
    """Which assignments a list is to have; None is all."""

    user_id: str | None = None
    project_id: str | None = None
    role: str | None = None


def user_by_id(session: Session, user_id: str) -> User | None:
    """Return the user, or None."""
    user = session.get(User, user_id)
    return user if user is not None and user.deleted_at is None else None


def user_by_name(session: Session, name: str) -> User | None:
    """Return the user, or None."""
    query = select(User).where(User.name == name, User.deleted_at.is_(None))
    return session.scalars(query).one_or_none()


def users(session: Session, wanted: AccountFilter) -> list[User]:
    """Return the users, by name."""
    query = select(User).where(User.deleted_at.is_(None)).order_by(User.name)
    if wanted.name is not None:
        query = query.where(User.name == wanted.name)
    if wanted.enabled is not None:
        query = query.where(User.enabled.is_(wanted.enabled))
    return list(session.scalars(query))


def project_by_id(session: Session, project_id: str) -> Project | None:
    """Return the project, or None."""
    project = session.get(Project, project_id)
    return project if project is not None and project.deleted_at is None else None


def project_by_name(session: Session, name: str) -> Project | None:
    """Return the project, or None."""
    query = select(Project).where(Project.name == name, Project.deleted_at.is_(None))
    return session.scalars(query).one_or_none()


def projects(session: Session, wanted: AccountFilter) -> list[Project]:
    """Return the projects, by name."""
    query = select(Project).where(Project.deleted_at.is_(None)).order_by(Project.name)
    if wanted.name is not None:
        query = query.where(Project.name == wanted.name)
    if wanted.enabled is not None:
        query = query.where(Project.enabled.is_(wanted.enabled))
    return list(session.scalars(query))


def projects_of(session: Session, user_id: str) -> list[Project]:
    """Return the enabled projects in which the user has a role, by name."""
    of_user = select(RoleAssignment.project_id).where(RoleAssignment.user_id == user_id)
    query = select(Project).where(Project.id.in_(of_user), Project.enabled.is_(True))
    return list(session.scalars(query.order_by(Project.name)))


def roles_in(session: Session, user_id: str, project_id: str) -> list[str]:
    """Return the roles that were given to the user in the project."""
    query = select(RoleAssignment.role).where(
        RoleAssignment.user_id == user_id, RoleAssignment.project_id == project_id
    )
    return sorted(session.scalars(query))


def assignments(session: Session, wanted: AssignmentFilter) -> Sequence[Row[*tuple[str, ...]]]:
    """Return who has which role where: ids of user and project, their names, the role's name."""
    query = (
        select(
            RoleAssignment.user_id,
            RoleAssignment.project_id,
            User.name.label("user_name"),
            Project.name.label("project_name"),
            RoleAssignment.role,
        )
        .join(User, User.id == RoleAssignment.user_id)
        .join(Project, Project.id == RoleAssignment.project_id)
        .order_by(Project.name, User.name, RoleAssignment.role)
    )
    for column, value in (
        (RoleAssignment.user_id, wanted.user_id),
        (RoleAssignment.project_id, wanted.project_id),
        (RoleAssignment.role, wanted.role),
    ):
        if value is not None:
            query = query.where(column == value)
    return session.execute(query).all()


def remove_assignment(session: Session, user_id: str, project_id: str, role: str) -> bool:
    """Take a role away; False if the user did not have it."""
    row = session.get(RoleAssignment, (user_id, project_id, role))
    if row is not None:
        session.delete(row)
    return row is not None


def end_user(session: Session, user: User, moment: datetime) -> None:
    """Take everything of the user's away but the row, which what they made refers to."""
    session.execute(delete(RoleAssignment).where(RoleAssignment.user_id == user.id))
    session.execute(delete(Keypair).where(Keypair.user_id == user.id))
    of_user = ApplicationCredential.user_id == user.id
    session.execute(delete(ApplicationCredential).where(of_user))
    user.password_hash, user.email, user.default_project_id = "", None, None
    user.name, user.enabled, user.deleted_at = user.id, False, moment


def end_project(session: Session, project: Project, moment: datetime) -> None:
    """Take everything of the project's away but the row, which its deleted servers refer to."""
    session.execute(delete(RoleAssignment).where(RoleAssignment.project_id == project.id))
    session.execute(delete(SecurityGroup).where(SecurityGroup.project_id == project.id))
    session.execute(delete(FlavorAccess).where(FlavorAccess.project_id == project.id))
    in_project = ApplicationCredential.project_id == project.id
    session.execute(delete(ApplicationCredential).where(in_project))
    project.name, project.enabled, project.deleted_at = project.id, False, moment


def things_in(session: Session, project_id: str) -> list[str]:
    """Return the kinds of things that the project still has."""
    alive = select(Server.id).where(Server.project_id == project_id, Server.deleted_at.is_(None))
    kinds: dict[str, Select[str]] = {
        "servers": alive,
        "images": select(Image.id).where(Image.project_id == project_id),
        "networks": select(Network.id).where(Network.project_id == project_id),
        "ports": select(Port.id).where(Port.project_id == project_id),
        "routers": select(Router.id).where(Router.project_id == project_id),
        "floating IPs": select(FloatingIp.id).where(FloatingIp.project_id == project_id),
        "server groups": select(ServerGroup.id).where(ServerGroup.project_id == project_id),
        "security groups with other projects' ports": select(PortSecurityGroup.port_id)
        .join(SecurityGroup, SecurityGroup.id == PortSecurityGroup.security_group_id)
        .where(SecurityGroup.project_id == project_id, Port.project_id != project_id)
        .join(Port, Port.id == PortSecurityGroup.port_id),
    }
    return [kind for kind, query in kinds.items() if session.scalar(query.limit(1)) is not None]
