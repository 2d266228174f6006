"""Turn the rows of a placed server into the one value from which a hypervisor builds it."""

from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Image, Port, RequestSpec, Run, Server
from app.db.repo import addresses
from app.runs import fabric, tickets
from app.runs.boot_properties import LIMIT, PROOF, TEXT, merged
from app.runs.extra_specs import cpu_policy_of, limits_of
from app.runs.hardware import hardware_of
from app.runs.networks_spec import network_specs
from app.runs.sizes import Size
from config.settings import ControlSettings
from tasks.errors import ImageUnusable
from tasks.messages import (
    AttemptRef,
    BootProof,
    BuildSpec,
    FirstBoot,
    ImageSource,
    InjectedFile,
    MachineSpec,
    Outline,
    ShapeSpec,
    Wiring,
)
from tasks.pipelines import DETACH_INTERFACE

#: Where the request spec's hints keep the tag of the root disk.
ROOT_TAG = "root_tag"


def build_spec(
    session: Session,
    server: Server,
    spec: RequestSpec,
    ports: list[Port],
    settings: ControlSettings,
    deadline: float,
    attempt: AttemptRef,
) -> BuildSpec:
    """Return the spec. `deadline` (Unix seconds) ends the image ticket; the guest's word of its
    first boot is good for the attempt only. Raises ImageUnusable."""
    image = _image(session, server.disk_image_id)
    size = Size.of_server(server, spec)
    shape = shape_spec(session, server, spec, ports, settings, attempt, size)
    return BuildSpec(
        image=image_source(image, settings, deadline),
        machine=shape.machine,
        networks=shape.networks,
        ports=shape.ports,
        firewall=shape.firewall,
        first_boot=shape.first_boot,
        boot=shape.boot,
    )


def shape_spec(
    session: Session,
    server: Server,
    spec: RequestSpec,
    ports: list[Port],
    settings: ControlSettings,
    attempt: AttemptRef,
    size: Size,
) -> ShapeSpec:
    """Return all but the image that its host has to know of a server, with this size."""
    boot = boot_proof(spec, server, settings)
    token = tickets.phone_home(settings, attempt) if boot.proof == "first_boot" else ""
    interfaces = fabric.specs(session, ports)
    firewall = fabric.firewall_of(session, server.hypervisor_id, interfaces)
    networks = {port.network_id for port in ports} | fabric.bridges_of_floating(firewall)
    first_boot = _first_boot(session, server, spec, settings, token)
    return ShapeSpec(
        machine=_machine(server, spec, size),
        networks=network_specs(session, networks, server.hypervisor_id),
        ports=interfaces,
        firewall=firewall,
        first_boot=first_boot.model_copy(update={"instance_type": size.flavor_id}),
        boot=boot,
    )


def rescue_spec(session: Session, run: Run, settings: ControlSettings) -> BuildSpec:
    """Return from what a server is rescued: another image, and a password of the rescue's own, for
    which it has a config drive whether the server has one or not. Raises ImageUnusable."""
    server = session.get_one(Server, run.server_id)
    spec = session.get_one(RequestSpec, server.id)
    asked = run.parameters or {}
    image = _image(session, asked.get("rescue_image_id", server.image_id))
    ports = addresses.ports_of(session, server.id)
    interfaces = fabric.specs(session, ports)
    # Files are the server's: the rescue's own system is gone afterwards.
    told = {"admin_pass": asked.get("admin_pass", ""), "files": []}
    machine = _machine(server, spec, Size.of_server(server, spec))
    return BuildSpec(
        image=image_source(image, settings, run.deadline.timestamp()),
        machine=machine.model_copy(update={"config_drive": True}),
        networks=network_specs(session, [port.network_id for port in ports], server.hypervisor_id),
        ports=interfaces,
        first_boot=_first_boot(session, server, spec, settings, "").model_copy(update=told),
        boot=boot_proof(spec, server, settings),
    )


