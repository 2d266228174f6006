"""Bad input: each request, the error that it must get, in the form of its service."""

import base64
from typing import Any

from tests.http.cases import UNAUTHORIZED, Case, Like, compute_fault, identity_fault, image_fault
from tests.http.world import (
    ACTIVE,
    BETA_DEFAULT,
    BETA_IMAGE,
    BETA_NETWORK,
    BIG_IMAGE,
    NETWORK,
    PASSWORD,
    PORT,
    PUBLIC_IMAGE,
    QUEUED_IMAGE,
)

SERVERS = "/compute/v2.1/servers"
GOOD = {"name": "new", "flavorRef": "42", "imageRef": PUBLIC_IMAGE, "networks": [{"uuid": NETWORK}]}
BLOCK_DEVICE = {
    "uuid": PUBLIC_IMAGE,
    "boot_index": 0,
    "source_type": "image",
    "destination_type": "local",
    "delete_on_termination": True,
}


def _field(field: str, text: str = ".*") -> Like:
    return Like(f"Invalid input for field/attribute server{field}: {text}")


def _create(
    title: str, message: Any, status: int = 400, who: str = "alice", /, **changes: Any
) -> Case:
    server = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    body = compute_fault(status, message)
    return Case(f"server: {title}", who, "POST", SERVERS, status, body, send={"server": server})


def _file(path: str = "/etc/x", text: str = "aGVsbG8=") -> dict[str, str]:
    return {"path": path, "contents": text}


