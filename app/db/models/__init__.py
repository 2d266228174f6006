"""All tables. Importing this package makes the metadata whole, for migrations and for tests."""

from app.db.models.aggregate import Aggregate, AggregateHost
from app.db.models.base import Base
from app.db.models.console import ConsoleAnswer, ConsoleToken
from app.db.models.fabric import FabricChange, FabricState
from app.db.models.flavor import Flavor, FlavorAccess
from app.db.models.hypervisor import Allocation, CachedImage, Hypervisor
from app.db.models.identity import (
    ApplicationCredential,
    FailedLogin,
    Project,
    QuotaDefault,
    RoleAssignment,
    Token,
    User,
)
from app.db.models.image import Image
from app.db.models.keypair import Keypair
from app.db.models.migration import Migration
from app.db.models.network import FixedAddress, Network, Port, Subnet
from app.db.models.router import AutoTopology, FloatingIp, Router, RouterInterface
from app.db.models.run import Attempt, Run, Stage
from app.db.models.security import PortSecurityGroup, SecurityGroup, SecurityGroupRule
from app.db.models.server import (
    Fault,
    IdempotencyKey,
    PostedPassword,
    RequestSpec,
    Server,
    ServerTag,
)
from app.db.models.server_group import ServerGroup, ServerGroupMember
from app.db.models.watch import Drift, Watch

__all__ = [
    "Aggregate",
    "AggregateHost",
    "Allocation",
    "ApplicationCredential",
    "Attempt",
    "AutoTopology",
    "Base",
    "CachedImage",
    "ConsoleAnswer",
    "ConsoleToken",
    "Drift",
    "FabricChange",
    "FabricState",
    "FailedLogin",
    "Fault",
    "FixedAddress",
    "Flavor",
    "FlavorAccess",
    "FloatingIp",
    "Hypervisor",
    "IdempotencyKey",
    "Image",
    "Keypair",
    "Migration",
    "Network",
    "Port",
    "PortSecurityGroup",
    "PostedPassword",
    "Project",
    "QuotaDefault",
    "RequestSpec",
    "RoleAssignment",
    "Router",
    "RouterInterface",
    "Run",
    "SecurityGroup",
    "SecurityGroupRule",
    "Server",
    "ServerGroup",
    "ServerGroupMember",
    "ServerTag",
    "Stage",
    "Subnet",
    "Token",
    "User",
    "Watch",
]
