"""Types of what Byre uses of libvirt's QEMU-only calls."""

from libvirt import virDomain

def qemuAgentCommand(domain: virDomain, cmd: str, timeout: int, flags: int) -> str: ...