#: What is wrong with a server that is asked for.
SERVERS_REFUSED = [
    _create("unknown flavor", "flavorRef: flavor nope could not be found.", flavorRef="nope"),
    _create("private flavor", "flavorRef: flavor secret could not be found.", flavorRef="secret"),
    _create("unknown image", "imageRef: image nope could not be found.", imageRef="nope"),
    _create(
        "another project's image",
        f"imageRef: image {BETA_IMAGE} could not be found.",
        imageRef=BETA_IMAGE,
    ),
    _create(
        "image without bytes",
        f"Image {QUEUED_IMAGE} is not active: its status is queued.",
        imageRef=QUEUED_IMAGE,
    ),
    _create(
        "image larger than the disk",
        f"Flavor's disk is too small for image {BIG_IMAGE}:"
        " 1 GiB, but the image holds a disk of 10737418240 bytes.",
        imageRef=BIG_IMAGE,
    ),
    _create("no image", _field(".imageRef"), imageRef=""),
    _create("unknown network", Like("networks: network nope .*"), networks=[{"uuid": "nope"}]),
    _create(
        "another project's network",
        Like(f"networks: network {BETA_NETWORK} could not be found."),
        networks=[{"uuid": BETA_NETWORK}],
    ),
    _create("unknown port", "networks: port x could not be found.", networks=[{"port": "x"}]),
    _create("no network", _field(".networks.*"), networks=[{}]),
    _create(
        "address with a port",
        _field(".networks.*"),
        networks=[{"port": "x", "fixed_ip": "10.77.0.9"}],
    ),
    _create("port of a server", f"Port {PORT} is still in use.", 409, networks=[{"port": PORT}]),
    _create(
        "another's port",
        f"networks: port {PORT} could not be found.",
        400,
        "bob",
        networks=[{"port": PORT}],
    ),
    _create("port twice", "networks: a port is named twice.", networks=[{"port": PORT}] * 2),
    _create(
        "address taken",
        "networks: fixed_ip 10.77.0.5 is already in use.",
        networks=[{"uuid": NETWORK, "fixed_ip": "10.77.0.5"}],
    ),
    _create(
        "address of the gateway",
        "networks: fixed_ip 10.77.0.1 is already in use.",
        networks=[{"uuid": NETWORK, "fixed_ip": "10.77.0.1"}],
    ),
    _create(
        "address elsewhere",
        Like("networks.fixed_ip: 10.9.0.9 is not a valid IP for any .*"),
        networks=[{"uuid": NETWORK, "fixed_ip": "10.9.0.9"}],
    ),
    _create(
        "address for several",
        Like("networks: .* cannot be given to several servers; .*"),
        networks=[{"uuid": NETWORK, "fixed_ip": "10.77.0.9"}],
        min_count=2,
        max_count=2,
    ),
    _create(
        "address twice",
        "networks: a fixed_ip is named twice.",
        networks=[{"uuid": NETWORK, "fixed_ip": "10.77.0.9"}] * 2,
    ),
    _create(
        "network without a subnet",
        Like("networks: network .* requires a subnet .*"),
        400,
        "bob",
        networks=[{"uuid": BETA_NETWORK}],
    ),
    _create("networks by a word", _field(".networks"), networks="auto"),
    _create(
        "several networks to choose from",
        "Multiple possible networks found, use a Network ID to be more specific.",
        409,
        "bob",
        networks=...,
    ),
    _create("unknown key", "key_name: key pair nope could not be found.", key_name="nope"),
    _create("another's key", Like("key_name: .*"), 400, "bob", key_name="key"),
    _create(
        "ambiguous security group",
        "Multiple security groups found matching 'twin'. Use an ID to be more specific.",
        409,
        security_groups=[{"name": "twin"}],
    ),
    _create("no name", _field(".name", "Missing data for required field."), name=...),
    _create("empty name", _field(".name"), name=""),
    _create("long name", _field(".name", "must be 1 to 255 .*"), name="x" * 256),
    _create("blank before the name", _field(".name"), name=" x"),
    _create("blank name", _field(".name"), name="   "),
    _create("name with a line break", _field(".name"), name="a\nb"),
    _create("name that is no text", _field(".name", "5 is not of type 'string'."), name=5),
    _create("name that is null", _field(".name"), name=None),
    _create("name with half a character", Like("Invalid character .*"), name="\ud800"),
    _create("image with NUL", Like("Invalid character .*"), imageRef="a\0"),
    _create("metadata with NUL", Like("Invalid character .*"), metadata={"\0": "x"}),
    _create("user data not base64", _field(".user_data", "is not base64."), user_data="@@@"),
    _create("user data no text", _field(".user_data"), user_data=["x"]),
    _create(
        "user data too long",
        _field(".user_data", "is longer than 65535 bytes of base64."),
        user_data=base64.b64encode(b"x" * 49152).decode(),
    ),
    _create("metadata no object", _field(".metadata"), metadata=[]),
    _create("metadata not text", _field(".metadata"), metadata={"a": 1}),
    _create("metadata blank key", _field(".metadata"), metadata={" ": "x"}),
    _create("metadata long value", _field(".metadata"), metadata={"a": "x" * 256}),
    _create(
        "metadata of many items",
        "Maximum number of metadata items exceeds 128",
        403,
        metadata={str(n): "x" for n in range(129)},
    ),
    _create("config drive maybe", _field(".config_drive"), config_drive="maybe"),
    _create("none of them", _field(".min_count"), min_count=0),
    _create("min over max", _field(".min_count"), min_count=3, max_count=2),
    _create("max no number", _field(".max_count"), max_count="many"),
    _create(
        "unknown zone",
        "availability_zone: moon is not available; there is nova.",
        availability_zone="moon",
    ),
    _create(
        "unknown security group",
        "security_groups: security group 'nope' could not be found.",
        security_groups=[{"name": "web"}, {"name": "nope"}],
    ),
    _create(
        "another project's security group",
        f"security_groups: security group '{BETA_DEFAULT}' could not be found.",
        security_groups=[{"name": BETA_DEFAULT}],
    ),
    _create(
        "security group without a name", _field(".security_groups.0.name"), security_groups=[{}]
    ),
    _create(
        "volume",
        _field(".block_device_mapping_v2.*"),
        block_device_mapping_v2=[{**BLOCK_DEVICE, "destination_type": "volume"}],
    ),
    _create(
        "another image's disk",
        _field(".block_device_mapping_v2", "must be of the image of imageRef."),
        block_device_mapping_v2=[{**BLOCK_DEVICE, "uuid": BIG_IMAGE}],
    ),
    _create("file without a path", _field(".personality.0.path"), personality=[{"contents": ""}]),
    _create(
        "file without contents", _field(".personality.0.contents"), personality=[{"path": "/etc/x"}]
    ),
    _create("file not base64", _field(".personality.0.contents"), personality=[_file(text="@@@")]),
    _create("file of a mode", _field(".personality.0.mode"), personality=[{**_file(), "mode": 1}]),
    _create("files no list", _field(".personality"), personality=_file()),
    _create("file path with NUL", Like("Invalid character .*"), personality=[_file(path="a\0")]),
    _create("too many files", "Personality file limit exceeded", 403, personality=[_file()] * 6),
    _create(
        "file with a long path",
        "Personality file path exceeds maximum 255",
        403,
        # Bytes, not characters.
        personality=[_file(path="é" * 128)],
    ),
    _create(
        "large file",
        "Personality file content exceeds maximum 10240",
        403,
        personality=[_file(), _file(text=base64.b64encode(bytes(10241)).decode())],
    ),
    _create(
        "files without a config drive",
        "personality: needs a config drive, which the server does not have.",
        config_drive=False,
        personality=[_file()],
    ),
    _create("unknown field", _field(".nonsense", "Unknown field."), nonsense=1),
    _create("address", _field(".accessIPv4"), accessIPv4="10.0.0.256"),
    _create("disk config", _field(".OS-DCF:diskConfig"), **{"OS-DCF:diskConfig": "NONE"}),
    _create(
        "more cores than allowed",
        "Quota exceeded for cores,ram: Requested 24, 12288,"
        " but already used 2, 512 of 20, 8192 cores,ram",
        403,
        flavorRef="43",
        imageRef=BIG_IMAGE,
        min_count=3,
    ),
    _create(
        "more of everything than allowed",
        "Quota exceeded for instances,cores,ram: Requested 4, 32, 16384,"
        " but already used 2, 2, 512 of 5, 20, 8192 instances,cores,ram",
        403,
        flavorRef="43",
        imageRef=BIG_IMAGE,
        min_count=4,
    ),
    Case(
        "server: by a reader",
        "rita",
        "POST",
        SERVERS,
        403,
        compute_fault(403, "Policy doesn't allow compute:servers:create to be performed."),
        send={"server": GOOD},
    ),
    Case(
        "server: deleted by a reader",
        "rita",
        "DELETE",
        f"{SERVERS}/{ACTIVE}",
        403,
        compute_fault(403, "Policy doesn't allow compute:servers:delete to be performed."),
    ),
    Case("server: no body", "alice", "POST", SERVERS, 400, compute_fault(400, _field("")), send={}),
    Case(
        "server: a list for a body",
        "alice",
        "POST",
        SERVERS,
        400,
        compute_fault(400, "Malformed request body"),
        send=[1],
    ),
    Case(
        "server: no object",
        "alice",
        "POST",
        SERVERS,
        400,
        compute_fault(400, _field("")),
        send={"server": "x"},
    ),
    Case("server: no token", None, "POST", SERVERS, 401, UNAUTHORIZED, send={"server": GOOD}),
    Case(
        "server: expired token",
        "expired-token",
        "POST",
        SERVERS,
        401,
        UNAUTHORIZED,
        send={"server": GOOD},
        headers={"WWW-Authenticate": 'Keystone uri="http://localhost/identity/v3"'},
    ),
    Case("server: false token", "nonsense-token", "GET", SERVERS, 401, UNAUTHORIZED),
    Case(
        "server: token without a project",
        "unscoped-token",
        "GET",
        SERVERS,
        403,
        compute_fault(403, "compute:servers:list needs a token with a project."),
    ),
]

