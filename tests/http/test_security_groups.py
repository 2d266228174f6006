"""Security groups are made, changed, joined and removed: what is answered, what is noted."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import delete, select

from app.db.models import (
    FabricChange,
    PortSecurityGroup,
    Project,
    RequestSpec,
    SecurityGroup,
)
from app.db.session import reading
from tests.http.cases import SECOND, UUID, Api
from tests.http.table_refusals import GOOD
from tests.http.world import (
    ACTIVE,
    ALPHA,
    ALPHA_DEFAULT,
    BETA,
    BETA_DEFAULT,
    HOST,
    OPERATIONS_DEFAULT,
    PORT,
    TWIN,
    WEB,
    uid,
)

V2 = "/network/v2.0"
GROUPS, RULES = f"{V2}/security-groups", f"{V2}/security-group-rules"


def make_group(api: Api, who: str = "alice", **facts: Any) -> Any:
    """Make a group; return the answer."""
    return api.call(who, "POST", GROUPS, json={"security_group": facts})


def make_rule(api: Api, who: str = "alice", **facts: Any) -> Any:
    """Add a rule to alpha's web group; return the answer."""
    rule = {"security_group_id": WEB, "direction": "ingress", **facts}
    return api.call(who, "POST", RULES, json={"security_group_rule": rule})


def made(answer: Any) -> dict[str, Any]:
    """Return the body of the thing that was made."""
    assert answer.status_code == 201, answer.get_data(as_text=True)
    (body,) = answer.get_json().values()
    return dict(body)


def noted(api: Api) -> list[tuple[str, str]]:
    """Return what hosts have to learn of."""
    with reading(api.sessions) as session:
        rows = session.scalars(select(FabricChange).order_by(FabricChange.id))
        return [(row.kind, row.subject_id) for row in rows]


def groups_of(api: Api, port_id: str) -> set[str]:
    """Return the groups that a port is in."""
    with reading(api.sessions) as session:
        query = select(PortSecurityGroup.security_group_id).filter_by(port_id=port_id)
        return set(session.scalars(query))


@pytest.fixture
def bare(api: Api) -> Api:
    """Nobody of beta has looked at security groups yet."""
    with api.sessions.begin() as session:
        session.execute(delete(SecurityGroup).where(SecurityGroup.project_id == BETA))
    return api


def test_group_is_born_with_a_way_out(api: Api) -> None:
    body = made(make_group(api, name="db", description="databases", stateful=False))

    rules = body.pop("security_group_rules")
    assert body == {
        "id": UUID,
        "name": "db",
        "tenant_id": ALPHA,
        "project_id": ALPHA,
        "description": "databases",
        "stateful": False,
        "shared": False,
        "tags": [],
        "revision_number": 0,
        "created_at": SECOND,
        "updated_at": SECOND,
    }
    assert sorted((r["direction"], r["ethertype"]) for r in rules) == [
        ("egress", "IPv4"),
        ("egress", "IPv6"),
    ]


def test_first_look_makes_the_default_group(bare: Api) -> None:
    (group,) = bare.call("bob", "GET", GROUPS).get_json()["security_groups"]

    assert (group["name"], group["project_id"]) == ("default", BETA)
    assert sorted(
        (r["direction"], r["ethertype"], r["remote_group_id"])
        for r in group["security_group_rules"]
    ) == sorted(
        [
            ("egress", "IPv4", None),
            ("egress", "IPv6", None),
            ("ingress", "IPv4", group["id"]),
            ("ingress", "IPv6", group["id"]),
        ],
        key=str,
    )


def test_looking_at_once_makes_one_default_group(bare: Api) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: bare.call("bob", "GET", GROUPS).get_json(), range(6)))

    ids = {group["id"] for answer in answers for group in answer["security_groups"]}
    assert len(ids) == 1


def test_server_of_a_project_without_groups_gets_default(bare: Api) -> None:
    answer = bare.call("bob", "POST", "/compute/v2.1/servers", json={"server": GOOD})

    body = answer.get_json()["server"]
    shown = bare.call("bob", "GET", f"/compute/v2.1/servers/{body['id']}").get_json()["server"]
    assert body["security_groups"] == shown["security_groups"] == [{"name": "default"}]


