"""What both measurements need: a control plane with a user and an image, and its cost in CPU."""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.databases import PostgresServer
from tests.processes import Byre, wait_until

PASSWORD = "only-for-this-benchmark"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Client:
    """A user with a token and one HTTP connection."""

    def __init__(self, byre: Byre, user: str = "demo") -> None:
        self.url = byre.api_url
        self.http = requests.Session()
        self.http.headers["X-Auth-Token"] = self._token(user)

    def _token(self, user: str) -> str:
        domain = {"id": "default"}
        who = {"user": {"name": user, "password": PASSWORD, "domain": domain}}
        scope = {"project": {"name": user, "domain": domain}}
        identity = {"methods": ["password"], "password": who}
        answer = self.http.post(
            f"{self.url}/identity/v3/auth/tokens",
            json={"auth": {"identity": identity, "scope": scope}},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.headers["X-Subject-Token"]

    def get(self, path: str) -> dict[str, Any]:
        """Return what is at the path. Raises HTTPError."""
        answer = self.http.get(self.url + path, timeout=30)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def create(self, image_id: str, flavor_id: str, name: str) -> tuple[str, float]:
        """Ask for a server; return its id and how long the answer took, in seconds."""
        body = {"server": {"name": name, "imageRef": image_id, "flavorRef": flavor_id}}
        began = time.perf_counter()
        answer = self.http.post(f"{self.url}/compute/v2.1/servers", json=body, timeout=60)
        took = time.perf_counter() - began
        answer.raise_for_status()
        return answer.json()["server"]["id"], took

    def delete(self, server_id: str) -> None:
        """Delete the server and wait until it is gone."""
        path = f"{self.url}/compute/v2.1/servers/{server_id}"
        self.http.delete(path, timeout=30)
        wait_until(lambda: self.http.get(path, timeout=30).status_code == 404, "the end", 60)

    def wait_active(self, server_id: str, pause_s: float) -> None:
        """Wait until the server is ACTIVE. Raises RuntimeError if it fails."""
        for _ in range(int(300 / pause_s)):
            server = self.get(f"/compute/v2.1/servers/{server_id}")["server"]
            if server["status"] == "ACTIVE":
                return
            if server["status"] == "ERROR":
                raise RuntimeError(server["fault"]["message"])
            time.sleep(pause_s)
        raise RuntimeError(f"server {server_id} is not up after 300 s")


def cpu_seconds(byre: Byre) -> dict[str, float]:
    """Return the CPU time used so far by each of Byre's processes, with its children, and Redis."""
    programs = {**byre.programs, "redis": byre.broker.program}
    return {
        name: _cpu_of_tree(program.process.pid)
        for name, program in programs.items()
        if program.process is not None
    }


def _cpu_of_tree(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return own + sum(_cpu_of_tree(int(child)) for child in children)
    return 0.0


def bootstrap(byre: Byre, image: Path, disk_format: str = "qcow2") -> str:
    """Make the database, a user without limits, and the image; return the image's id."""
    passwords = {f"BYRE_BOOTSTRAP_{who}_PASSWORD": PASSWORD for who in ("ADMIN", "DEMO")}
    byre.control_environment.update(
        dict.fromkeys(("BYRE_QUOTA_SERVERS", "BYRE_QUOTA_VCPUS", "BYRE_QUOTA_MEMORY_MIB"), "-1")
    )

    def run(*words: str) -> str:
        environment = {**os.environ, **byre.control_environment, **passwords}
        command = [sys.executable, "-m", "app.cli", *words]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        ).stdout

    run("db", "upgrade")
    # Room for as many servers as anybody measures with.
    run("bootstrap", "--clouds", str(byre.directory / "clouds.yaml"), "--cidr", "10.77.0.0/16")
    properties = ("byre_boot_proof=console", "byre_boot_text=login:")
    options = [word for one in properties for word in ("--property", one)]
    options += ["--name", "bench", "--disk-format", disk_format, "--public"]
    return run("image", "import", str(image), *options).split()[-1]


@contextlib.contextmanager
def database(kind: str, directory: Path) -> Iterator[str]:
    """Give the URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{directory}/byre.db"
        return
    server = PostgresServer()
    try:
        server.start()
        yield server.make_database()
    finally:
        server.stop()


def flavor_of(client: Client) -> str:
    """Return the id of the flavor that is measured with."""
    flavors = client.get("/compute/v2.1/flavors")["flavors"]
    return str(next(flavor["id"] for flavor in flavors if flavor["name"] == "m1.nano"))


def wait_for_host(byre: Byre) -> None:
    """Wait until a hypervisor has registered."""
    admin = Client(byre, "admin")
    path = "/compute/v2.1/os-hypervisors"
    wait_until(lambda: admin.get(path)["hypervisors"], "the hypervisor", 60)


def summary(seconds: list[float]) -> dict[str, float]:
    """Return median and 95th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "median": round(statistics.median(ordered) * 1000, 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1000, 1),
    }