#: What is wrong with other compute requests.
COMPUTE_REFUSED = [
    Case(
        f"compute: {path}", "alice", "GET", f"/compute/v2.1{path}", 400, compute_fault(400, message)
    )
    for path, message in (
        ("/servers?limit=-1", Like(".*limit: Must be greater than or equal to 0.")),
        ("/servers?limit=x", Like(".*limit: Not a valid integer.")),
        ("/servers?marker=none", "marker [none] not found"),
        ("/servers?sort_key=x", Like("sort_key: x is none of .*")),
        ("/servers?changes-since=x", Like(".*changes-since: .*")),
        ("/servers?changes-since=0001-01-01T00:00:00%2B14:00", Like(".*changes-since: .*")),
        ("/servers?name=%00", Like("Invalid character in .*")),
        ("/servers?%00=x", Like("Invalid character in .*")),
        ("/servers/%00", Like("Invalid character in .*")),
        ("/flavors?minDisk=99999999999999999999", Like(".*minDisk: .*")),
        ("/flavors?minDisk=x", Like(".*minDisk: Not a valid integer.")),
    )
] + [
    Case(
        "compute: no such route",
        "alice",
        "GET",
        "/compute/v2.1/os-nothing",
        404,
        compute_fault(404, "The resource could not be found."),
    ),
    Case(
        "compute: no such method",
        "alice",
        "PUT",
        SERVERS,
        405,
        compute_fault(405, "The method specified is not allowed for this resource."),
    ),
]


