"""How a server looks: at 2.1 exactly these fields, later ones with their gates, and some of them to
operators only."""

from typing import Any

from marshmallow import Schema, fields, validate

from app.api.auth import context
from app.api.compute.schema import Json, bookmark_of, links_field, links_of
from app.api.gates import Gate
from app.api.times import bare_micro_time, second_time
from app.api.versioned import Changed, Versioned, since
from app.services.server_names import instance_name
from app.services.server_views import AddressView, ServerView

#: Statuses in which a server has a `progress`.
_WITH_PROGRESS = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE"})


class GroupName(Schema):
    """A security group, as servers name it."""

    name = fields.String(required=True)


class RefSchema(Schema):
    """A thing that is named by its id."""

    id = fields.String(required=True)
    links = links_field()


class EmbeddedFlavor(Schema):
    """What a server has of its flavor, whatever becomes of that."""

    original_name = fields.String(required=True)
    vcpus = fields.Integer(required=True)
    ram = fields.Integer(required=True)
    disk = fields.Integer(required=True)
    ephemeral = fields.Integer(required=True)
    swap = fields.Integer(required=True)
    extra_specs = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class AddressSchema(Schema):
    """One address."""

    class Meta:
        include = {
            "OS-EXT-IPS:type": fields.String(required=True),
            "OS-EXT-IPS-MAC:mac_addr": fields.String(required=True),
        }

    version = fields.Integer(required=True)
    addr = fields.String(required=True)


class FaultSchema(Schema):
    """Why a server is in ERROR."""

    code = fields.Integer(required=True)
    created = fields.String(required=True)
    message = fields.String(required=True)
    details = fields.String()


class BareAddressSchema(Schema):
    """One address, and no more of it."""

    version = fields.Integer(required=True)
    addr = fields.String(required=True)


class ServerCore(Versioned):
    """A server as it is shown to who has just changed it."""

    class Meta:
        include = {"OS-DCF:diskConfig": fields.String(required=True)}

    id = fields.String(required=True)
    name = fields.String(required=True)
    status = fields.String(required=True)
    tenant_id = fields.String(required=True)
    user_id = fields.String(required=True)
    created = fields.String(required=True)
    updated = fields.String(required=True)
    hostId = fields.String(required=True)  # noqa: N815
    image = fields.Nested(RefSchema, required=True)
    flavor = Changed(
        Gate.EMBEDDED_FLAVOR,
        fields.Nested(RefSchema),
        fields.Nested(EmbeddedFlavor),
        required=True,
    )
    metadata = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    addresses = fields.Dict(
        keys=fields.String(), values=fields.List(fields.Nested(BareAddressSchema)), required=True
    )
    links = links_field()
    accessIPv4 = fields.String(required=True)  # noqa: N815
    accessIPv6 = fields.String(required=True)  # noqa: N815
    progress = fields.Integer()
    fault = fields.Nested(FaultSchema)
    locked = since(Gate.LOCKED, fields.Boolean())
    description = since(Gate.DESCRIPTION, fields.String(allow_none=True))
    tags = since(Gate.TAGS, fields.List(fields.String()))
    trusted_image_certificates = since(
        Gate.TRUSTED_CERTIFICATES, fields.List(fields.String(), allow_none=True)
    )


#: For operators, from 2.3 on.
_ATTRIBUTES: dict[str, fields.Field[Any]] = {
    "reservation_id": fields.String(),
    "launch_index": fields.Integer(),
    "hostname": fields.String(),
    "kernel_id": fields.String(),
    "ramdisk_id": fields.String(),
    "root_device_name": fields.String(),
    "user_data": fields.String(allow_none=True),
}


class ServerSchema(ServerCore):
    """A server in full."""

    class Meta:
        include = {
            "OS-EXT-AZ:availability_zone": fields.String(required=True),
            "OS-EXT-STS:task_state": fields.String(required=True, allow_none=True),
            "OS-EXT-STS:vm_state": fields.String(required=True),
            "OS-EXT-STS:power_state": fields.Integer(required=True),
            "OS-SRV-USG:launched_at": fields.String(required=True, allow_none=True),
            "OS-SRV-USG:terminated_at": fields.String(required=True, allow_none=True),
            "os-extended-volumes:volumes_attached": fields.List(fields.Dict(), required=True),
            "OS-EXT-SRV-ATTR:host": fields.String(allow_none=True),
            "OS-EXT-SRV-ATTR:hypervisor_hostname": fields.String(allow_none=True),
            "OS-EXT-SRV-ATTR:instance_name": fields.String(),
            **{
                f"OS-EXT-SRV-ATTR:{name}": since(Gate.SERVER_ATTRIBUTES, field)
                for name, field in _ATTRIBUTES.items()
            },
            "host_status": since(
                Gate.HOST_STATUS,
                fields.String(
                    validate=validate.OneOf(("UP", "DOWN", "UNKNOWN", "MAINTENANCE", ""))
                ),
            ),
        }

    addresses = fields.Dict(
        keys=fields.String(), values=fields.List(fields.Nested(AddressSchema)), required=True
    )
    config_drive = fields.String(required=True)
    key_name = fields.String(required=True, allow_none=True)
    security_groups = fields.List(fields.Nested(GroupName))