def test_server_is_asked_for_with_groups_by_name_and_by_id(api: Api) -> None:
    wanted = [{"name": "web"}, {"name": TWIN}, {"name": WEB}]
    server = {**GOOD, "security_groups": wanted}
    body = api.call("alice", "POST", "/compute/v2.1/servers", json={"server": server}).get_json()

    server_id = body["server"]["id"]
    assert body["server"]["security_groups"] == wanted
    with reading(api.sessions) as session:
        assert session.get_one(RequestSpec, server_id).security_group_ids == [WEB, TWIN]
    path = f"/compute/v2.1/servers/{server_id}"
    shown = api.call("alice", "GET", path).get_json()["server"]
    assert shown["security_groups"] == [{"name": "twin"}, {"name": "web"}]
    of_server = api.call("alice", "GET", f"{path}/os-security-groups").get_json()
    assert {group["id"] for group in of_server["security_groups"]} == {WEB, TWIN}


def test_group_changes_and_counts_its_changes(api: Api) -> None:
    answer = api.call(
        "alice", "PUT", f"{GROUPS}/{WEB}", json={"security_group": {"name": "www", "stateful": "0"}}
    )

    body = answer.get_json()["security_group"]
    assert (body["name"], body["stateful"], body["revision_number"]) == ("www", False, 1)
    assert noted(api) == [("rules", WEB)]
    assert api.recorder.nudges == 1


def test_tags_are_replaced_and_found(api: Api) -> None:
    path = f"{GROUPS}/{WEB}/tags"
    assert api.call("alice", "PUT", path, json={"tags": ["b", "a", "b"]}).get_json() == {
        "tags": ["a", "b"]
    }

    assert api.call("alice", "GET", path).get_json() == {"tags": ["a", "b"]}
    found = api.call("alice", "GET", f"{GROUPS}?tags=a&fields=name").get_json()
    assert found == {"security_groups": [{"name": "web"}]}


def test_unused_group_goes_and_rules_that_name_it_go_with_it(api: Api) -> None:
    rule = made(make_rule(api, remote_group_id=TWIN))

    assert api.call("alice", "DELETE", f"{GROUPS}/{TWIN}").status_code == 204

    assert api.call("alice", "GET", f"{GROUPS}/{TWIN}").status_code == 404
    assert api.call("alice", "GET", f"{RULES}/{rule['id']}").status_code == 404
    assert noted(api) == [("rules", WEB), ("rules", WEB)]


def test_group_with_ports_stays(api: Api) -> None:
    act(api, "addSecurityGroup", "web")

    answer = api.call("alice", "DELETE", f"{GROUPS}/{WEB}")

    assert answer.status_code == 409
    assert answer.get_json()["NeutronError"]["type"] == "SecurityGroupInUse"


def test_quota_of_groups_holds(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Project, ALPHA).quota_security_groups = 5
    assert make_group(api, name="fifth").status_code == 201

    answer = make_group(api, name="sixth")

    assert answer.status_code == 409
    assert answer.get_json()["NeutronError"]["type"] == "OverQuota"


def test_quota_holds_for_those_who_ask_at_once(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Project, ALPHA).quota_security_groups = 6
    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(lambda n: make_group(api, name=str(n)).status_code, range(6)))

    assert sorted(codes) == [201, 201, 409, 409, 409, 409]


