"""`down`: servers first, through the API; then processes; then what libvirt still has of ours."""

import time
from typing import Any

from deploy.stack import libvirt
from deploy.stack.client import Api, ApiError
from deploy.stack.parts import OPERATOR, Stack
from deploy.stack.say import Failure, clear, hint, say

SERVERS = "/compute/v2.1/servers"
#: How long all servers together may take to be deleted.
DELETE_LIMIT_S = 90.0


def down(stack: Stack) -> None:
    """Stop everything; leave no process, domain, network or bridge of ours. Raises Failure."""
    deleted = _delete_servers(stack)
    stopped = []
    for part in (stack.keeper, *reversed(stack.parts)):
        hint(f"stopping {part.name} ...")
        if part.process.stop(part.stop_limit_s):
            stopped.append(part.name)
    removed = _clear_libvirt(stack)
    clear()
    _tell("deleted", deleted)
    _tell("stopped", stopped)
    _tell("removed", removed)
    stack.layout.first_server_mark.unlink(missing_ok=True)
    if deleted or stopped or removed:
        say(f"Byre is down. Its data stays in {stack.layout.home} until make clean.")
    else:
        say("Byre is down already.")


def delete_all_servers(api: Api, limit_s: float) -> tuple[list[str], list[str]]:
    """Delete every server of every project; return the names of those that are gone, and of those
    that are not. Domains are to go with their rows, or rows and hosts would disagree ever after."""
    wanted = _servers(api)
    for server in wanted:
        api.delete(f"{SERVERS}/{server['id']}")
    deadline = time.monotonic() + limit_s
    left = wanted
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        left = _servers(api)
        hint(f"deleting {len(left)} servers ...")
    names_left = {server["id"]: server["name"] for server in left}
    gone = [server["name"] for server in wanted if server["id"] not in names_left]
    return gone, list(names_left.values())


def _servers(api: Api) -> list[dict[str, Any]]:
    servers: list[dict[str, Any]] = api.get(f"{SERVERS}?all_tenants=1")["servers"]
    return servers


def _delete_servers(stack: Stack) -> list[str]:
    """Delete all servers if the stack is there to do it; note it where that fails."""
    if not stack.layout.clouds.exists() or not any(part.process.alive() for part in stack.parts):
        return []
    try:
        gone, left = delete_all_servers(stack.login(OPERATOR), DELETE_LIMIT_S)
    except ApiError as error:
        gone, left = [], [f"those that the API did not tell of ({error})"]
    if left:
        stack.layout.lost_servers_mark.touch()
        say("Not deleted in time, will be at the next make up: " + ", ".join(left))
    return [f"server {name}" for name in gone]


def _clear_libvirt(stack: Stack) -> list[str]:
    """Remove what the servers' deletion did not, and stop the libvirt that we started."""
    if not stack.uses_libvirt:
        return []
    removed = libvirt.remove_leftovers(stack.settings.storage_pool)
    left = libvirt.find_leftovers(stack.settings.storage_pool)
    if left:
        raise Failure(f"libvirt could not remove: {', '.join(left)}. See virsh, then again.")
    if libvirt.stop_own(stack.layout):
        removed.append("our libvirt daemons")
    return removed


def _tell(what: str, things: list[str]) -> None:
    if things:
        say(f"  {what:<8} {', '.join(things)}")
