"""What crosses the broker: frozen values with units, and the envelope that carries them.

Control plane and hypervisors share these types and nothing else. Every value is JSON; what does
not fit a type is refused with the field's name (`MalformedMessage`), never half understood.
"""

from tasks.messages.base import OLDEST_VERSION, VERSION, Message, Value
from tasks.messages.boot import BootProof, BootReport, FirstBoot, InjectedFile, Proof, ProofSeen
from tasks.messages.consoles import Console, ConsoleKind, ConsoleWay, OpenConsole, ReadConsole
from tasks.messages.domains import DiskRef, DiskRole, DomainRef, DomainSpec, DomainState, Outline
from tasks.messages.firewall import FirewallSpec, GroupSpec, RuleSpec
from tasks.messages.hosts import Canary, Fabric, Heartbeat, Hello, Inventory
from tasks.messages.images import (
    CachedImage,
    CacheReport,
    ImageSource,
    ImageUpload,
    StoredFormat,
    WarmCache,
)
from tasks.messages.machine import Hardware, Limits, MachineSpec
from tasks.messages.networks import (
    AddressPair,
    NetworkSpec,
    Overlay,
    PortAddress,
    PortSpec,
    Route,
    SubnetSpec,
)
from tasks.messages.questions import (
    Answer,
    DescribeDomain,
    Diagnose,
    Diagnosis,
    DiskUse,
    InterfaceUse,
    Question,
    Traffic,
)
from tasks.messages.reports import Failure, StageReport
from tasks.messages.routing import (
    ExternalSpec,
    FloatingSpec,
    RemoteAddress,
    RoutedSubnet,
    RouterSpec,
    RoutingSpec,
)
from tasks.messages.runs import AttemptRef, Envelope, Job
from tasks.messages.stages import (
    Asked,
    BuildSpec,
    Grace,
    Kept,
    Password,
    Placement,
    PortsRef,
    ShapeSpec,
    Wiring,
)
from tasks.messages.survey import DomainChange, Survey, Thing, ThingKind, Tidy

__all__ = [
    "OLDEST_VERSION",
    "VERSION",
    "AddressPair",
    "Answer",
    "Asked",
    "AttemptRef",
    "BootProof",
    "BootReport",
    "BuildSpec",
    "CacheReport",
    "CachedImage",
    "Canary",
    "Console",
    "ConsoleKind",
    "ConsoleWay",
    "DescribeDomain",
    "Diagnose",
    "Diagnosis",
    "DiskRef",
    "DiskRole",
    "DiskUse",
    "DomainChange",
    "DomainRef",
    "DomainSpec",
    "DomainState",
    "Envelope",
    "ExternalSpec",
    "Fabric",
    "Failure",
    "FirewallSpec",
    "FirstBoot",
    "FloatingSpec",
    "Grace",
    "GroupSpec",
    "Hardware",
    "Heartbeat",
    "Hello",
    "ImageSource",
    "ImageUpload",
    "InjectedFile",
    "InterfaceUse",
    "Inventory",
    "Job",
    "Kept",
    "Limits",
    "MachineSpec",
    "Message",
    "NetworkSpec",
    "OpenConsole",
    "Outline",
    "Overlay",
    "Password",
    "Placement",
    "PortAddress",
    "PortSpec",
    "PortsRef",
    "Proof",
    "ProofSeen",
    "Question",
    "ReadConsole",
    "RemoteAddress",
    "Route",
    "RoutedSubnet",
    "RouterSpec",
    "RoutingSpec",
    "RuleSpec",
    "ShapeSpec",
    "StageReport",
    "StoredFormat",
    "SubnetSpec",
    "Survey",
    "Thing",
    "ThingKind",
    "Tidy",
    "Traffic",
    "Value",
    "WarmCache",
    "Wiring",
]
