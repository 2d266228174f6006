"""A small world for HTTP cases: two projects, their people and their things, with fixed ids and
times, so that whole bodies can be compared."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from app.db.models import (
    ApplicationCredential,
    Attempt,
    CachedImage,
    Drift,
    FabricState,
    Fault,
    FixedAddress,
    Flavor,
    Hypervisor,
    Image,
    Keypair,
    Network,
    Port,
    PortSecurityGroup,
    Project,
    RequestSpec,
    RoleAssignment,
    Run,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    Stage,
    Subnet,
    Token,
    User,
    Watch,
)
from app.db.models.base import now
from app.db.session import Sessions
from app.services.passwords import hash_password


def uid(number: int) -> str:
    """Return a UUID that is easy to recognise."""
    return f"00000000-0000-4000-8000-{number:012d}"


ALPHA, BETA, OPERATIONS = uid(1), uid(2), uid(3)
ALICE, RITA, BOB, ROOT = uid(11), uid(12), uid(13), uid(14)
PUBLIC_IMAGE, ALPHA_IMAGE, BETA_IMAGE, QUEUED_IMAGE, BIG_IMAGE = (uid(n) for n in range(21, 26))
NETWORK, SUBNET, BETA_NETWORK = uid(31), uid(32), uid(33)
ACTIVE, FAILED, BETA_SERVER, GONE = uid(41), uid(42), uid(43), uid(44)
CREDENTIAL = uid(92)
PORT, HOST, KEYPAIR, RUN, LOST = uid(51), uid(61), uid(71), uid(81), uid(91)
#: Security groups: each project's `default`, one of alpha's own, and two of one name.
ALPHA_DEFAULT, BETA_DEFAULT, OPERATIONS_DEFAULT, WEB, TWIN, OTHER_TWIN = (
    uid(n) for n in range(101, 107)
)

#: user -> (project, role)
PEOPLE = {
    "alice": (ALICE, ALPHA, "member"),
    "rita": (RITA, ALPHA, "reader"),
    "bob": (BOB, BETA, "member"),
    "root": (ROOT, OPERATIONS, "admin"),
}

PASSWORD = "correct horse"
#: Made once: hashing is slow on purpose.
PASSWORD_HASH = hash_password(PASSWORD)

THEN = datetime(2026, 11, 23, 3, 33, 44, 123456, tzinfo=UTC)
THEN_TEXT, THEN_MICRO = "2026-11-23T03:33:44Z", "2026-11-23T03:33:44.123456"

PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqvM4C0pGNBtnZD1nLSqyq8WSFqbOnsMZ1nTFzsDmQS me@home"
)

BYTES = b"\x00" * 4096


def token_of(name: str) -> str:
    """Return the token that this person has from the start."""
    return f"token-of-{name}"


def make_world(sessions: Sessions, images: Path) -> None:
    """Write it all, and the bytes of the public image."""
    with sessions.begin() as session:
        for part in (_projects, _people, _things, _images, _networks, _groups, _servers, _drift):
            part(session)
            session.flush()
    images.mkdir(parents=True, exist_ok=True)
    (images / PUBLIC_IMAGE).write_bytes(BYTES)


def _projects(session: Session) -> None:
    for project_id, name in ((ALPHA, "alpha"), (BETA, "beta"), (OPERATIONS, "operations")):
        limits = {"quota_servers": 5, "quota_vcpus": 20, "quota_memory_mib": 8192}
        session.add(Project(id=project_id, name=name, created_at=THEN, **limits))


def _people(session: Session) -> None:
    for name, (user_id, project_id, _) in PEOPLE.items():
        user = User(
            id=user_id, name=name, password_hash=PASSWORD_HASH, default_project_id=project_id
        )
        session.add(user)
    session.flush()
    for name, (user_id, project_id, role) in PEOPLE.items():
        session.add(RoleAssignment(user_id=user_id, project_id=project_id, role=role))
        add_token(session, token_of(name), user_id, project_id, lives_s=3600)
    session.add(
        ApplicationCredential(
            id=CREDENTIAL,
            user_id=ALICE,
            project_id=ALPHA,
            name="robot",
            description="sweeps",
            secret_hash=PASSWORD_HASH,
            roles=["reader"],
            created_at=THEN,
        )
    )
    add_token(session, "expired-token", ALICE, ALPHA, lives_s=-1)
    add_token(session, "unscoped-token", ALICE, None, lives_s=3600)


def add_token(
    session: Session, secret: str, user_id: str, project_id: str | None, lives_s: float
) -> None:
    """Write a token."""
    session.add(
        Token(
            digest=hashlib.sha256(secret.encode()).hexdigest(),
            audit_id=f"audit-{secret}"[:32],
            user_id=user_id,
            project_id=project_id,
            issued_at=THEN,
            expires_at=now() + timedelta(seconds=lives_s),
        )
    )


def _things(session: Session) -> None:
    session.add(Flavor(id="42", name="m1.nano", vcpus=1, memory_mib=256, root_gib=1))
    session.add(Flavor(id="43", name="m1.huge", vcpus=8, memory_mib=4096, root_gib=80))
    session.add(
        Flavor(id="secret", name="secret", vcpus=1, memory_mib=256, root_gib=1, is_public=False)
    )
    session.add(
        Keypair(
            id=KEYPAIR,
            user_id=ALICE,
            name="key",
            public_key=PUBLIC_KEY,
            fingerprint="f8:f5",
            created_at=THEN,
        )
    )
    session.add(
        Hypervisor(
            id=HOST,
            number=1,
            name="host-1",
            host_ip="10.0.0.1",
            worker="compute@host-1",
            # Alive for as long as a module's tests may take.
            last_seen_at=now() + timedelta(hours=1),
            hypervisor_type="QEMU",
            hypervisor_version=7_002_000,
            domain_type="qemu",
            architecture="x86_64",
            cpu_model="EPYC",
            running_domains=1,
            vcpus=8,
            memory_mib=16_384,
            disk_gib=100,
            free_disk_gib=90,
            vcpus_used=1,
            memory_mib_used=256,
            disk_gib_used=1,
            fabric_carried_out=5,
            image_cache_bytes=3 * 1024**3 // 2,
            image_cache_at=THEN,
        )
    )
    session.flush()
    session.add(
        FabricState(
            hypervisor_id=HOST,
            revision=7,
            changed_at=THEN,
            sent_revision=7,
            sent_at=THEN,
            sends=1,
        )
    )
    session.add(
        CachedImage(
            hypervisor_id=HOST,
            sha256="a" * 64,
            disk_format="qcow2",
            image_id=PUBLIC_IMAGE,
            state="ready",
            size_bytes=3 * 1024**3,
            allocated_bytes=3 * 1024**3 // 2,
            used_at=THEN,
            in_use=True,
        )
    )


def _images(session: Session) -> None:
    rows = (
        (PUBLIC_IMAGE, OPERATIONS, "guest", "active", "public", 64 * 1024**2),
        (ALPHA_IMAGE, ALPHA, "ours", "active", "private", 64 * 1024**2),
        (BETA_IMAGE, BETA, "theirs", "active", "private", 64 * 1024**2),
        (QUEUED_IMAGE, ALPHA, "later", "queued", "private", None),
        (BIG_IMAGE, OPERATIONS, "big", "active", "public", 10 * 1024**3),
    )
    for age, (image_id, project_id, name, status, visibility, virtual_size) in enumerate(rows):
        session.add(
            Image(
                id=image_id,
                project_id=project_id,
                name=name,
                status=status,
                visibility=visibility,
                disk_format="qcow2",
                container_format="bare",
                virtual_size_bytes=virtual_size,
                size_bytes=len(BYTES) if virtual_size else None,
                md5=hashlib.md5(BYTES, usedforsecurity=False).hexdigest() if virtual_size else None,
                sha256=hashlib.sha256(BYTES).hexdigest() if virtual_size else None,
                sha512=hashlib.sha512(BYTES).hexdigest() if virtual_size else None,
                properties={"byre_boot_proof": "running"} if name == "guest" else {},
                created_at=THEN - timedelta(seconds=age),
            )
        )


def _networks(session: Session) -> None:
    session.add(
        Network(id=NETWORK, project_id=OPERATIONS, name="private", shared=True, created_at=THEN)
    )
    session.add(Network(id=BETA_NETWORK, project_id=BETA, name="theirs", created_at=THEN))
    session.flush()
    session.add(
        Subnet(
            id=SUBNET,
            network_id=NETWORK,
            name="private",
            cidr="10.77.0.0/24",
            gateway="10.77.0.1",
            dns=["10.77.0.1"],
            host_address="10.77.0.1",
            pools=[{"start": "10.77.0.2", "end": "10.77.0.254"}],
            created_at=THEN,
        )
    )


def _groups(session: Session) -> None:
    """Rules have numbers from 111 on, in their order."""
    for group_id, project_id, name in (
        (ALPHA_DEFAULT, ALPHA, "default"),
        (BETA_DEFAULT, BETA, "default"),
        (OPERATIONS_DEFAULT, OPERATIONS, "default"),
        (WEB, ALPHA, "web"),
        (TWIN, ALPHA, "twin"),
        (OTHER_TWIN, ALPHA, "twin"),
    ):
        default_of = project_id if name == "default" else None
        session.add(
            SecurityGroup(
                id=group_id,
                project_id=project_id,
                name=name,
                default_of=default_of,
                created_at=THEN,
            )
        )
    session.flush()
    rules: tuple[tuple[str, str, str, int, dict[str, object]], ...] = (
        (ALPHA_DEFAULT, ALPHA, "ingress", 4, {"remote_group_id": ALPHA_DEFAULT}),
        (ALPHA_DEFAULT, ALPHA, "egress", 6, {}),
        (WEB, ALPHA, "ingress", 4, _HTTP),
        (BETA_DEFAULT, BETA, "egress", 4, {}),
    )
    for number, (group_id, project_id, direction, version, facts) in enumerate(rules, 111):
        session.add(
            SecurityGroupRule(
                id=uid(number),
                security_group_id=group_id,
                project_id=project_id,
                direction=direction,
                ip_version=version,
                created_at=THEN,
                **facts,
            )
        )


_HTTP: dict[str, object] = {
    "protocol": "tcp",
    "protocol_number": 6,
    "port_min": 80,
    "port_max": 80,
    "remote_prefix": "192.0.2.7/24",
}


def _servers(session: Session) -> None:
    active = {
        "status": "ACTIVE",
        "vm_state": "active",
        "task_state": None,
        "power_state": 1,
        "hypervisor_id": HOST,
        "launched_at": THEN,
        "key_name": "key",
        "user_metadata": {"role": "web"},
    }
    failed = {"status": "ERROR", "vm_state": "error", "task_state": None}
    gone = {**failed, "status": "DELETED", "vm_state": "deleted", "deleted_at": THEN}
    _server(session, ACTIVE, ALPHA, ALICE, "web", 0, active)
    _server(session, FAILED, ALPHA, ALICE, "broken", 1, failed)
    _server(session, BETA_SERVER, BETA, BOB, "foreign", 2, active)
    _server(session, GONE, ALPHA, ALICE, "gone", 3, gone)
    session.flush()
    session.add(
        Fault(
            server_id=FAILED,
            code=500,
            reason="no_valid_host",
            message="No valid host was found.",
            details="",
            created_at=THEN,
        )
    )
    session.add(
        Port(
            id=PORT,
            project_id=ALPHA,
            network_id=NETWORK,
            server_id=ACTIVE,
            position=0,
            mac="fa:16:3e:00:00:01",
            addresses=[FixedAddress(subnet_id=SUBNET, address="10.77.0.5")],
            seen_at=THEN,
            created_at=THEN,
        )
    )
    session.flush()
    session.add(PortSecurityGroup(port_id=PORT, security_group_id=ALPHA_DEFAULT))
    _run(session)
    # Long enough for all cases of the table, on a busy machine too.
    session.add(Watch(since=THEN, last_at=now() + timedelta(minutes=10)))


def _server(
    session: Session,
    server_id: str,
    project_id: str,
    user_id: str,
    name: str,
    age: int,
    facts: Mapping[str, object],
) -> None:
    moment = THEN - timedelta(seconds=age)
    server = Server(
        id=server_id,
        project_id=project_id,
        user_id=user_id,
        name=name,
        hostname=name,
        flavor_id="42",
        flavor_name="m1.nano",
        vcpus=1,
        memory_mib=256,
        root_gib=1,
        image_id=PUBLIC_IMAGE,
        created_at=moment,
        **facts,
    )
    session.add(server)
    session.flush()
    if "task_state" in facts:
        # To a row that is not written yet, None would mean the column's default.
        server.task_state, server.updated_at = None, moment
    session.add(RequestSpec(server_id=server_id, network_ids=[NETWORK]))


def _run(session: Session) -> None:
    """The run that made the active server."""
    later = THEN + timedelta(seconds=2)
    common = {"finished_at": later, "state": "done"}
    session.add(
        Run(
            id=RUN,
            server_id=ACTIVE,
            pipeline="create",
            request_id="req-1",
            user_id=ALICE,
            deadline=THEN + timedelta(hours=1),
            lease_until=later,
            created_at=THEN,
            published_at=THEN,
            **common,
        )
    )
    session.flush()
    session.add(Attempt(run_id=RUN, number=1, host="host-1", started_at=THEN, **common))
    session.add(
        Stage(
            run_id=RUN,
            attempt=1,
            name="validate",
            position=0,
            queued_at=THEN,
            started_at=THEN + timedelta(milliseconds=500),
            worker="control@here",
            limit_s=30,
            **common,
        )
    )
    proof = {
        "proof": "running",
        "state": "seen",
        "after_s": 0.5,
        "seen_at": later.timestamp(),
        "detail": "",
    }
    session.add(
        Stage(
            run_id=RUN,
            attempt=1,
            name="poll_boot",
            position=5,
            queued_at=later,
            started_at=later,
            worker="compute@host-1",
            limit_s=3600,
            output={"proofs": [proof]},
            **common,
        )
    )


def _drift(session: Session) -> None:
    """A disk that nobody owns, and one that the active server lacks."""
    later = THEN + timedelta(seconds=2)
    common = {"hypervisor_id": HOST, "first_seen_at": THEN, "last_seen_at": later}
    session.add(
        Drift(
            direction="unowned",
            kind="disk",
            name=f"{LOST}.root.qcow2",
            server_id=LOST,
            state="quarantined",
            changed_at=later,
            **common,
        )
    )
    session.add(
        Drift(
            direction="missing",
            kind="disk",
            name=ACTIVE,
            server_id=ACTIVE,
            changed_at=THEN,
            **common,
        )
    )
