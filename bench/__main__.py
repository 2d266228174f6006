"""Measurements, each a command that prints a table and a line of JSON.

    python -m bench fake [--servers 50] [--burst 200] [--database sqlite|postgresql]
    python -m bench real [--servers 5]
    python -m bench cache
    python -m bench fabric [--database sqlite|postgresql]
    python -m bench firewall [--servers 500]
    python -m bench ports [--servers 500]
    python -m bench upload [--gib 5] [--store directory|s3]

`fake` runs the whole control plane and one compute worker whose host answers at once: what is
measured is Byre itself. `real` boots guests under libvirt and QEMU; between any two of them the
same calls are made on the same host without Byre, so both meet the same machine. `fabric` puts
together what a full host is told of its security groups. `cache` times builds with an empty and
with a full image cache, and many at once, and counts what they read over the wire. `firewall` times
changes of a host's security groups, with so many ports. `ports` lets ports come and go on a real
libvirt's network, while it is empty and while it is full. `upload` sends a large image to a
real API and back, and looks at the memory of the API's process; `--store s3` keeps it in a
bucket of a Swift of its own.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cache import run_cache
from bench.fabric import run_fabric
from bench.fake import run_fake
from bench.firewall import run_firewall
from bench.ports import run_ports
from bench.real import run_real
from bench.upload import run_upload
from config.logs import setup_logs
from config.settings import CommonSettings

#: By name, with how many servers or ports each takes unless told.
MEASUREMENTS: dict[str, tuple[Callable[[argparse.Namespace, Path], dict[str, Any]], int]] = {
    "fake": (run_fake, 50),
    "real": (run_real, 5),
    "cache": (run_cache, 0),
    "fabric": (run_fabric, 0),
    "firewall": (run_firewall, 500),
    "ports": (run_ports, 500),
    "upload": (run_upload, 0),
}


def _print(result: dict[str, Any]) -> None:
    for key, value in result.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {number}" for name, number in value.items())  # noqa: PLW2901
        print(f"{key:22} {value}")
    print(json.dumps(result))


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("driver", choices=MEASUREMENTS)
    parser.add_argument("--servers", type=int)
    parser.add_argument("--gib", type=int, default=5)
    parser.add_argument("--store", choices=["directory", "s3"], default="directory")
    parser.add_argument("--burst", type=int, default=200)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    measure, count = MEASUREMENTS[options.driver]
    options.servers = options.servers or count
    setup_logs(CommonSettings(log_level="WARNING"))
    with tempfile.TemporaryDirectory(prefix="byre-bench-") as directory:
        _print(measure(options, Path(directory)))


if __name__ == "__main__":
    main()