def _versioned(title: str, status: int, message: Any, /, **headers: str) -> Case:
    fault = compute_fault(status, message)
    return Case(
        f"microversion: {title}", "alice", "GET", SERVERS, status, fault, with_headers=headers
    )


TOO_HIGH = "Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is 2.64."
MICROVERSIONS_REFUSED = [
    _versioned("too high", 406, TOO_HIGH, **{"OpenStack-API-Version": "compute 2.999"}),
    _versioned("too high, old header", 406, TOO_HIGH, **{"X-OpenStack-Nova-API-Version": "2.999"}),
    _versioned(
        "no number",
        400,
        "API Version String x.y is of invalid format. Must be of format MajorNum.MinorNum.",
        **{"OpenStack-API-Version": "image 2.999, compute x.y"},
    ),
]


def _specs(title: str, message: Any, specs: Any) -> Case:
    return Case(
        f"extra specs: {title}",
        "root",
        "POST",
        "/compute/v2.1/flavors/42/os-extra_specs",
        400,
        compute_fault(400, message),
        send={"extra_specs": specs},
    )


def _flavor(title: str, message: Any, status: int = 400, /, **changes: Any) -> Case:
    flavor = {"name": "x", "ram": 1, "vcpus": 1, "disk": 0, **changes}
    body = compute_fault(status, message)
    path = "/compute/v2.1/flavors"
    return Case(f"flavor: {title}", "root", "POST", path, status, body, send={"flavor": flavor})


def _keypair(title: str, message: Any, status: int = 400, /, **keypair: Any) -> Case:
    body = compute_fault(status, message)
    path = "/compute/v2.1/os-keypairs"
    return Case(f"keypair: {title}", "alice", "POST", path, status, body, send={"keypair": keypair})


