"""What is said to the guest agent, and what it answers."""

import base64
import json

import libvirt
import libvirt_qemu
from lxml import etree

from tasks.errors import Conflict
from tasks.messages import Password
from workers.hypervisor.libvirt.domain_xml import AGENT_CHANNEL
from workers.hypervisor.libvirt.errors import is_gone
from workers.hypervisor.port import NO_AGENT

#: Seconds within which an agent that is there answers a ping.
_PING_LIMIT_S = 2
#: Guests may hash passwords slowly on purpose.
_PASSWORD_LIMIT_S = 20

_UNANSWERED = {libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_OPERATION_TIMEOUT}


def ping(handle: libvirt.virDomain) -> bool | None:
    """Ping the agent, if anybody in the guest has opened its channel. Raises libvirtError."""
    if not channel_is_open(handle):
        return None
    try:
        _say(handle, "guest-ping", _PING_LIMIT_S)
    except libvirt.libvirtError as error:
        if is_gone(error):
            raise
        return False
    return True


def set_password(handle: libvirt.virDomain, password: Password) -> None:
    """Have the agent set the password. Raises Conflict if it does not answer or refuses, and
    libvirtError."""
    if not channel_is_open(handle):
        raise Conflict(NO_AGENT)
    encoded = base64.b64encode(password.password.encode()).decode()
    given = {"username": password.user, "password": encoded, "crypted": False}
    try:
        _say(handle, "guest-set-user-password", _PASSWORD_LIMIT_S, given)
    except libvirt.libvirtError as error:
        if is_gone(error):
            raise
        if error.get_error_code() in _UNANSWERED:
            raise Conflict(NO_AGENT) from None
        # Neither the error's text nor its origin is told on: the password may be in it.
        raise Conflict("Failed to set admin password: the guest agent refused it.") from None


def _say(
    handle: libvirt.virDomain, command: str, limit_s: int, given: dict[str, object] | None = None
) -> None:
    said = {"execute": command, **({"arguments": given} if given else {})}
    libvirt_qemu.qemuAgentCommand(handle, json.dumps(said), limit_s, 0)


def channel_is_open(handle: libvirt.virDomain) -> bool:
    """Say whether somebody in the guest has opened the agent's channel."""
    domain = etree.fromstring(handle.XMLDesc(0))
    return any(
        target.get("name") == AGENT_CHANNEL and target.get("state") == "connected"
        for target in domain.iterfind("devices/channel/target")
    )