class ServerBrief(Schema):
    """A server's id and name."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    links = links_field()


class CreatedServer(Schema):
    """What is said of a server at once."""

    class Meta:
        include = {"OS-DCF:diskConfig": fields.String(required=True)}

    id = fields.String(required=True)
    links = links_field()
    adminPass = fields.String(required=True)  # noqa: N815
    security_groups = fields.List(fields.Nested(GroupName), required=True)


def brief(view: ServerView) -> Json:
    """Return a server's id and name."""
    return {"id": view.id, "name": view.name, "links": links_of("servers", view.id)}


def core(view: ServerView) -> Json:
    """Return what is shown of a server to who has just changed it."""
    body = {
        **brief(view),
        "status": view.status,
        "tenant_id": view.project_id,
        "user_id": view.user_id,
        "created": second_time(view.created_at),
        "updated": second_time(view.updated_at),
        "hostId": view.host_id,
        "image": {"id": view.image_id, "links": [bookmark_of("images", view.image_id)]},
        "flavor": _flavor(view),
        "metadata": view.metadata,
        "addresses": bare_addresses(view.addresses),
        "accessIPv4": view.access_ipv4,
        "accessIPv6": view.access_ipv6,
        "OS-DCF:diskConfig": view.disk_config,
        "locked": view.is_locked,
        "description": view.description,
        "tags": list(view.tags),
        # Nobody checks images' signatures here, and so there are none that are trusted.
        "trusted_image_certificates": None,
    }
    if view.status in _WITH_PROGRESS:
        body["progress"] = 100 if view.status == "ACTIVE" else 0
    if view.fault is not None and view.status in ("ERROR", "DELETED"):
        body["fault"] = _fault(view)
    return body


def full(view: ServerView, *, for_admin: bool) -> Json:
    """Return a server in full."""
    body = {
        **core(view),
        "addresses": addresses(view.addresses),
        "config_drive": "True" if view.config_drive else "",
        "key_name": view.key_name,
        **_state(view),
    }
    if view.security_groups:
        body["security_groups"] = [{"name": name} for name in view.security_groups]
    if for_admin:
        body |= _host(view)
    return body


def bare_addresses(views: tuple[AddressView, ...]) -> dict[str, list[Json]]:
    """Return the addresses by network."""
    by_network: dict[str, list[Json]] = {}
    for view in views:
        address = {"version": view.version, "addr": view.address}
        by_network.setdefault(view.network, []).append(address)
    return by_network


def addresses(views: tuple[AddressView, ...]) -> dict[str, list[Json]]:
    """Return the addresses by network, with the interfaces that they are of."""
    by_network: dict[str, list[Json]] = {}
    for view in views:
        by_network.setdefault(view.network, []).append(
            {
                "version": view.version,
                "addr": view.address,
                "OS-EXT-IPS:type": "floating" if view.is_floating else "fixed",
                "OS-EXT-IPS-MAC:mac_addr": view.mac,
            }
        )
    return by_network


def _state(view: ServerView) -> Json:
    zone = view.zone or context().settings.availability_zone
    return {
        # As in Nova: a server that is nowhere is in no zone.
        "OS-EXT-AZ:availability_zone": zone if view.host else "",
        "OS-EXT-STS:task_state": view.task_state,
        "OS-EXT-STS:vm_state": view.vm_state,
        "OS-EXT-STS:power_state": view.power_state,
        "OS-SRV-USG:launched_at": bare_micro_time(view.launched_at),
        "OS-SRV-USG:terminated_at": bare_micro_time(view.deleted_at),
        "os-extended-volumes:volumes_attached": [],
    }


def _flavor(view: ServerView) -> Json:
    size = view.size
    if not Gate.EMBEDDED_FLAVOR.is_open:
        return {"id": view.flavor_id, "links": [bookmark_of("flavors", view.flavor_id)]}
    return {
        "original_name": size.flavor_name,
        "vcpus": size.vcpus,
        "ram": size.memory_mib,
        "disk": size.root_gib,
        "ephemeral": size.ephemeral_gib,
        "swap": size.swap_mib,
        "extra_specs": size.extra_specs,
    }


def _fault(view: ServerView) -> Json | None:
    fault = view.fault
    if fault is None:
        return None
    body: dict[str, Any] = {
        "code": fault.code,
        "created": second_time(fault.created_at),
        "message": fault.message,
    }
    return {**body, "details": fault.details} if fault.details else body


def _host(view: ServerView) -> Json:
    return {
        "OS-EXT-SRV-ATTR:host": view.host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": view.host,
        "OS-EXT-SRV-ATTR:instance_name": instance_name(view.id),
        "OS-EXT-SRV-ATTR:reservation_id": view.reservation_id,
        "OS-EXT-SRV-ATTR:launch_index": view.launch_index,
        "OS-EXT-SRV-ATTR:hostname": view.hostname,
        "OS-EXT-SRV-ATTR:kernel_id": "",
        "OS-EXT-SRV-ATTR:ramdisk_id": "",
        "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
        "OS-EXT-SRV-ATTR:user_data": view.user_data,
        "host_status": view.host_status,
    }
