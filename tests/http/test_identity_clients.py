"""Identity as OpenStack's own command and SDK use it: each command as people type it."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import openstack
import pytest
from openstack.connection import Connection

from tests.http.test_serving import Running
from tests.http.world import ALICE, ALPHA, PASSWORD
from tests.openstack_command import OpenStackCommand
from tests.processes import wait_until


class Cloud:
    """The running API, as several people with the real client."""

    def __init__(self, running: Running, command: OpenStackCommand) -> None:
        self.running, self.command = running, command

    def login(self, name: str, project: str | None, password: str = PASSWORD) -> dict[str, str]:
        """Return the environment of somebody who logs in with a password."""
        scope = {"OS_PROJECT_NAME": project, "OS_PROJECT_DOMAIN_NAME": "Default"} if project else {}
        return {
            "OS_AUTH_URL": f"{self.running.url}/identity/v3",
            "OS_USERNAME": name,
            "OS_PASSWORD": password,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
            **scope,
        }

    def run(self, who: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
        """Run `openstack` as somebody."""
        return self.command.run(list(words), who)

    def json(self, who: dict[str, str], *words: str) -> Any:
        """Run `openstack` as somebody, for its answer as JSON."""
        done = self.run(who, *words, "-f", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def silent(self, who: dict[str, str], *words: str) -> None:
        """Run `openstack` as somebody, for what it does."""
        done = self.run(who, *words)
        assert done.returncode == 0, done.stderr

    @property
    def root(self) -> dict[str, str]:
        """The administrator."""
        return self.login("root", "operations")

    def connect(self, name: str, project: str, password: str = PASSWORD) -> Connection:
        """Log somebody in by the SDK."""
        return openstack.connect(
            auth_url=f"{self.running.url}/identity/v3",
            username=name,
            password=password,
            project_name=project,
            user_domain_id="default",
            project_domain_id="default",
            load_yaml_config=False,
            load_envvars=False,
        )


@pytest.fixture(scope="module")
def cloud(
    tmp_path_factory: pytest.TempPathFactory, openstack_command: OpenStackCommand
) -> Iterator[Cloud]:
    running = Running(tmp_path_factory.mktemp("identity"))
    running.program.start()
    try:
        wait_until(running.answers, "the API", 20)
        yield Cloud(running, openstack_command)
    finally:
        running.program.stop()


def test_a_team_is_set_up(cloud: Cloud) -> None:
    root = cloud.root
    project = cloud.json(
        root, "project", "create", "team", "--description", "ours", "--domain", "Default"
    )
    user = cloud.json(root, "user", "create", "tess", "--password", "first", "--project", "team")
    cloud.silent(root, "role", "add", "--user", "tess", "--project", "team", "member")

    tess = cloud.login("tess", "team", "first")
    token = cloud.json(tess, "token", "issue")

    assert (token["project_id"], token["user_id"]) == (project["id"], user["id"])
    names = ("role", "assignment", "list", "--user", "tess", "--names")
    assert cloud.json(root, *names) == [
        {
            "Role": "member",
            "User": "tess@Default",
            "Group": "",
            "Project": "team@Default",
            "Domain": "",
            "System": "",
            "Inherited": False,
        }
    ]
    services = cloud.json(tess, "catalog", "list")
    assert {service["Type"] for service in services} == {"identity", "compute", "image", "network"}
    assert [each["Name"] for each in cloud.json(tess, "project", "list")] == ["team"]
    cloud.silent(tess, "user", "password", "set", "--original-password", "first", "--password", "b")
    assert cloud.run(tess, "token", "issue").returncode != 0
    tess = cloud.login("tess", "team", "b")
    cloud.silent(tess, "server", "list")
    cloud.silent(tess, "token", "revoke", cloud.json(tess, "token", "issue")["id"])
    cloud.silent(root, "role", "remove", "--user", "tess", "--project", "team", "member")
    assert "401" in cloud.run(tess, "server", "list").stderr
    cloud.silent(root, "user", "delete", "tess")
    cloud.silent(root, "project", "delete", "team")


def test_things_are_found_changed_and_shown(cloud: Cloud) -> None:
    root = cloud.root
    cloud.silent(root, "project", "create", "shop", "--or-show")
    cloud.silent(root, "project", "create", "shop", "--or-show")
    cloud.silent(root, "project", "set", "shop", "--description", "sells", "--name", "store")
    shown = cloud.json(root, "project", "show", "store")
    assert (shown["description"], shown["enabled"]) == ("sells", True)

    cloud.silent(root, "user", "create", "sam", "--password", "p", "--email", "s@example.org")
    cloud.silent(root, "user", "set", "sam", "--disable", "--description", "away")
    shown = cloud.json(root, "user", "show", "sam")
    assert (shown["enabled"], shown["email"], shown["description"]) == (
        False,
        "s@example.org",
        "away",
    )
    assert {user["Name"] for user in cloud.json(root, "user", "list", "--long")} >= {"sam", "alice"}
    assert len(cloud.json(root, "role", "list")) == 5
    assert cloud.json(root, "role", "show", "member")["name"] == "member"
    assert cloud.json(root, "domain", "show", "Default")["id"] == "default"
    assert [each["Name"] for each in cloud.json(root, "domain", "list")] == ["Default"]
    assert len(cloud.json(root, "service", "list")) == 4
    assert len(cloud.json(root, "endpoint", "list", "--interface", "public")) == 4
    assert cloud.json(root, "endpoint", "list", "--service", "nova")
    assert [each["Region"] for each in cloud.json(root, "region", "list")] == ["RegionOne"]
    for words in (("user", "delete", "sam"), ("project", "delete", "store")):
        cloud.silent(root, *words)


def test_who_is_no_administrator_is_told_so(cloud: Cloud) -> None:
    alice = cloud.login("alice", "alpha")

    refused = cloud.run(alice, "user", "list")

    assert refused.returncode != 0
    assert "403" in refused.stderr
    assert cloud.json(alice, "user", "show", ALICE)["name"] == "alice"
    assert cloud.json(alice, "project", "show", ALPHA)["name"] == "alpha"


def test_the_sdk_does_the_same(cloud: Cloud) -> None:
    with cloud.connect("root", "operations") as root:
        identity: Any = root.identity
        project = identity.create_project(name="sdk", description="d")
        user = identity.create_user(name="sue", password="p", default_project_id=project.id)
        role = identity.find_role("manager", ignore_missing=False)
        identity.assign_project_role_to_user(project, user, role)

        assert identity.validate_user_has_project_role(project, user, role)
        with cloud.connect("sue", "sdk", "p") as sue:
            assert sue.current_project_id == project.id
            assert list(sue.compute.servers()) == []
        (given,) = root.list_role_assignments({"user": user.id})
        assert given.scope["project"]["id"] == project.id
        identity.unassign_project_role_from_user(project, user, role)
        assert not identity.validate_user_has_project_role(project, user, role)
        assert identity.update_user(user, name="susan").name == "susan"
        identity.delete_user(user)
        identity.delete_project(project)
        assert identity.find_user("susan") is None


def test_a_program_has_an_application_credential(cloud: Cloud) -> None:
    alice = cloud.login("alice", "alpha")
    words = ("application", "credential", "create", "builder", "--role", "member")
    made = cloud.json(alice, *words, "--description", "builds", "--secret", "s3cret")
    late = cloud.json(alice, *words[:3], "late", "--expiration", "2099-01-31T00:00:00")
    assert late["Expires At"] == "2099-01-31T00:00:00.000000Z"
    cloud.silent(alice, "application", "credential", "delete", "late")
    program = {
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_AUTH_URL": alice["OS_AUTH_URL"],
        "OS_APPLICATION_CREDENTIAL_ID": made["ID"],
        "OS_APPLICATION_CREDENTIAL_SECRET": "s3cret",
    }

    assert cloud.json(program, "token", "issue")["project_id"] == ALPHA
    cloud.silent(program, "keypair", "create", "built")
    cloud.silent(program, "server", "list")
    refused = cloud.run(program, "application", "credential", "create", "child")
    assert "403" in refused.stderr
    by_name = {
        **{key: value for key, value in program.items() if not key.endswith("_ID")},
        "OS_APPLICATION_CREDENTIAL_NAME": "builder",
        "OS_USERNAME": "alice",
        "OS_USER_DOMAIN_NAME": "Default",
    }
    cloud.silent(by_name, "keypair", "delete", "built")
    listed = cloud.json(alice, "application", "credential", "list")
    assert {each["Name"] for each in listed} == {"builder", "robot"}
    shown = cloud.json(alice, "application", "credential", "show", "builder")
    assert (shown["ID"], shown["Description"]) == (made["ID"], "builds")
    cloud.silent(alice, "application", "credential", "delete", "builder")
    assert "401" in cloud.run(program, "token", "issue").stderr


def test_the_sdk_logs_in_with_an_application_credential(cloud: Cloud) -> None:
    with cloud.connect("alice", "alpha") as alice:
        identity: Any = alice.identity
        made = identity.create_application_credential(ALICE, "sdk", roles=[{"name": "reader"}])
        with openstack.connect(
            auth_type="v3applicationcredential",
            auth_url=f"{cloud.running.url}/identity/v3",
            application_credential_id=made.id,
            application_credential_secret=made.secret,
            load_yaml_config=False,
            load_envvars=False,
        ) as program:
            assert program.current_project_id == ALPHA
            assert list(program.compute.servers())
        identity.delete_application_credential(ALICE, made)
