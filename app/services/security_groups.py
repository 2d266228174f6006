"""Security groups as their owners make and see them. What of it hosts have to learn is noted in the
same transaction (app.runs.fabric)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_interface

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import Project, SecurityGroup, SecurityGroupRule
from app.db.models.base import new_id, now
from app.db.repo import identity, quota
from app.db.repo import security_groups as repo
from app.db.repo.paging import NO_FACTS, Facts
from app.db.session import reading
from app.runs import fabric
from app.runs.values import network_prefix
from app.services.context import Caller, Context
from app.services.networks import own_project
from app.services.security_rules import Key, NewRule, checked
from tasks.errors import (
    Conflict,
    NotFound,
    OverQuota,
    RequestError,
    SecurityGroupInUse,
    SecurityGroupRuleExists,
)

DEFAULT = "default"
_DEFAULT_TEXT = "Default security group"


@dataclass(frozen=True)
class RuleView:
    """A rule as it is shown."""

    id: str
    group_id: str
    project_id: str
    direction: str
    version: int
    protocol: str | None
    port_min: int | None
    port_max: int | None
    remote_prefix: str | None
    #: The same without the bits behind the prefix.
    normalized_prefix: str | None
    remote_group_id: str | None
    description: str
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class GroupView:
    """A group with its rules."""

    id: str
    name: str
    project_id: str
    description: str
    stateful: bool
    tags: tuple[str, ...]
    revision: int
    rules: tuple[RuleView, ...]
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class NewGroup:
    """A group as it was asked for. `project_id` None is the caller's."""

    name: str = ""
    description: str = ""
    stateful: bool = True
    project_id: str | None = None


@dataclass(frozen=True)
class Changes:
    """What is to be changed of a group; None stays."""

    name: str | None = None
    description: str | None = None
    stateful: bool | None = None


# --- looking -------------------------------------------------------------------------------------


def listed(context: Context, caller: Caller, facts: Facts = NO_FACTS) -> list[GroupView]:
    """Return the groups with these facts of the caller's project, `default` among them; an
    administrator's are everybody's."""
    see_to_default(context, caller.project_id)
    with reading(context.sessions) as session:
        return [group_view(row) for row in repo.listed(session, caller.sees, facts)]


def get(context: Context, caller: Caller, group_id: str) -> GroupView:
    """Return a group. Raises NotFound."""
    see_to_default(context, caller.project_id)
    with reading(context.sessions) as session:
        return group_view(_found(repo.get(session, group_id), caller, group_id))


def list_rules(
    context: Context, caller: Caller, group_ids: Collection[str] | None = None
) -> list[RuleView]:
    """Return the rules of the caller's project; of the groups given, or of all."""
    see_to_default(context, caller.project_id)
    with reading(context.sessions) as session:
        return [_rule_view(row) for row in repo.rules(session, caller.sees, group_ids)]


def get_rule(context: Context, caller: Caller, rule_id: str) -> RuleView:
    """Return a rule. Raises NotFound."""
    with reading(context.sessions) as session:
        return _rule_view(_found_rule(repo.get_rule(session, rule_id), caller, rule_id))


# --- the default group ---------------------------------------------------------------------------


def see_to_default(context: Context, project_id: str) -> str:
    """Return the id of the project's default group, made now if nobody has looked before: it lets
    everything out, and in what comes from its own members. In a transaction of its own: who made it
    and went on to wait for the project could be waited for. Raises RequestError without a project.
    """
    with reading(context.sessions) as session:
        found = repo.default_id(session, project_id)
        if found is not None:
            return found
        if identity.project_by_id(session, project_id) is None:
            raise RequestError(f"project_id: project {project_id} could not be found.")
    try:
        with context.sessions.begin() as session:
            return _make_default(session, project_id)
    except IntegrityError:
        # Somebody else looked at the same moment.
        with reading(context.sessions) as session:
            return str(repo.default_id(session, project_id))


def ensure_default(session: Session, project_id: str) -> str:
    """Return the id of the project's default group; one that is made now is the transaction's."""
    return repo.default_id(session, project_id) or _make_default(session, project_id)


def _make_default(session: Session, project_id: str) -> str:
    group = SecurityGroup(
        id=new_id(),
        project_id=project_id,
        name=DEFAULT,
        description=_DEFAULT_TEXT,
        default_of=project_id,
        created_at=now(),
    )
    session.add(group)
    session.flush()
    session.add_all(_first_rules(group))
    return group.id


def _first_rules(group: SecurityGroup) -> list[SecurityGroupRule]:
    rules = [_allow(group, "egress", version) for version in (4, 6)]
    if group.default_of is not None:
        rules += [_allow(group, "ingress", version, group.id) for version in (4, 6)]
    return rules