def test_operator_makes_a_group_for_a_project(api: Api) -> None:
    body = made(make_group(api, "root", name="theirs", project_id=BETA))

    assert body["project_id"] == BETA
    assert api.call("bob", "GET", f"{GROUPS}/{body['id']}").status_code == 200


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"protocol": "TCP", "port_range_min": 1, "port_range_max": 2}, {"protocol": "tcp"}),
        ({"protocol": 6}, {"protocol": "6", "port_range_min": None}),
        ({"protocol": "any"}, {"protocol": None}),
        ({"protocol": None}, {"protocol": None}),
        ({"protocol": "0"}, {"protocol": "0"}),
        ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp"}),
        ({"protocol": "icmpv6", "ethertype": "ipv6"}, {"ethertype": "IPv6"}),
        ({"protocol": "icmp", "port_range_min": 8}, {"port_range_max": None}),
        ({"protocol": "icmp", "port_range_min": 3, "port_range_max": 0}, {"port_range_max": 0}),
        ({"protocol": "sctp", "port_range_min": "9", "port_range_max": "9"}, {"port_range_min": 9}),
        (
            {"remote_ip_prefix": "10.1.2.3"},
            {"remote_ip_prefix": "10.1.2.3/32", "normalized_cidr": "10.1.2.3/32"},
        ),
        (
            {"remote_ip_prefix": "2001:DB8::5/64", "ethertype": "IPv6"},
            {"remote_ip_prefix": "2001:db8::5/64", "normalized_cidr": "2001:db8::/64"},
        ),
        ({"remote_ip_prefix": "0.0.0.0/0"}, {"remote_ip_prefix": "0.0.0.0/0"}),
        ({"remote_group_id": WEB}, {"remote_group_id": WEB, "remote_ip_prefix": None}),
        ({"description": None, "remote_address_group_id": None}, {"description": ""}),
    ],
)
def test_rule_is_shown_as_neutron_shows_it(
    api: Api, asked: dict[str, Any], shown: dict[str, Any]
) -> None:
    body = made(make_rule(api, **asked))

    assert {name: body[name] for name in shown} == shown
    assert api.call("rita", "GET", f"{RULES}/{body['id']}").get_json() == {
        "security_group_rule": body
    }
    assert noted(api) == [("rules", WEB)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"protocol": "tcp"}, {"protocol": 6}),
        ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": 58, "ethertype": "IPv6"}),
        ({"remote_ip_prefix": "10.0.0.0/8"}, {"remote_ip_prefix": "10.9.9.9/8"}),
        ({"remote_ip_prefix": "0.0.0.0/0"}, {}),
        ({"description": "one"}, {"description": "other", "protocol": "any"}),
    ],
)
def test_rule_that_says_the_same_is_refused(
    api: Api, one: dict[str, Any], other: dict[str, Any]
) -> None:
    made(make_rule(api, **one))

    assert make_rule(api, **other).status_code == 409


def test_rule_asked_for_at_once_is_made_once(api: Api) -> None:
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: make_rule(api, protocol="udp").status_code, range(4)))

    assert sorted(codes) == [201, 409, 409, 409]


def test_rules_are_made_together_or_not_at_all(api: Api) -> None:
    rules = [
        {"security_group_id": WEB, "direction": "egress", "protocol": each}
        for each in ("tcp", "udp", "tcp")
    ]
    assert api.call("alice", "POST", RULES, json={"security_group_rules": rules}).status_code == 409
    assert noted(api) == []

    answer = api.call("alice", "POST", RULES, json={"security_group_rules": rules[:2]})

    bodies = answer.get_json()["security_group_rules"]
    assert [body["protocol"] for body in bodies] == ["tcp", "udp"]
    shown = api.call("alice", "GET", f"{GROUPS}/{WEB}").get_json()["security_group"]
    assert len(shown["security_group_rules"]) == 3
    assert shown["revision_number"] == 1


def test_rule_goes(api: Api) -> None:
    assert api.call("alice", "DELETE", f"{RULES}/{uid(113)}").status_code == 204

    assert api.call("alice", "DELETE", f"{RULES}/{uid(113)}").status_code == 404
    assert noted(api) == [("rules", WEB)]
    assert api.recorder.nudges == 1


def act(api: Api, action: str, name: str) -> int:
    """Do something to the active server; return the status."""
    path = f"/compute/v2.1/servers/{ACTIVE}/action"
    return int(api.call("alice", "POST", path, json={action: {"name": name}}).status_code)


def test_server_joins_a_group_and_leaves_it(api: Api) -> None:
    assert act(api, "addSecurityGroup", "web") == 202
    assert act(api, "addSecurityGroup", WEB) == 202
    assert groups_of(api, PORT) == {ALPHA_DEFAULT, WEB}
    shown = api.call("alice", "GET", f"/compute/v2.1/servers/{ACTIVE}").get_json()["server"]
    assert shown["security_groups"] == [{"name": "default"}, {"name": "web"}]

    assert act(api, "removeSecurityGroup", "default") == 202

    assert groups_of(api, PORT) == {WEB}
    assert set(noted(api)) == {("members", WEB), ("members", ALPHA_DEFAULT), ("host", HOST)}


def test_others_groups_cannot_be_joined(api: Api) -> None:
    assert act(api, "addSecurityGroup", BETA_DEFAULT) == 404
    assert act(api, "addSecurityGroup", OPERATIONS_DEFAULT) == 404
    assert groups_of(api, PORT) == {ALPHA_DEFAULT}


