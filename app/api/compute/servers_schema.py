"""What the requests for servers may hold. Each refusal names its field."""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema

from app.api.compute.personality import personality_field
from app.api.compute.schema import (
    Base64Field,
    Count,
    Flag,
    MetadataField,
    Strict,
    Text,
    name_like,
    since_field,
    wrapped,
)
from app.api.gates import Gate, Span
from app.api.paging import PageQuery
from app.api.versioned import Changed, since
from app.services import server_tags
from app.services.server_networks import AUTO, NONE
from app.services.server_tags import MAX_TAGS
from tasks.errors import RequestError

#: Servers asked for in one request.
MAX_COUNT = 1000
#: Servers named in one hint.
MAX_HINTED = 100
#: Bytes of user data, in base64.
MAX_USER_DATA = 65535

#: Interfaces of one server.
MAX_NETWORKS = 16

_PASSWORD = validate.Length(min=1, max=255)


def an_address(family: Callable[[str], object]) -> Any:
    """Return a check for an address of the family; an empty one is none."""

    def check(value: str) -> None:
        try:
            if value:
                family(value)
        except ValueError as error:
            raise ValidationError(f"{value!r} is not an address.") from error

    return check


def user_data_field() -> Base64Field:
    """Return a field of what a guest is told by its owner."""
    return Base64Field(allow_none=True, validate=_user_data_size)


def _user_data_size(data: str) -> None:
    if len(data) > MAX_USER_DATA:
        raise ValidationError(f"is longer than {MAX_USER_DATA} bytes of base64.")


def device_tag(gate: Gate, but: Span | None = None) -> fields.Field[Any]:
    """Return a field by which a guest is to know a device. `but`: versions between, in which Nova
    has lost it."""

    def check(value: str) -> None:
        if but is not None and but.is_open:
            raise ValidationError("Unknown field.")
        _tag(value)

    return since(gate, Text(validate=check))


class NetworkRef(Strict):
    """A network to be on, with a certain address there or any; or a port of one's own."""

    uuid = Text(allow_none=True)
    port = Text(allow_none=True)
    fixed_ip = Text(allow_none=True, validate=an_address(ipaddress.ip_address))
    tag = device_tag(Gate.DEVICE_TAGS, Span(Gate.NETWORKS_NEEDED, Gate.DEVICE_TAGS_AGAIN))

    @validates_schema
    def _check_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("port") is None and data.get("uuid") is None:
            raise ValidationError("must name uuid or port.")
        if data.get("port") is not None and data.get("fixed_ip") is not None:
            raise ValidationError("cannot be used with a port, which has its own.", "fixed_ip")


class SecurityGroupRef(Strict):
    """A security group, by name or id."""

    name = Text(required=True, validate=validate.Length(min=1, max=255))


class BlockDevice(Strict):
    """The one block device that can be had: the disk made from the image, as clients spell it."""

    uuid = Text(required=True)
    boot_index = Count(required=True, validate=validate.Equal(0))
    source_type = Text(required=True, validate=validate.Equal("image"))
    destination_type = Text(required=True, validate=validate.Equal("local"))
    delete_on_termination = Flag(validate=validate.Equal(comparable=True))
    tag = device_tag(Gate.DEVICE_TAGS, Span(Gate.HYPERVISOR_PAGES, Gate.DEVICE_TAGS_AGAIN))


