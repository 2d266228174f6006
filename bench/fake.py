"""From POST to ACTIVE with the fake driver: Byre itself, one server at a time and in a burst."""

import argparse
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.plane import (
    Client,
    bootstrap,
    cpu_seconds,
    database,
    flavor_of,
    summary,
    wait_for_host,
)
from tests.processes import Byre, RedisServer


def run_fake(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure Byre itself: one server at a time, then a burst."""
    with ExitStack() as stack:
        url = stack.enter_context(database(options.database, directory))
        broker = RedisServer(directory)
        byre = Byre(directory, url, broker)
        stack.callback(broker.stop)
        stack.callback(byre.stop)
        broker.start()
        image = directory / "blank.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "64M"], check=True)
        image_id = bootstrap(byre, image)
        byre.start_control()
        byre.start_compute("fake-1", BYRE_FAKE_VCPUS="1024", BYRE_FAKE_MEMORY_MIB="4194304")
        client = Client(byre)
        flavor_id = flavor_of(client)
        wait_for_host(byre)
        _one_by_one(client, image_id, flavor_id, 5)  # imports, connections, caches
        before = cpu_seconds(byre)
        posts, totals = _one_by_one(client, image_id, flavor_id, options.servers)
        cpu = {
            name: (used - before[name]) / options.servers
            for name, used in cpu_seconds(byre).items()
        }
        burst_s = _burst(byre, image_id, flavor_id, options.burst)
        return {
            "driver": "fake",
            "database": options.database,
            "servers": options.servers,
            "post_ms": summary(posts),
            "active_ms": summary(totals),
            "cpu_s_per_server": round(sum(cpu.values()), 4),
            "cpu_s_by_process": {name: round(used, 4) for name, used in cpu.items()},
            "burst": options.burst,
            "burst_servers_per_s": round(options.burst / burst_s, 1),
        }


def _one_by_one(
    client: Client, image_id: str, flavor_id: str, count: int
) -> tuple[list[float], list[float]]:
    posts, totals = [], []
    for number in range(count):
        began = time.perf_counter()
        server_id, took = client.create(image_id, flavor_id, f"bench-{number}")
        client.wait_active(server_id, pause_s=0.01)
        posts.append(took)
        totals.append(time.perf_counter() - began)
    return posts, totals


def _burst(byre: Byre, image_id: str, flavor_id: str, count: int) -> float:
    clients = [Client(byre) for _ in range(16)]

    def one(number: int) -> str:
        return clients[number % 16].create(image_id, flavor_id, f"burst-{number}")[0]

    began = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        servers = set(pool.map(one, range(count)))
    listing = "/compute/v2.1/servers/detail?limit=1000&status=BUILD"
    for _ in range(6000):
        building = {s["id"] for s in clients[0].get(listing)["servers"]}
        if not building & servers:
            break
        time.sleep(0.05)
    took = time.perf_counter() - began
    failed = clients[0].get("/compute/v2.1/servers/detail?limit=1000&status=ERROR")["servers"]
    if failed:
        raise RuntimeError(f"{len(failed)} servers failed: {failed[0]['fault']['message']}")
    return took
