"""What a host lets through to and from its ports: security groups, and what is routed there."""

from typing import Literal

from pydantic import Field

from tasks.messages.base import Value
from tasks.messages.routing import RoutingSpec


class RuleSpec(Value):
    """A security group's rule: what it allows. Numbers and addresses only, never a name."""

    direction: Literal["ingress", "egress"]
    version: Literal[4, 6]
    #: IP protocol number; None: any.
    protocol: int | None = Field(default=None, ge=0, le=255)
    #: Ports from and to; with ICMP its type and code.
    port_min: int | None = Field(default=None, ge=0, le=65535)
    port_max: int | None = Field(default=None, ge=0, le=65535)
    #: Prefix of the other side. With neither this nor a group: anybody.
    remote_prefix: str | None = None
    #: Id of the group whose members are the other side.
    remote_group: str | None = None


class GroupSpec(Value):
    """A security group: its rules, all of which allow."""

    group_id: str
    #: Whether answers to what was allowed are allowed too.
    stateful: bool = True
    rules: list[RuleSpec]


class FirewallSpec(Value):
    """The security groups that a host needs for some ports, and what is routed to and from them, as
    of a moment."""

    #: Rises with every change; what is older than what a host has carried out is not carried out.
    revision: int = Field(default=0, ge=0)
    groups: list[GroupSpec] = Field(default_factory=list)
    #: Group id -> addresses of its members, for the groups that rules name as the other side.
    members: dict[str, list[str]] = Field(default_factory=dict)
    routing: RoutingSpec = Field(default_factory=RoutingSpec)
