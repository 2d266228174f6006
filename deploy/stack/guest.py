"""The guest image: built once from Debian packages, and given to Byre."""

import shutil
import subprocess
from pathlib import Path

from deploy.stack.layout import ROOT, Layout
from deploy.stack.libvirt import run
from deploy.stack.parts import Stack, program
from deploy.stack.say import Failure, step

IMAGE_NAME = "byre-guest"
#: What the image's guest can prove, and how the server is judged to be up by it.
PROPERTIES = (
    "hw_qemu_guest_agent=yes",
    "byre_boot_proof=console",
    "byre_boot_text=login:",
    "os_distro=byre-guest",
)
#: The guest boots in seconds; a build that fetches its packages takes a minute.
BUILD_LIMIT_S = 600
LINES_SHOWN = 20


def ensure_guest_image(stack: Stack) -> None:
    """Build the image file if it is not there. Raises Failure."""
    layout = stack.layout
    if stack.uses_libvirt:
        if not (layout.guest_image.exists() and layout.probe_kernel.exists()):
            with step("image", "built from Debian packages"):
                _build(layout)
    elif not layout.guest_image.exists():
        layout.guest_image.parent.mkdir(parents=True, exist_ok=True)
        _checked(["qemu-img", "create", "-q", "-f", "qcow2", str(layout.guest_image), "64M"], 30)


def import_guest_image(stack: Stack) -> None:
    """Give the image to Byre, for all projects. Raises Failure."""
    properties = [word for value in PROPERTIES for word in ("--property", value)]
    command = [program("byre"), "image", "import", str(stack.layout.guest_image)]
    command += ["--name", IMAGE_NAME, "--public", *properties]
    with step("image", f"{IMAGE_NAME}, for all projects"):
        byre(stack, command)


def byre(stack: Stack, command: list[str]) -> None:
    """Run a command of `byre` with the stack's settings. Raises Failure."""
    result = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=stack.environ(),
        cwd=ROOT,
        timeout=300,
    )
    if result.returncode != 0:
        raise _failed(command, result)


def _build(layout: Layout) -> None:
    kernel = layout.probe_kernel
    for directory in (layout.guest_image.parent, kernel.parent):
        directory.mkdir(parents=True, exist_ok=True)
    built_kernel = layout.guest_image.with_name("vmlinuz")
    build = [str(ROOT / "guest" / "build"), str(layout.guest_image)]
    _checked([*build, "--kernel-out", str(built_kernel)], BUILD_LIMIT_S)
    _publish(built_kernel, kernel)


def _publish(source: Path, target: Path) -> None:
    """Copy whole or not at all; readable for QEMU's user."""
    partial = target.with_name(target.name + ".new")
    shutil.copyfile(source, partial)
    partial.chmod(0o644)
    partial.replace(target)


def _checked(command: list[str], limit_s: float) -> None:
    result = run(command, limit_s)
    if result.returncode != 0:
        raise _failed(command, result)


def _failed(command: list[str], result: subprocess.CompletedProcess[str]) -> Failure:
    lines = (result.stdout + result.stderr).rstrip().splitlines()[-LINES_SHOWN:]
    return Failure("\n".join([f"{' '.join(command)} failed:", *lines]))