@pytest.mark.parametrize(
    "text",
    ['"; flush ruleset; "', "$(reboot)", "a\nb\tc\x1b[2J", "ü" * 255, "'; DROP TABLE ports; --"],
)
def test_hostile_words_are_kept_and_shown_as_they_are(api: Api, text: str) -> None:
    body = made(make_group(api, name=text, description=text))

    shown = api.call("alice", "GET", f"{GROUPS}/{body['id']}").get_json()["security_group"]
    assert (shown["name"], shown["description"]) == (text, text)


# --- ports ---------------------------------------------------------------------------------------


def own_network(api: Api) -> str:
    """Make alpha a network with a subnet; return its id."""
    network = made(api.call("alice", "POST", f"{V2}/networks", json={"network": {"name": "n"}}))
    block = {"network_id": network["id"], "ip_version": 4, "cidr": "10.66.0.0/24"}
    made(api.call("alice", "POST", f"{V2}/subnets", json={"subnet": block}))
    return str(network["id"])


def make_port(api: Api, **facts: Any) -> Any:
    """Make a port on a network of alpha's own; return the answer."""
    port = {"network_id": own_network(api), **facts}
    return api.call("alice", "POST", f"{V2}/ports", json={"port": port})


def change_port(api: Api, port_id: str, who: str = "alice", **facts: Any) -> Any:
    """Change a port; return the answer."""
    return api.call(who, "PUT", f"{V2}/ports/{port_id}", json={"port": facts})


@pytest.mark.parametrize(
    ("asked", "groups"),
    [
        ({}, [ALPHA_DEFAULT]),
        ({"security_groups": None}, [ALPHA_DEFAULT]),
        ({"security_groups": []}, []),
        ({"security_groups": [WEB, TWIN, WEB]}, [WEB, TWIN]),
        ({"port_security_enabled": False}, []),
        ({"port_security_enabled": False, "security_groups": []}, []),
    ],
)
def test_port_is_made_in_its_groups(api: Api, asked: dict[str, Any], groups: list[str]) -> None:
    body = made(make_port(api, **asked))

    assert body["security_groups"] == groups
    assert groups_of(api, body["id"]) == set(groups)
    assert {(kind, group) for kind, group in noted(api) if kind == "members"} == {
        ("members", group) for group in groups
    }


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"security_groups": ["nope"]}, 404),
        ({"security_groups": [BETA_DEFAULT]}, 404),
        ({"security_groups": ["web"]}, 404),
        ({"security_groups": WEB}, 400),
        ({"security_groups": [1]}, 400),
        ({"security_groups": [WEB] * 65}, 400),
        ({"security_groups": [WEB], "port_security_enabled": False}, 409),
    ],
)
def test_port_in_impossible_groups_is_not_made(
    api: Api, asked: dict[str, Any], status: int
) -> None:
    assert make_port(api, **asked).status_code == status

    ports = api.call("alice", "GET", f"{V2}/ports").get_json()["ports"]
    assert [port["id"] for port in ports] == [PORT]


def test_port_of_a_server_changes_its_groups(api: Api) -> None:
    body = change_port(api, PORT, security_groups=[WEB]).get_json()["port"]

    assert body["security_groups"] == [WEB]
    assert set(noted(api)) == {("members", ALPHA_DEFAULT), ("members", WEB), ("host", HOST)}
    assert api.recorder.nudges == 1
    found = api.call("alice", "GET", f"{V2}/ports?security_groups={WEB}").get_json()["ports"]
    assert [port["id"] for port in found] == [PORT]


def test_port_in_groups_keeps_its_port_security(api: Api) -> None:
    assert change_port(api, PORT, "root", port_security_enabled=False).status_code == 409

    free = change_port(api, PORT, "root", port_security_enabled=False, security_groups=[])

    assert free.status_code == 200
    assert groups_of(api, PORT) == set()
    assert change_port(api, PORT, "root", security_groups=[ALPHA_DEFAULT]).status_code == 409


def test_others_groups_cannot_be_given_to_a_port(api: Api) -> None:
    assert change_port(api, PORT, security_groups=[BETA_DEFAULT]).status_code == 404
    assert groups_of(api, PORT) == {ALPHA_DEFAULT}


def test_removed_port_is_no_member_any_more(api: Api) -> None:
    body = made(make_port(api, security_groups=[WEB]))
    before = len(noted(api))

    assert api.call("alice", "DELETE", f"{V2}/ports/{body['id']}").status_code == 204

    assert noted(api)[before:] == [("members", WEB)]
    assert api.call("alice", "DELETE", f"{GROUPS}/{WEB}").status_code == 204