THINGS_REFUSED = [
    _flavor("name taken", "Flavor with name m1.nano already exists.", 409, name="m1.nano"),
    _flavor("id taken", "Flavor with ID 42 already exists.", 409, id="42"),
    _flavor("no cores", Like(".*vcpus: .*"), vcpus=0),
    _flavor("huge", Like(".*ram: .*"), ram=2**31),
    _flavor("half a core", Like(".*vcpus: .*"), vcpus=1.5),
    _flavor("swap below none", Like(".*swap: .*"), swap=-1),
    _flavor("huge swap", Like(".*swap: .*"), swap=2**31),
    _flavor("swap that is no number", Like(".*swap: .*"), swap="much"),
    _flavor("negative disk", Like(".*ephemeral: .*"), **{"OS-FLV-EXT-DATA:ephemeral": -1}),
    _flavor("huge ephemeral", Like(".*ephemeral: .*"), **{"OS-FLV-EXT-DATA:ephemeral": 2**31}),
    _flavor("half an ephemeral", Like(".*ephemeral: .*"), **{"OS-FLV-EXT-DATA:ephemeral": 0.5}),
    _specs("unknown quota", Like("extra_specs.quota:x: is not carried out.*"), {"quota:x": "1"}),
    _specs(
        "hardware that is not carried out",
        Like("extra_specs.hw:mem_page_size: is not carried out.*hw:cpu_policy.*"),
        {"hw:mem_page_size": "large"},
    ),
    _specs("odd policy", Like("extra_specs.hw:cpu_policy: 'mixed' .*"), {"hw:cpu_policy": "mixed"}),
    *(
        _specs(
            f"rate {value!r:.20}",
            Like("extra_specs.quota:disk_read_bytes_sec: .* no whole number .*"),
            {"quota:disk_read_bytes_sec": value},
        )
        for value in ("-1", "1.5", "x", "", "\u0663", "9" * 200, "10000000000000000")
    ),
    _specs("few shares", Like("extra_specs.quota:cpu_shares: .*"), {"quota:cpu_shares": 1}),
    _specs(
        "total and read",
        Like("extra_specs.quota:disk_total_iops_sec: cannot be had together .*read_iops_sec.*"),
        {"quota:disk_total_iops_sec": "5", "quota:disk_read_iops_sec": "5"},
    ),
    _specs(
        "peak without average",
        Like("extra_specs.quota:vif_inbound_peak: needs quota:vif_inbound_average."),
        {"quota:vif_inbound_peak": "5"},
    ),
    _specs(
        "peak below average",
        Like("extra_specs.quota:vif_outbound_peak: is less .*"),
        {"quota:vif_outbound_average": "6", "quota:vif_outbound_peak": "5"},
    ),
    _specs("no object", Like(".*extra_specs: .*object.*"), ["x"]),
    _specs("blank key", Like(".*extra_specs: '' must be .*"), {"": "x"}),
    _specs("odd key", Like(".*extra_specs: .*must be .*"), {"a/b": "x"}),
    _specs("long key", Like(".*extra_specs: .*must be .*"), {"k" * 256: "x"}),
    _specs("long value", Like(".*extra_specs: .*at most 255.*"), {"k": "x" * 256}),
    _specs("value of another kind", Like(".*extra_specs: .*text.*"), {"k": {"x": 1}}),
    _specs("a flag for a value", Like(".*extra_specs: .*text.*"), {"k": True}),
    _specs("NUL", Like("Invalid character.*"), {"k": "a\0b"}),
    _specs("too many", "extra_specs: at most 128 keys.", {str(n): "x" for n in range(129)}),
    *(
        Case(
            f"extra spec: {title}",
            "root",
            "PUT",
            "/compute/v2.1/flavors/42/os-extra_specs/k",
            400,
            compute_fault(400, message),
            send=send,
        )
        for title, message, send in (
            ("another key", Like("Request body and URI mismatch.*"), {"x": "y"}),
            ("two keys", Like("Request body and URI mismatch.*"), {"k": "v", "x": "y"}),
            ("none", Like("Request body and URI mismatch.*"), {}),
            ("value of another kind", Like(".*attribute k: .*text.*"), {"k": ["v"]}),
            ("no object", Like(".*"), ["k"]),
        )
    ),
    *(
        Case(
            f"extra specs of none: {method}",
            "root",
            method,
            f"/compute/v2.1/flavors/nope/os-extra_specs{path}",
            404,
            compute_fault(404, "Flavor nope could not be found."),
            send=send,
        )
        for method, path, send in (
            ("POST", "", {"extra_specs": {"x": "y"}}),
            ("PUT", "/x", {"x": "y"}),
            ("DELETE", "/x", None),
        )
    ),
    Case(
        "extra spec: deleted twice",
        "root",
        "DELETE",
        "/compute/v2.1/flavors/42/os-extra_specs/x",
        404,
        compute_fault(404, "Flavor 42 has no extra specs with key x."),
    ),
    _flavor("odd id", Like(".*flavor.id: .*"), id=" "),
    _flavor("unknown field", Like(".*flavor.x: Unknown field."), x=1),
    _keypair("name taken", "Key pair 'key' already exists.", 409, name="key"),
    _keypair("bad name", Like(".*keypair.name: .*"), name="a/b"),
    _keypair("no name", Like(".*keypair.name: .*")),
    _keypair("no key", Like("public_key: not an OpenSSH .*"), name="x", public_key="x"),
    _keypair("not base64", Like("public_key: .*base64"), name="x", public_key="ssh-rsa @"),
    _keypair("half a key", Like("public_key: .*whole.*"), name="x", public_key="ssh-rsa AAAA"),
    _keypair(
        "two keys",
        Like("public_key: .*"),
        name="x",
        public_key="ssh-ed25519 AAAA\nssh-ed25519 AAAA",
    ),
    Case(
        "flavor: deleted twice",
        "root",
        "DELETE",
        "/compute/v2.1/flavors/nope",
        404,
        compute_fault(404, "Flavor nope could not be found."),
    ),
    Case(
        "keypair: deleted twice",
        "alice",
        "DELETE",
        "/compute/v2.1/os-keypairs/nope",
        404,
        compute_fault(404, "Keypair nope not found for user."),
    ),
]


