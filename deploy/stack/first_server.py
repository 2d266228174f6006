"""The first server: made once through the API as any client would, and watched stage by stage."""

import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

from deploy.stack.client import Api, ApiError
from deploy.stack.guest import IMAGE_NAME
from deploy.stack.layout import Layout
from deploy.stack.parts import OPERATOR, USER, Stack
from deploy.stack.say import Failure, hint, say, settle
from deploy.stack.settings import write_private

NAME = "first"
FLAVOR = "m1.tiny"
SERVERS = "/compute/v2.1/servers"
SSH_CONFIG = """\
# Guests come and go and their addresses are used again, each time with another host key; they are
# on this machine's own bridge. So nothing is remembered, and nothing is asked.
Host *
    User root
    IdentityFile {key}
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
"""
#: Longer than the slowest boot that can still succeed.
WATCH_LIMIT_S = 900.0
ENDED = frozenset({"done", "failed", "cancelled"})


def find_first_server(stack: Stack) -> dict[str, Any] | None:
    """Return the server that this stack made first, None if it is not there any more."""
    mark = stack.layout.first_server_mark
    if not mark.exists():
        return None
    try:
        return _show(stack.login(USER), mark.read_text().strip())
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def make_first_server(stack: Stack) -> str:
    """Ask for the server, and return its id as soon as it is accepted."""
    api = stack.login(USER)
    _ensure_keypair(api, stack.layout)
    _let_in(api)
    body = {
        "name": NAME,
        "imageRef": _id_of(api, f"/image/v2/images?name={IMAGE_NAME}", "images"),
        "flavorRef": _flavor(api),
        "key_name": NAME,
        "networks": [{"uuid": _id_of(api, "/network/v2.0/networks", "networks")}],
    }
    server: str = api.post(SERVERS, {"server": body})["server"]["id"]
    stack.layout.first_server_mark.write_text(server + "\n")
    say(f"\nPOST {SERVERS}: server {NAME}, flavor {FLAVOR}, image {IMAGE_NAME}")
    return server


def watch(stack: Stack, server_id: str) -> dict[str, Any]:
    """Print each stage as it ends, until the server is ACTIVE; return it. Raises Failure."""
    # Which worker ran a stage is told to operators only.
    api = stack.login(OPERATOR)
    view = StageView()
    deadline = time.monotonic() + WATCH_LIMIT_S
    while time.monotonic() < deadline:
        server = _show(api, server_id)
        view.show(api.get(f"/byre/v1/servers/{server_id}/run")["run"])
        if server["status"] == "ACTIVE":
            return server
        if server["status"] == "ERROR":
            raise Failure(_explain(stack, server))
        time.sleep(0.15)
    raise Failure(f"server {NAME} is still not ACTIVE; make logs shows what goes on")


@dataclass
class StageView:
    """What has been printed of a run so far."""

    printed: set[tuple[int, str]] = field(default_factory=set)
    #: When the stage under way was first seen.
    seen_at: dict[tuple[int, str], float] = field(default_factory=dict)

    def show(self, run: dict[str, Any]) -> None:
        """Print the stages that have ended since the last look, and hint at the one under way."""
        under_way = ""
        for stage in run["stages"]:
            key = (stage["attempt"], stage["name"])
            if stage["state"] in ENDED:
                if key not in self.printed:
                    self.printed.add(key)
                    settle(stage_line(stage))
            elif not under_way:
                took = time.monotonic() - self.seen_at.setdefault(key, time.monotonic())
                under_way = f"  {stage['name']:<16} {stage.get('worker') or '':<28} {took:7.0f} s"
        if under_way:
            hint(under_way)


def stage_line(stage: dict[str, Any]) -> str:
    """Return a finished stage as one line: name, who ran it, for how long, and why it failed."""
    duration = stage["duration_ms"]
    took = f"{duration / 1000:7.2f} s" if duration is not None else " " * 9
    line = f"  {stage['name']:<16} {stage.get('worker') or '':<28} {took}  {stage['state']}"
    reason = stage.get("reason")
    return f"{line}: {reason}" if reason else line


def addresses(server: dict[str, Any]) -> list[str]:
    """Return the server's addresses."""
    return [port["addr"] for ports in server["addresses"].values() for port in ports]


def _show(api: Api, server_id: str) -> dict[str, Any]:
    server: dict[str, Any] = api.get(f"{SERVERS}/{server_id}")["server"]
    return server


def _explain(stack: Stack, server: dict[str, Any]) -> str:
    """Say what its owner is told, and beside it what only the operator's logs tell."""
    fault = server.get("fault", {})
    said = [
        f"server {NAME} is in ERROR: {fault.get('message', 'no reason given')}",
        fault.get("details", ""),
        *_failures_in_logs(stack, server["id"]),
        "More: make logs. To try again: make down, then make up.",
    ]
    return "\n".join(line for line in said if line)


def _failures_in_logs(stack: Stack, server_id: str) -> list[str]:
    lines = (line for part in stack.parts for line in part.process.last_lines(500))
    return [line for line in lines if server_id in line and "stage.failed" in line][-3:]


def _ensure_keypair(api: Api, layout: Layout) -> None:
    if not layout.ssh_key.exists():
        layout.ssh_key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "byre first server", "-f"]
        subprocess.run([*command, str(layout.ssh_key)], check=True, stdin=subprocess.DEVNULL)
    write_private(layout.ssh_config, SSH_CONFIG.format(key=layout.ssh_key))
    public_key = layout.ssh_key.with_suffix(".pub").read_text()
    api.delete(f"/compute/v2.1/os-keypairs/{NAME}")
    body = {"keypair": {"name": NAME, "public_key": public_key}}
    api.post("/compute/v2.1/os-keypairs", body)


def _let_in(api: Api) -> None:
    """Add rules for ping and SSH to the project's default group, which lets nobody in by itself."""
    group = _id_of(api, "/network/v2.0/security-groups?name=default", "security_groups")
    for protocol, port in (("icmp", None), ("tcp", 22)):
        rule = {
            "security_group_id": group,
            "direction": "ingress",
            "ethertype": "IPv4",
            "protocol": protocol,
            "port_range_min": port,
            "port_range_max": port,
        }
        try:
            api.post("/network/v2.0/security-group-rules", {"security_group_rule": rule})
        except ApiError as error:
            if error.status != 409:  # 409: it is there already
                raise


def _id_of(api: Api, path: str, word: str) -> str:
    things = api.get(path)[word]
    if not things:
        raise Failure(f"GET {path} finds nothing, though make up has just made it")
    found: str = things[0]["id"]
    return found


def _flavor(api: Api) -> str:
    flavors = api.get("/compute/v2.1/flavors")["flavors"]
    found: str = next(flavor["id"] for flavor in flavors if flavor["name"] == FLAVOR)
    return found