class NetworksField(fields.List[Any]):
    """A list; or `auto`, the one network that there is, or `none`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return value if value in (AUTO, NONE) else super()._deserialize(value, *args, **kwargs)


def description_field() -> fields.Field[Any]:
    """Return what an owner says of a server: any printable text."""
    return since(Gate.DESCRIPTION, Text(allow_none=True, validate=_printable))


def _printable(value: str) -> None:
    if len(value) > 255 or not value.isprintable():
        raise ValidationError("must be at most 255 printable characters.")


def tags_field(**more: Any) -> fields.List[Any]:
    """Return the tags that a server is to have."""
    return fields.List(Text(validate=_tag), validate=validate.Length(max=MAX_TAGS), **more)


def _tag(value: str) -> None:
    try:
        server_tags.check(value)
    except RequestError as error:
        raise ValidationError(error.public) from error


def certificates_field() -> fields.Field[Any]:
    """Return a field that holds nothing: to accept certificates and check none would be a lie."""
    field = fields.List(fields.String(), allow_none=True, validate=_no_certificates)
    return since(Gate.TRUSTED_CERTIFICATES, field)


def _no_certificates(_: object) -> None:
    raise ValidationError("must be null: signatures of images are not checked here.")


class CreateServerHeaders(Schema):
    """What a client may call its request, so that it makes no second server when it is repeated."""

    class Meta:
        unknown = EXCLUDE

    idempotency_key = Text(
        data_key="Idempotency-Key",
        # What is visible in ASCII: an id, bare or as the quoted string of the IETF's draft.
        validate=validate.Regexp(r"^[!-~]{1,255}$", error="must be 1 to 255 visible characters."),
    )


class CreateServer(Strict):
    """A server to be made."""

    class Meta:
        include = {"OS-DCF:diskConfig": Text(validate=validate.OneOf(("AUTO", "MANUAL")))}

    name = Text(required=True, validate=name_like)
    flavorRef = Text(required=True, validate=validate.Length(min=1))  # noqa: N815
    imageRef = Text(required=True)  # noqa: N815
    networks = Changed(
        Gate.NETWORKS_NEEDED,
        fields.List(fields.Nested(NetworkRef), validate=validate.Length(max=MAX_NETWORKS)),
        NetworksField(
            fields.Nested(NetworkRef),
            validate=validate.Length(max=MAX_NETWORKS),
            metadata={"description": "Or the text `auto` or `none`."},
        ),
    )
    key_name = Text(allow_none=True, validate=validate.Length(min=1, max=255))
    security_groups = fields.List(
        fields.Nested(SecurityGroupRef), validate=validate.Length(max=100)
    )
    user_data = user_data_field()
    personality = personality_field()
    config_drive = Flag(allow_none=True)
    metadata = MetadataField()
    availability_zone = Text(allow_none=True, validate=validate.Length(min=1, max=255))
    adminPass = Text(validate=_PASSWORD)  # noqa: N815
    accessIPv4 = Text(validate=an_address(ipaddress.IPv4Address))  # noqa: N815
    accessIPv6 = Text(validate=an_address(ipaddress.IPv6Address))  # noqa: N815
    min_count = Count(validate=validate.Range(min=1, max=MAX_COUNT))
    max_count = Count(validate=validate.Range(min=1, max=MAX_COUNT))
    return_reservation_id = Flag()
    block_device_mapping_v2 = fields.List(
        fields.Nested(BlockDevice), validate=validate.Length(max=1)
    )
    description = description_field()
    tags = since(Gate.CREATE_TAGS, tags_field())
    trusted_image_certificates = certificates_field()

    @validates_schema
    def _check_whole(self, data: Mapping[str, Any], **_: Any) -> None:
        """Fields that must fit each other."""
        if Gate.NETWORKS_NEEDED.is_open and "networks" not in data:
            raise ValidationError("Missing data for required field.", "networks")
        if data.get("min_count", 1) > data.get("max_count", data.get("min_count", 1)):
            raise ValidationError("must not be greater than max_count.", "min_count")
        devices = data.get("block_device_mapping_v2", [])
        image = data.get("imageRef")
        if not image:
            raise ValidationError("must name an image.", "imageRef")
        if devices and devices[0]["uuid"] != image:
            raise ValidationError("must be of the image of imageRef.", "block_device_mapping_v2")


class UpdateServer(Strict):
    """What is to be different."""

    class Meta:
        include = {"OS-DCF:diskConfig": Text(validate=validate.OneOf(("AUTO", "MANUAL")))}

    name = Text(validate=name_like)
    accessIPv4 = Text(validate=an_address(ipaddress.IPv4Address))  # noqa: N815
    accessIPv6 = Text(validate=an_address(ipaddress.IPv6Address))  # noqa: N815
    description = description_field()


UpdateServerRequest = wrapped("server", UpdateServer)


class ServerIdsField(fields.Field[tuple[str, ...]]):
    """Ids of servers: a list, or one as it is."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        ids = value if isinstance(value, list) else [value]
        if len(ids) > MAX_HINTED:
            raise ValidationError(f"names more than {MAX_HINTED} servers.")
        one = fields.UUID()
        return tuple(str(one.deserialize(each)) for each in ids)


_IDS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


class SchedulerHints(Strict):
    """With whom a server is to share its host. Hints without a meaning are refused by name."""

    group = fields.UUID(metadata={"description": "The id of a server group"})
    same_host = ServerIdsField(metadata=_IDS)
    different_host = ServerIdsField(metadata=_IDS)


CreateServerRequest = wrapped(
    "server",
    CreateServer,
    **{
        "os:scheduler_hints": fields.Nested(SchedulerHints),
        "OS-SCH-HNT:scheduler_hints": fields.Nested(SchedulerHints),
    },
)


def _tag_filter(words: str, key: str | None = None) -> fields.Field[Any]:
    metadata = {"description": f"{words}, by commas."}
    return since(Gate.TAGS, fields.String(data_key=key, metadata=metadata))


class ServerQuery(PageQuery):
    """Which servers a list is to have. What is unknown is ignored, as at 2.1."""

    class Meta(PageQuery.Meta):
        include = {"changes-since": since_field()}

    name = fields.String(metadata={"description": "Part of the name; knows ^ $ . and .*"})
    status = fields.List(fields.String())
    image = fields.String()
    flavor = fields.String()
    host = fields.String(metadata={"description": "For administrators; `node` is the same."})
    node = fields.String()
    access_ip_v4 = fields.String()
    access_ip_v6 = fields.String()
    config_drive = Flag()
    reservation_id = fields.String()
    launch_index = fields.Integer(validate=validate.Range(min=0, max=MAX_COUNT))
    locked_by = fields.String(validate=validate.OneOf(("owner", "admin")))
    ip = fields.String()
    ip6 = fields.String()
    availability_zone = fields.String()
    hostname = fields.String()
    vm_state = fields.String()
    task_state = fields.String()
    power_state = fields.Integer(validate=validate.Range(min=0, max=7))
    uuid = fields.List(fields.String())
    key_name = fields.String()
    user_id = fields.String()
    project_id = fields.String()
    tenant_id = fields.String()
    all_tenants = fields.String()
    tags = _tag_filter("All of these tags")
    tags_any = _tag_filter("Any of these tags", "tags-any")
    not_tags = _tag_filter("Not all of these tags", "not-tags")
    not_tags_any = _tag_filter("None of these tags", "not-tags-any")
    deleted = fields.String()
