"""Other services' things, changed by compute's first microversions."""

from typing import Any

import pytest

from tests.http.cases import UUID, Api
from tests.http.table_proxies import FLOATING_IPS, GROUPS, IMAGES, RULES, V21
from tests.http.test_networks import make
from tests.http.test_routers import floating, public, routed
from tests.http.world import ACTIVE, ALPHA, ALPHA_DEFAULT, ALPHA_IMAGE, NETWORK, WEB

__all__ = ["public"]

METADATA = f"{IMAGES}/{ALPHA_IMAGE}/metadata"


def send(api: Api, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send alice's request; return the answer's status and body."""
    answer = api.call("alice", method, path, **({} if body is None else {"json": body}))
    return answer.status_code, answer.get_json(silent=True)


def test_an_images_metadata_is_added_replaced_and_removed(api: Api) -> None:
    a, b = {"a": "1"}, {"b": "2"}

    assert send(api, "POST", METADATA, {"metadata": a}) == (200, {"metadata": a})
    assert send(api, "PUT", f"{METADATA}/b", {"meta": b}) == (200, {"meta": b})
    assert send(api, "GET", METADATA) == (200, {"metadata": a | b})
    assert send(api, "DELETE", f"{METADATA}/a") == (204, None)
    assert send(api, "GET", f"{METADATA}/a")[0] == 404
    assert send(api, "PUT", METADATA, {"metadata": a}) == (200, {"metadata": a})
    assert send(api, "GET", f"/image/v2/images/{ALPHA_IMAGE}")[1]["a"] == "1"


def test_an_image_of_a_server_names_it(api: Api) -> None:
    send(
        api,
        "PUT",
        METADATA,
        {"metadata": {"instance_uuid": ACTIVE, "auto_disk_config": "True"}},
    )

    image = send(api, "GET", f"{IMAGES}/detail?server=http://x/servers/{ACTIVE}")[1]["images"][0]

    assert (image["id"], image["server"]["id"]) == (ALPHA_IMAGE, ACTIVE)
    assert image["server"]["links"][0]["href"].endswith(f"/servers/{ACTIVE}")
    assert image["OS-DCF:diskConfig"] == "AUTO"


def test_an_image_is_deleted(api: Api) -> None:
    assert send(api, "DELETE", f"{IMAGES}/{ALPHA_IMAGE}") == (204, None)
    assert send(api, "GET", f"{IMAGES}/{ALPHA_IMAGE}")[0] == 404


def test_a_group_is_made_changed_and_removed(api: Api) -> None:
    asked = {"name": "db", "description": "rows"}

    status, body = send(api, "POST", GROUPS, {"security_group": asked})

    group = body["security_group"]
    assert (status, group) == (200, {"id": UUID, "tenant_id": ALPHA, "rules": [], **asked})
    path, asked = f"{GROUPS}/{group['id']}", {"name": "sql", "description": ""}
    assert send(api, "PUT", path, {"security_group": asked}) == (
        200,
        {"security_group": {**group, **asked}},
    )
    assert send(api, "DELETE", path)[0] == 202
    assert send(api, "GET", path)[0] == 404


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"ip_protocol": "TCP", "from_port": "22", "to_port": 23},
            ("tcp", 22, 23, {}, {"cidr": "0.0.0.0/0"}),
        ),
        (
            {"ip_protocol": "icmp", "from_port": -1, "to_port": -1, "cidr": "10.0.0.0/8"},
            ("icmp", -1, -1, {}, {"cidr": "10.0.0.0/8"}),
        ),
        (
            {"ip_protocol": "udp", "from_port": 53, "to_port": 53, "cidr": "fd00::/8"},
            ("udp", 53, 53, {}, {"cidr": "fd00::/8"}),
        ),
        (
            {"ip_protocol": "udp", "group_id": ALPHA_DEFAULT},
            ("udp", 1, 65535, {"name": "default", "tenant_id": ALPHA}, {}),
        ),
        (
            {"group_id": WEB, "cidr": None},
            (None, None, None, {"name": "web", "tenant_id": ALPHA}, {}),
        ),
    ],
)
def test_a_rule_is_made_and_removed(api: Api, asked: dict[str, Any], told: Any) -> None:
    body = {"security_group_rule": {"parent_group_id": WEB, **asked}}

    status, answer = send(api, "POST", RULES, body)

    rule = answer["security_group_rule"]
    names = ("ip_protocol", "from_port", "to_port", "group", "ip_range")
    assert (status, rule) == (
        200,
        {"id": UUID, "parent_group_id": WEB, **dict(zip(names, told, strict=True))},
    )
    assert rule in send(api, "GET", f"{GROUPS}/{WEB}")[1]["security_group"]["rules"]
    assert send(api, "DELETE", f"{RULES}/{rule['id']}")[0] == 202
    assert send(api, "DELETE", f"{RULES}/{rule['id']}")[0] == 404


def test_a_group_in_use_or_over_quota_is_refused_as_by_nova(api: Api) -> None:
    make(api, "port", "alice", network_id=NETWORK, security_groups=[WEB])
    api.call("root", "PUT", f"/network/v2.0/quotas/{ALPHA}", json={"quota": {"security_group": 1}})
    asked = {"security_group": {"name": "more", "description": ""}}

    in_use = send(api, "DELETE", f"{GROUPS}/{WEB}")
    over = send(api, "POST", GROUPS, asked)

    assert in_use[0] == 400
    assert in_use[1]["badRequest"]["message"] == f"Security Group {WEB} in use."
    assert over[0] == 403
    assert "security_group" in over[1]["forbidden"]["message"]


def test_a_floating_ip_is_taken_seen_on_its_server_and_given_back(api: Api, public: Any) -> None:
    routed(api, public)

    status, body = send(api, "POST", FLOATING_IPS, {})

    made = body["floating_ip"]
    unused = {"ip": "203.0.113.10", "pool": "public", "fixed_ip": None, "instance_id": None}
    assert (status, made) == (200, {"id": UUID, **unused})
    send(
        api,
        "POST",
        f"{V21}/servers/{ACTIVE}/action",
        {"addFloatingIp": {"address": made["ip"]}},
    )
    used = {**made, "fixed_ip": "10.77.0.5", "instance_id": ACTIVE}
    assert send(api, "GET", FLOATING_IPS) == (200, {"floating_ips": [used]})
    assert send(api, "GET", f"{FLOATING_IPS}/{made['id']}") == (200, {"floating_ip": used})
    assert send(api, "DELETE", f"{FLOATING_IPS}/{made['id']}")[0] == 202
    assert send(api, "GET", FLOATING_IPS) == (200, {"floating_ips": []})


def test_a_pool_is_named_by_id_or_name_and_may_be_used_up(api: Api, public: Any) -> None:
    other = make(api, "network", "root", **{"router:external": True, "name": ""})
    pools = {"floating_ip_pools": [{"name": "public"}, {"name": other["id"]}]}

    assert send(api, "GET", f"{V21}/os-floating-ip-pools") == (200, pools)
    assert send(api, "POST", FLOATING_IPS, {"pool": None})[0] == 409
    assert send(api, "POST", FLOATING_IPS, {"pool": public["id"]})[0] == 200
    for _ in range(2):
        floating(api, public)
    status, body = send(api, "POST", FLOATING_IPS, {"pool": "public"})
    assert (status, body["itemNotFound"]["message"]) == (
        404,
        "No more floating IPs in pool public.",
    )


def test_floating_ips_over_quota_are_refused(api: Api, public: Any) -> None:
    api.call("root", "PUT", f"/network/v2.0/quotas/{ALPHA}", json={"quota": {"floatingip": 0}})

    status, body = send(api, "POST", FLOATING_IPS, {"pool": public["name"]})

    message = "IP allocation over quota in pool public."
    assert (status, body["forbidden"]["message"]) == (403, message)
