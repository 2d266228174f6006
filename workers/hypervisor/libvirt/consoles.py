"""The way to a running guest's consoles: to its VNC server, which listens nowhere and is handed
connections by libvirt, and to the terminal of its serial port."""

import os

import libvirt
from lxml import etree

from tasks.errors import NoConsole
from tasks.messages import ConsoleKind


def open_console(handle: libvirt.virDomain, kind: ConsoleKind) -> int:
    """Return a file descriptor of the console, the caller's to close. Raises NoConsole."""
    devices = etree.fromstring(handle.XMLDesc(0)).find("devices")
    if devices is None:
        raise NoConsole("The server's domain has no devices.")
    if kind == "vnc":
        if devices.find("graphics[@type='vnc']") is None:
            raise NoConsole(
                "The server has no screen: its image says hw_video_model=none, or it was made"
                " before servers had one."
            )
        # Whoever gets this far was let in by the gate: there is no password besides.
        return handle.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
    source = devices.find("serial[@type='pty']/source")
    if source is None:
        raise NoConsole("The server has no serial console that can be attached to.")
    path = source.get("path", "")
    try:
        return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # It ended a moment ago, or its terminals are not this machine's.
        raise NoConsole("The server's serial console cannot be opened.", path=path) from error
