"""qemu-img, kept within limits, and never left to guess a format.

Each call names the format of what it reads: a guest's or a stranger's bytes decide nothing. The
kernel bounds its memory, its processor time and the length of what it writes.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import HostError, HostFull

#: As much memory as Nova's tool may use is too little for reading many compressed clusters.
_MEMORY_BYTES = 2 * 1024**3
_SAID_LIMIT = 500
_SLACK_BYTES = 64 * 1024**2
_NO_SPACE = "No space left on device"


def bytes_needed(source: Path, source_format: str, target_format: str, limit_s: float) -> int:
    """Return how many bytes the converted image will take up. Raises HostError."""
    words = ["measure", "--output=json", "-f", source_format, "-O", target_format, str(source)]
    return int(json.loads(_run(words, limit_s, writes_bytes=_SLACK_BYTES))["required"])


def convert(
    source: Path,
    source_format: str,
    target: Path,
    target_format: str,
    *,
    longest_bytes: int,
    limit_s: float,
) -> None:
    """Write the source's disk into the target, without what is zero, and flush it. No image of a
    disk of `longest_bytes` is longer than what is allowed. Raises HostFull, HostError."""
    words = ["convert", "-q", "-f", source_format, "-O", target_format, str(source), str(target)]
    # The tables of a qcow2 image add a thousandth.
    _run(words, limit_s, writes_bytes=longest_bytes + longest_bytes // 512 + _SLACK_BYTES)
    file = os.open(target, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _run(words: Sequence[str], limit_s: float, *, writes_bytes: int) -> str:
    limits = (f"--as={_MEMORY_BYTES}", f"--cpu={int(limit_s) + 1}", f"--fsize={writes_bytes}")
    try:
        done = subprocess.run(
            ["prlimit", *limits, "--core=0", "qemu-img", *words],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise HostError("The host lacks the program prlimit.") from error
    except subprocess.TimeoutExpired as error:
        raise HostError("The image's conversion took too long.") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace")[-_SAID_LIMIT:]
        kind = HostFull if _NO_SPACE in said else HostError
        raise kind("The image could not be converted.", problem=said) from error
    return done.stdout.decode()