def outline(session: Session, run: Run, settings: ControlSettings) -> Outline:
    """Return the server's domain, for a host that has its disks."""
    server = session.get_one(Server, run.server_id)
    spec = session.get_one(RequestSpec, server.id)
    ports = fabric.specs(session, addresses.ports_of(session, server.id))
    machine = _machine(server, spec, Size.of_server(server, spec))
    return Outline(machine=machine, ports=ports, boot=boot_proof(spec, server, settings))


def wiring(session: Session, run: Run, settings: ControlSettings) -> Wiring:
    """Return a server's interfaces as they are to be, for the run that changes one of them."""
    server = session.get_one(Server, run.server_id)
    spec = session.get_one(RequestSpec, server.id)
    rows = addresses.ports_of(session, server.id)
    all_of_them = fabric.specs(session, rows)
    meant = (run.parameters or {})["port_id"]
    [port] = [each for each in all_of_them if each.port_id == meant]
    goes = run.pipeline == DETACH_INTERFACE
    return Wiring(
        machine=_machine(server, spec, Size.of_server(server, spec)),
        networks=network_specs(session, [row.network_id for row in rows], server.hypervisor_id),
        ports=[each for each in all_of_them if each is not port] if goes else all_of_them,
        port=port,
        first_boot=_first_boot(session, server, spec, settings, ""),
        firewall=fabric.firewall_of(session, server.hypervisor_id, [port]),
    )


def _image(session: Session, image_id: str) -> Image:
    image = session.get(Image, image_id)
    if image is None:
        raise ImageUnusable(f"Image {image_id} is gone.")
    return image


def _machine(server: Server, spec: RequestSpec, size: Size) -> MachineSpec:
    return MachineSpec(
        name=server.name,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        root_gib=size.root_gib,
        ephemeral_gib=size.ephemeral_gib,
        swap_mib=size.swap_mib,
        cpu_policy=cpu_policy_of(size.extra_specs),
        hardware=hardware_of(spec.image_words),
        limits=limits_of(size.extra_specs),
        config_drive=server.config_drive,
    )


def image_source(image: Image, settings: ControlSettings, deadline: float) -> ImageSource:
    """Return where a hypervisor fetches the image, with a ticket until the deadline."""
    return ImageSource.parse(
        {
            "image_id": image.id,
            "disk_format": image.disk_format,
            "url": tickets.image_url(settings, image.id, deadline),
            "sha256": image.sha256,
            "size_bytes": image.size_bytes,
        }
    )


def _first_boot(
    session: Session, server: Server, spec: RequestSpec, settings: ControlSettings, token: str
) -> FirstBoot:
    host = session.get_one(Hypervisor, server.hypervisor_id) if server.hypervisor_id else None
    zone = (host.availability_zone if host else None) or settings.availability_zone
    has_key = server.key_name is not None and spec.public_key is not None
    return FirstBoot(
        hostname=server.hostname,
        name=server.name,
        availability_zone=zone,
        public_keys={str(server.key_name): str(spec.public_key)} if has_key else {},
        metadata=dict(server.user_metadata),
        user_data=spec.user_data,
        files=[InjectedFile.parse(file) for file in spec.files],
        admin_pass=spec.admin_pass,
        root_tag=spec.hints.get(ROOT_TAG, ""),
        instance_type=server.flavor_id,
        vendor_data=settings.vendor_data,
        phone_home_token=token,
    )


def boot_proof(spec: RequestSpec, server: Server, settings: ControlSettings) -> BootProof:
    """Return what proves that the guest is up: by default that its address is in use, which any
    guest with DHCP shows."""
    words = merged(spec.image_words, server.user_metadata)
    if server.shelved_image_id is not None and words.get(PROOF) == "first_boot":
        # It has had that.
        words = {**words, PROOF: "address"}
    return BootProof.parse(
        {
            "proof": words.get(PROOF, "address"),
            "console_text": words.get(TEXT, ""),
            "limit_s": float(words.get(LIMIT, settings.boot_limit_s)),
        }
    )
