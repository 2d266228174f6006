"""Messages for tests: one server, as `schedule` would hand it to a hypervisor."""

import time
import uuid
from collections.abc import Sequence

from tasks.messages import (
    BootProof,
    BuildSpec,
    FirstBoot,
    ImageSource,
    Inventory,
    Job,
    MachineSpec,
    NetworkSpec,
    PortAddress,
    PortSpec,
    ShapeSpec,
    SubnetSpec,
)

NETWORK_ID = "6f2b6a1e-0000-4000-8000-000000000001"
SUBNET_ID = str(uuid.uuid4())


def make_job(**changes: object) -> Job:
    """Return a job of a new server, good for a minute."""
    values = {
        "pipeline": "create",
        "run_id": str(uuid.uuid4()),
        "attempt": 1,
        "server_id": str(uuid.uuid4()),
        "project_id": str(uuid.uuid4()),
        "request_id": f"req-{uuid.uuid4()}",
        "deadline": time.time() + 60,
        "host": "host-1",
    }
    return Job.parse({**values, **changes})


def make_inventory() -> Inventory:
    """Return what a small host has to offer."""
    return Inventory(
        vcpus=8,
        memory_mib=8192,
        disk_gib=100,
        free_disk_gib=100,
        hypervisor_type="fake",
        hypervisor_version=1,
        domain_type="qemu",
        architecture="x86_64",
        cpu_model="fake",
        running_domains=0,
    )


def make_shape(build: BuildSpec, *, carried: Sequence[object] = (), **machine: object) -> ShapeSpec:
    """Return what a server that was built so is to be like, with another machine."""
    facts = build.model_dump(exclude={"image"}) | {"carried": list(carried)}
    facts["machine"] |= machine
    return ShapeSpec.parse(facts)


def make_build(*, proof: str = "address", limit_s: float = 30.0, text: str = "") -> BuildSpec:
    """Return a build with one port, proved by `proof` within `limit_s`."""
    return BuildSpec(
        image=ImageSource(
            image_id=str(uuid.uuid4()),
            disk_format="qcow2",
            url="http://127.0.0.1:9/image",
            sha256="0" * 64,
            size_bytes=1,
        ),
        machine=MachineSpec(name="web", vcpus=1, memory_mib=256, root_gib=1),
        networks=[
            NetworkSpec(
                network_id=NETWORK_ID,
                name="private",
                mtu=1500,
                subnets=[
                    SubnetSpec(
                        subnet_id=SUBNET_ID,
                        version=4,
                        cidr="10.9.0.0/24",
                        gateway="10.9.0.1",
                        host_address="10.9.0.1",
                    )
                ],
            )
        ],
        ports=[
            PortSpec(
                port_id=str(uuid.uuid4()),
                network_id=NETWORK_ID,
                mac="fa:16:3e:00:00:01",
                addresses=[PortAddress(subnet_id=SUBNET_ID, address="10.9.0.7", prefix_length=24)],
            )
        ],
        first_boot=FirstBoot(
            hostname="web",
            name="web",
            availability_zone="nova",
            public_keys={},
            metadata={},
            user_data="",
            admin_pass="",
        ),
        boot=BootProof.parse({"proof": proof, "console_text": text, "limit_s": limit_s}),
    )