def _image(title: str, message: Any, status: int = 400, /, **image: Any) -> Case:
    phrase = {400: "Bad Request", 403: "Forbidden", 409: "Conflict"}[status]
    body = image_fault(status, phrase, message)
    return Case(f"image: {title}", "alice", "POST", "/image/v2/images", status, body, send=image)


IMAGES_REFUSED = [
    _image("long name", Like(".*name: .*"), name="x" * 256),
    _image("unknown format", Like(".*disk_format: .*"), disk_format="tape"),
    _image("unknown container", Like(".*container_format: .*"), container_format="ova"),
    _image("shared", Like(".*visibility: .*"), visibility="shared"),
    _image("negative", Like(".*min_disk: .*"), min_disk=-1),
    _image("its size", "Attribute 'size' is read-only.", 403, size=5),
    _image("its status", "Attribute 'status' is read-only.", 403, status="active"),
    _image(
        "owned by another",
        "You are not permitted to give images to another project: 'owner'.",
        403,
        owner="x",
    ),
    _image("property no text", "os_distro: must be text of at most 65535 characters.", os_distro=1),
    _image(
        "unknown proof",
        "byre_boot_proof: luck is none of running, address, agent, console, first_boot.",
        byre_boot_proof="luck",
    ),
    _image("console without text", Like("byre_boot_text: .*"), byre_boot_proof="console"),
    _image("limit no number", Like("byre_boot_limit: .*"), byre_boot_limit="soon"),
    _image("limit not a number", Like("byre_boot_limit: .*"), byre_boot_limit="nan"),
    _image("id taken", f"Image ID {PUBLIC_IMAGE} already exists!", 409, id=PUBLIC_IMAGE),
    _image("id no UUID", Like(".*id: Not a valid UUID."), id="x"),
]


def _login(title: str, status: int, message: Any, auth: Any) -> Case:
    phrase = {400: "Bad Request", 401: "Unauthorized"}[status]
    body = identity_fault(status, phrase, message)
    path = "/identity/v3/auth/tokens"
    return Case(f"login: {title}", None, "POST", path, status, body, send=auth)


def _password(scope: Any = None, methods: Any = None, **user: Any) -> dict[str, Any]:
    who = {"name": "alice", "password": PASSWORD, "domain": {"id": "default"}, **user}
    identity = {"methods": methods or ["password"], "password": {"user": who}}
    return {"auth": {"identity": identity, **({"scope": scope} if scope else {})}}


WRONG = "The request you have made requires authentication."
LOGINS_REFUSED = [
    _login("wrong password", 401, WRONG, _password(password="wrong")),
    _login("unknown user", 401, WRONG, _password(name="nobody")),
    _login("unknown id", 401, WRONG, _password(id="nobody")),
    _login("another domain", 401, WRONG, _password(domain={"name": "Other"})),
    _login("foreign project", 401, WRONG, _password({"project": {"name": "beta"}})),
    _login("unknown project", 401, WRONG, _password({"project": {"id": "x"}})),
    _login("the whole system", 401, WRONG, _password({"system": {"all": True}})),
    _login(
        "unknown method",
        401,
        "Attempted to authenticate with an unsupported method.",
        _password(methods=["totp"]),
    ),
    _login("no body", 400, Like(".*auth: Missing.*"), {}),
    _login(
        "no password", 400, Like(".*password: Field may not be null."), _password(password=None)
    ),
    _login(
        "false token",
        401,
        WRONG,
        {"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}}},
    ),
]

CASES = [
    *SERVERS_REFUSED,
    *COMPUTE_REFUSED,
    *MICROVERSIONS_REFUSED,
    *THINGS_REFUSED,
    *IMAGES_REFUSED,
    *LOGINS_REFUSED,
]