def _allow(
    group: SecurityGroup, direction: str, version: int, remote_group_id: str | None = None
) -> SecurityGroupRule:
    return SecurityGroupRule(
        id=new_id(),
        security_group_id=group.id,
        project_id=group.project_id,
        direction=direction,
        ip_version=version,
        remote_group_id=remote_group_id,
        created_at=group.created_at,
    )


# --- groups --------------------------------------------------------------------------------------


def create(context: Context, caller: Caller, new: NewGroup) -> GroupView:
    """Make a group, which lets everything out. Raises RequestError, Conflict, OverQuota."""
    _refuse_default_name(new.name)
    project_id = own_project(caller, new.project_id or None)
    see_to_default(context, project_id)
    with context.sessions.begin() as session:
        project = quota.lock_project(session, project_id)
        used = repo.count(session, project_id)
        if 0 <= project.quota_security_groups < used + 1:
            raise OverQuota("Quota exceeded for resources: ['security_group'].")
        _check_rule_quota(session, project, 2)
        group = SecurityGroup(
            id=new_id(),
            project_id=project_id,
            name=new.name,
            description=new.description,
            stateful=new.stateful,
            created_at=now(),
        )
        session.add(group)
        session.flush()
        session.add_all(_first_rules(group))
        session.flush()
        return group_view(_found(repo.get(session, group.id), caller, group.id))


def update(context: Context, caller: Caller, group_id: str, changes: Changes) -> GroupView:
    """Change a group. Raises NotFound, Conflict: the default group keeps its name, and a group
    that is in use stays stateful or stateless."""
    if changes.name is not None:
        _refuse_default_name(changes.name)
    with context.sessions.begin() as session:
        group = lock_owned(session, caller, group_id)
        if group.default_of is not None and changes.name is not None:
            raise Conflict("Updating default security group not allowed.")
        if changes.stateful not in (None, group.stateful):
            if repo.is_used(session, group_id):
                raise SecurityGroupInUse(f"Security Group {group_id} in use.")
            fabric.note_rules(session, group_id)
        for name in ("name", "description", "stateful"):
            value = getattr(changes, name)
            if value is not None:
                setattr(group, name, value)
        group.revision += 1
        session.flush()
        view = group_view(_found(repo.get(session, group_id), caller, group_id))
    context.publisher.fabric_changed()
    return view


def delete(context: Context, caller: Caller, group_id: str) -> None:
    """Remove a group, and other groups' rules that name it. Raises NotFound, Conflict."""
    with context.sessions.begin() as session:
        group = lock_owned(session, caller, group_id)
        if group.default_of is not None:
            raise Conflict("Insufficient rights for removing default security group.")
        if repo.is_used(session, group_id):
            raise SecurityGroupInUse(f"Security Group {group_id} in use.")
        for other in sorted(repo.referring(session, group_id)):
            fabric.note_rules(session, other)
        try:
            with session.begin_nested():
                session.delete(group)
        except IntegrityError as error:
            # A port came to be in it meanwhile.
            raise SecurityGroupInUse(f"Security Group {group_id} in use.") from error
    context.publisher.fabric_changed()


# --- rules ---------------------------------------------------------------------------------------


def create_rules(context: Context, caller: Caller, asked: Sequence[NewRule]) -> list[RuleView]:
    """Add rules, all of them or none. Raises RequestError, NotFound, SecurityGroupRuleExists,
    OverQuota."""
    wanted = [(new, checked(new)) for new in asked]
    see_to_default(context, caller.project_id)
    with context.sessions.begin() as session:
        groups = _groups_of(session, caller, asked)
        known = _keys(session, groups)
        rows = []
        for new, rule in wanted:
            group = groups[new.group_id]
            twin = known.setdefault((group.id, rule.key), row_id := new_id())
            if twin is not row_id:
                raise SecurityGroupRuleExists(
                    f"Security group rule already exists. Rule id is {twin}."
                )
            rows.append(_row(row_id, group, new, rule.key, rule.protocol, rule.remote_prefix))
        _check_quotas(session, rows)
        session.add_all(rows)
        for group in groups.values():
            group.revision += 1
            fabric.note_rules(session, group.id)
        session.flush()
        views = [_rule_view(row) for row in rows]
    context.publisher.fabric_changed()
    return views


