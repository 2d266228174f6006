"""`up`: everything started and proved, and a first server booted. Repeating it changes nothing."""

import time
from pathlib import Path
from typing import Any

from deploy.stack import libvirt
from deploy.stack.down import DELETE_LIMIT_S, delete_all_servers
from deploy.stack.first_server import (
    FLAVOR,
    NAME,
    addresses,
    find_first_server,
    make_first_server,
    watch,
)
from deploy.stack.guest import IMAGE_NAME, byre, ensure_guest_image, import_guest_image
from deploy.stack.layout import ROOT
from deploy.stack.parts import OPERATOR, USER, Stack, program
from deploy.stack.redis import write_config
from deploy.stack.say import say, step
from deploy.stack.start import refuse_taken_ports, start_keeper, start_parts

#: What a new user would try: see it, make another, look at its console.
NEXT = (
    "server list",
    f"server create --image {IMAGE_NAME} --flavor {FLAVOR} --key-name {NAME} --wait second",
    "console url show second",
    "server delete --wait second",
)


def up(stack: Stack) -> int:
    """Bring the stack up; return the exit code. Raises Failure."""
    started = time.monotonic()
    if _is_up(stack):
        say("Byre is up already; nothing was changed.")
        _tell(stack, find_first_server(stack))
        return 0
    # What was changed by hand is taken over in order, not by two at once.
    stack.keeper.process.stop(stack.keeper.stop_limit_s)
    refuse_taken_ports(stack)
    say("Starting Byre")
    if stack.uses_libvirt and not libvirt.answers():
        with step("libvirt", libvirt.URI):
            libvirt.start(stack.layout)
    write_config(stack.layout, stack.settings)
    start_parts(stack, [stack.redis])
    _prepare_database(stack)
    ensure_guest_image(stack)
    start_parts(stack, stack.parts[1:])
    start_keeper(stack)
    _delete_lost_servers(stack)
    import_guest_image(stack)
    server = find_first_server(stack)
    if server is None and not stack.layout.first_server_mark.exists():
        server = watch(stack, make_first_server(stack))
    elif server is not None and server["status"] != "ACTIVE":
        server = watch(stack, server["id"])
    say(f"\nByre is up, {time.monotonic() - started:.0f} s after make up began.")
    _tell(stack, server)
    return 0


def _is_up(stack: Stack) -> bool:
    """Tell whether nothing is left to do. A first server that was deleted is not missed."""
    return (
        all(part.process.alive() and part.works() for part in (*stack.parts, stack.keeper))
        and stack.libvirt_works()
        and stack.layout.first_server_mark.exists()
        and (find_first_server(stack) or {"status": "ACTIVE"})["status"] == "ACTIVE"
    )


def _prepare_database(stack: Stack) -> None:
    with step("database", "migrations; project, flavors, network"):
        byre(stack, [program("byre"), "db", "upgrade"])
        command = [program("byre"), "bootstrap", "--clouds", str(stack.layout.clouds)]
        identity = f"http://{stack.settings.api_address}/identity/v3"
        byre(stack, [*command, "--auth-url", identity])


def _delete_lost_servers(stack: Stack) -> None:
    """Delete the servers whose domains an earlier `down` removed without the API."""
    if not stack.layout.lost_servers_mark.exists():
        return
    with step("servers", "without a domain since make down: deleted"):
        _, left = delete_all_servers(stack.login(OPERATOR), DELETE_LIMIT_S)
    if not left:
        stack.layout.lost_servers_mark.unlink()


def _tell(stack: Stack, server: dict[str, Any] | None) -> None:
    """Print where everything is, and what to do next."""
    layout, api = stack.layout, f"http://{stack.settings.api_address}"
    say()
    say(f"  API      {api}   documentation: {api}/docs")
    say(f"  Console  http://{stack.settings.console_address}   (openstack console url show)")
    say(f"  Flower   http://127.0.0.1:{layout.flower_port}")
    if server is not None and stack.uses_libvirt:
        say(f"  Guest    ssh -F {_shown(layout.ssh_config)} {addresses(server)[0]}")
    say("  State    make status, make logs; make down ends it all")
    say()
    say("Next, for example:")
    say(f"  export OS_CLIENT_CONFIG_FILE={_shown(layout.clouds)} OS_CLOUD={USER}")
    for command in NEXT:
        say(f"  {_shown(Path(program('openstack')))} {command}")


def _shown(path: Path) -> str:
    """Return the path as a person at the root of the repository types it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
