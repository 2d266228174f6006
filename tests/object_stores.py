"""An object store of one's own: OpenStack Swift, which speaks S3 to whom it is told to."""

import os
import pwd
import socket
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path

from boto3.session import Session

from tests.processes import Program, free_port, wait_until

#: Debian's, since Swift is Debian's: not that of our virtual environment.
_PYTHON = "/usr/bin/python3"

#: What Debian's programs of the same names do. These bring services that start with the machine;
#: the library alone brings none.
_SERVE = """
import sys
from swift.common.utils import set_swift_dir
set_swift_dir(sys.argv[1])
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[2], sys.argv[3], verbose=True))
"""

#: One ring of one device.
_RING = """
import sys
from swift.common.ring import RingBuilder
path, port = sys.argv[1], int(sys.argv[2])
builder = RingBuilder(2, 1, 0)
builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk",
                 "weight": 1, "replication_ip": "127.0.0.1", "replication_port": port})
builder.rebalance()
builder.get_ring().save(path)
"""

_SWIFT = """\
[swift-hash]
swift_hash_path_suffix = byre
swift_hash_path_prefix = byre
[storage-policy:0]
name = one
default = yes
"""

_COMMON = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {directory}
devices = {directory}/devices
mount_check = false
disable_fallocate = true
workers = 0
log_level = WARNING
"""

_PROXY = """\
[pipeline:main]
pipeline = catch_errors cache listing_formats s3api tempauth bulk slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:catch_errors]
use = egg:swift#catch_errors
# Tempauth will not work without one, and keeps nothing in it of who comes by S3: nobody listens.
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""

_STORAGE = """\
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

ACCESS_KEY, SECRET_KEY, REGION = "test:tester", "testing", "us-east-1"
BUCKET = "byre"


class SwiftServer:
    """Swift's proxy and the three servers behind it, on loopback, with all that they keep below
    one directory; its file system must have extended attributes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "swift"
        (self._directory / "devices" / "disk").mkdir(parents=True)
        (self._directory / "swift.conf").write_text(_SWIFT)
        #: Each with its port, the proxy last.
        self._programs: list[tuple[Program, int]] = []
        for name in ("account", "container", "object"):
            self._add(name, _STORAGE.format(name=name))
            ring = self._directory / f"{name}.ring.gz"
            subprocess.run([_PYTHON, "-c", _RING, ring, str(self._programs[-1][1])], check=True)
        self._add("proxy", _PROXY)

    @property
    def url(self) -> str:
        """Its endpoint for S3."""
        return f"http://127.0.0.1:{self._programs[-1][1]}"

    def start(self) -> None:
        """Start what does not run; returns when it answers."""
        for program, _ in self._programs:
            if not program.alive():
                program.start()
        for program, port in self._programs:
            wait_until(partial(_answers, program, port), program.name, 30)

    def make_bucket(self) -> None:
        """Make the bucket. Can be repeated."""
        session = Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
        session.client("s3", endpoint_url=self.url).create_bucket(Bucket=BUCKET)

    def stop(self) -> None:
        """End it; its data stay until their directory goes."""
        for program, _ in reversed(self._programs):
            program.kill()

    def _add(self, name: str, config: str) -> None:
        port, path = free_port(), self._directory / f"{name}-server.conf"
        user = pwd.getpwuid(os.geteuid()).pw_name
        common = _COMMON.format(port=port, user=user, directory=self._directory)
        path.write_text(common + config)
        command = [_PYTHON, "-c", _SERVE, str(self._directory), str(path), f"{name}-server"]
        log = self._directory / f"{name}.log"
        self._programs.append((Program(f"swift-{name}", command, {}, log), port))


def _answers(program: Program, port: int) -> bool:
    if not program.alive():
        raise RuntimeError(f"{program.name} ended:\n{program.log.read_text()[-3000:]}")
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