def delete_rule(context: Context, caller: Caller, rule_id: str) -> None:
    """Remove a rule. Raises NotFound."""
    with context.sessions.begin() as session:
        rule = _found_rule(repo.get_rule(session, rule_id), caller, rule_id)
        group = lock_owned(session, caller, rule.security_group_id)
        rule = _found_rule(repo.get_rule(session, rule_id), caller, rule_id)
        session.delete(rule)
        group.revision += 1
        fabric.note_rules(session, group.id)
    context.publisher.fabric_changed()


def _groups_of(
    session: Session, caller: Caller, asked: Sequence[NewRule]
) -> dict[str, SecurityGroup]:
    """Return the groups of the new rules, locked; the groups that these name are there too."""
    named = {new.group_id for new in asked}
    remote = {new.remote_group_id for new in asked if new.remote_group_id is not None}
    found = {group.id: group for group in repo.lock(session, named | remote)}
    for new in asked:
        for group_id in (new.group_id, new.remote_group_id):
            if group_id is not None:
                _found(found.get(group_id), caller, group_id)
        if new.project_id not in (None, found[new.group_id].project_id):
            raise RequestError(f"project_id: security group {new.group_id} is another project's.")
    return {group_id: found[group_id] for group_id in named}


def _keys(session: Session, groups: Collection[str]) -> dict[tuple[str, Key], str]:
    return {
        (
            row.security_group_id,
            Key(
                row.direction,
                row.ip_version,
                row.protocol_number,
                row.port_min,
                row.port_max,
                network_prefix(row.remote_prefix),
                row.remote_group_id,
            ),
        ): row.id
        for row in repo.rules(session, None, list(groups))
    }


def _row(
    row_id: str,
    group: SecurityGroup,
    new: NewRule,
    key: Key,
    protocol: str | None,
    prefix: str | None,
) -> SecurityGroupRule:
    return SecurityGroupRule(
        id=row_id,
        security_group_id=group.id,
        project_id=group.project_id,
        direction=key.direction,
        ip_version=key.version,
        protocol=protocol,
        protocol_number=key.protocol,
        port_min=key.port_min,
        port_max=key.port_max,
        remote_prefix=prefix,
        remote_group_id=key.remote_group_id,
        description=new.description,
        created_at=now(),
    )


def _check_quotas(session: Session, rows: Sequence[SecurityGroupRule]) -> None:
    """Whose groups they are, whoever asks: several projects only if an administrator does."""
    for project_id in sorted({row.project_id for row in rows}):
        added = sum(row.project_id == project_id for row in rows)
        _check_rule_quota(session, quota.lock_project(session, project_id), added)


def _check_rule_quota(session: Session, project: Project, added: int) -> None:
    limit = project.quota_security_group_rules
    if limit >= 0 and repo.count_rules(session, project.id) + added > limit:
        raise OverQuota("Quota exceeded for resources: ['security_group_rule'].")


# --- inside --------------------------------------------------------------------------------------


def _refuse_default_name(name: str) -> None:
    if name.lower() == DEFAULT:
        raise Conflict("Default security group already exists.")


def _found(row: SecurityGroup | None, caller: Caller, group_id: str) -> SecurityGroup:
    if row is None or not (row.project_id == caller.project_id or caller.is_admin):
        raise NotFound(f"Security group {group_id} does not exist")
    return row


def _found_rule(row: SecurityGroupRule | None, caller: Caller, rule_id: str) -> SecurityGroupRule:
    if row is None or not (row.project_id == caller.project_id or caller.is_admin):
        raise NotFound(f"Security group rule {rule_id} does not exist")
    return row


def lock_owned(session: Session, caller: Caller, group_id: str) -> SecurityGroup:
    """Return a group of the caller's, locked. Raises NotFound."""
    return _found(next(iter(repo.lock(session, [group_id])), None), caller, group_id)


def group_view(row: SecurityGroup) -> GroupView:
    """Return what is shown of a group."""
    return GroupView(
        id=row.id,
        name=row.name,
        project_id=row.project_id,
        description=row.description,
        stateful=row.stateful,
        tags=tuple(row.tags),
        revision=row.revision,
        rules=tuple(_rule_view(rule) for rule in row.rules),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _rule_view(row: SecurityGroupRule) -> RuleView:
    return RuleView(
        id=row.id,
        group_id=row.security_group_id,
        project_id=row.project_id,
        direction=row.direction,
        version=row.ip_version,
        protocol=row.protocol,
        port_min=row.port_min,
        port_max=row.port_max,
        remote_prefix=row.remote_prefix,
        normalized_prefix=_whole(row.remote_prefix),
        remote_group_id=row.remote_group_id,
        description=row.description,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _whole(prefix: str | None) -> str | None:
    return None if prefix is None else str(ip_interface(prefix).network)
