"""A guest under plain QEMU, without KVM: its console, SSH, agent and power button."""

import json
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.processes import free_port, wait_until
from workers.hypervisor.config_drive import write_config_drive

#: Far above what a boot takes, so that a busy machine fails no test.
BOOT_LIMIT_S = 60.0
REPLY_LIMIT_S = 20.0
MEMORY_MIB = 192

#: How a config drive may be attached; the guest's kernel knows no SATA.
AS_VIRTIO_DISK = ("-device", "virtio-blk-pci,drive=config")
AS_SCSI_CDROM = ("-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=config")


def make_overlay(image: Path, directory: Path, size_gib: int = 1) -> Path:
    """Make a disk above the image, larger than it, as a server has one."""
    disk = directory / "disk.qcow2"
    backing = ["-b", str(image), "-F", "qcow2"]
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(disk), f"{size_gib}G"]
    subprocess.run(command, check=True)
    return disk


def make_config_drive(
    directory: Path, meta: Mapping[str, object], user_data: str, content: str = ""
) -> Path:
    """Make a config drive as a hypervisor does; `content` is of the first file of `meta`."""
    drive = directory / "config.iso"
    files = {
        "openstack/latest/meta_data.json": json.dumps(meta).encode(),
        "openstack/latest/user_data": user_data.encode(),
    }
    if content:
        files["openstack/content/0000"] = content.encode()
    write_config_drive(drive, files)
    return drive


def make_key(directory: Path) -> Path:
    """Make an SSH key without passphrase; its public half has the suffix .pub."""
    key = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


class Machine:
    """A running guest; as a context manager it is gone at the end, however that comes."""

    def __init__(
        self,
        disk: Path,
        config_drive: Path | None = None,
        attachment: Sequence[str] = AS_VIRTIO_DISK,
    ) -> None:
        self.directory = disk.parent
        self.ssh_port = free_port()
        command = [*self._hardware(disk), *self._channels()]
        if config_drive is not None:
            drive = f"id=config,if=none,format=raw,readonly=on,file={config_drive}"
            command += ["-drive", drive, *attachment]
        self._log.write_bytes(b"")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()

    def _hardware(self, disk: Path) -> list[str]:
        network = f"user,id=net,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        return [
            *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-m", str(MEMORY_MIB)),
            *("-nodefaults", "-display", "none", "-serial", f"file:{self._log}"),
            # The firmware would otherwise try whichever disk has the lower slot.
            *("-drive", f"id=disk,if=none,format=qcow2,file={disk}"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=1"),
            *("-netdev", network, "-device", "virtio-net-pci,netdev=net"),
            *("-device", "virtio-rng-pci"),
        ]

    def _channels(self) -> list[str]:
        agent = f"socket,id=agent,server=on,wait=off,path={self.directory}/agent"
        return [
            *("-device", "virtio-serial", "-chardev", agent),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-monitor", f"unix:{self.directory}/monitor,server=on,wait=off"),
        ]

    @property
    def _log(self) -> Path:
        return self.directory / "console.log"

    def console(self) -> str:
        """Return all that the guest has printed since it was switched on."""
        return self._log.read_text(errors="replace")

    def wait_for_login(self) -> float:
        """Wait for the login prompt; return the seconds. Raises AssertionError with the console."""
        started = time.monotonic()
        while "login:" not in self.console():
            waited_s = time.monotonic() - started
            assert self.process.poll() is None, f"QEMU ended:\n{self.console()}"
            assert waited_s < BOOT_LIMIT_S, f"no login prompt:\n{self.console()}"
            time.sleep(0.1)
        return time.monotonic() - started

    def ssh(self, user: str, key: Path, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, with the key and nothing else to log in."""
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=accept-new"]
        options += [f"UserKnownHostsFile={self.directory}/known_hosts", "LogLevel=ERROR"]
        words = ["ssh", "-F", "none", "-p", str(self.ssh_port), "-i", str(key)]
        for option in options:
            words += ["-o", option]
        return subprocess.run(
            [*words, f"{user}@127.0.0.1", command],
            capture_output=True,
            text=True,
            timeout=REPLY_LIMIT_S,
            check=False,
        )

    def ask_agent(self, command: str, **arguments: object) -> Any:
        """Return what the guest agent answers. Raises TimeoutError without an answer."""
        request = json.dumps({"execute": command, "arguments": arguments})
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(REPLY_LIMIT_S)
            channel.connect(f"{self.directory}/agent")
            channel.sendall(request.encode() + b"\n")
            with channel.makefile() as replies:
                return json.loads(replies.readline())["return"]

    def press_power_button(self) -> None:
        """Press the ACPI power button; returns when the guest has switched itself off."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(f"{self.directory}/monitor")
            monitor.sendall(b"system_powerdown\n")
            wait_until(lambda: self.process.poll() is not None, "power off", REPLY_LIMIT_S)
