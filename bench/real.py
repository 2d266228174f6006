"""From POST to ACTIVE with real boots, and the same calls made directly, in turn on one host."""

import argparse
import contextlib
import os
import statistics
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.plane import Client, bootstrap, flavor_of, summary, wait_for_host
from tasks.messages import BootProof, BuildSpec, DomainSpec, Job
from tests.drivers.images import ImageServer
from tests.drivers.libvirtd import PrivateHost
from tests.lab.bridge import GATEWAY, LabBridge
from tests.processes import Byre, RedisServer, wait_until
from tests.tasks.values import make_build, make_job
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings

#: The network of the raw boots, apart from Byre's.
_RAW_NETWORK = str(uuid.uuid4())


def run_real(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure real boots with Byre and the same calls without, in turn."""
    with ExitStack() as stack:
        bridge = stack.enter_context(LabBridge())
        broker = RedisServer(directory, [GATEWAY, "127.0.0.1"])
        byre = Byre(directory, f"sqlite:///{directory}/byre.db", broker)
        stack.callback(broker.stop)
        stack.callback(byre.stop)
        broker.start()
        image = directory / "guest.qcow2"
        subprocess.run([Path(__file__).parents[1] / "guest" / "build", image], check=True)
        image_id = bootstrap(byre, image)
        byre.start_control()
        (directory / "host").mkdir()
        host = PrivateHost(directory / "host", f"byre-b{os.getpid()}")
        stack.callback(host.stop)
        host.start()
        bridge.join(host, 0)
        worker = {"BYRE_DRIVER": "libvirt", "BYRE_ACCELERATION": "qemu"}
        byre.start_compute("bench-1", host.command(), BYRE_LIBVIRT_URI=host.uri, **worker)
        client = Client(byre)
        flavor_id = flavor_of(client)
        wait_for_host(byre)
        driver = LibvirtHypervisor(_raw_settings(host, directory))
        stack.callback(driver.close)
        # Made inside: the raw calls fetch their image, and give back leases, on the host's network.
        with host.entered():
            raw = Raw(driver, image)
        with_byre, without, stages = [], [], []
        for number in range(options.servers + 1):
            began = time.perf_counter()
            server_id, _ = client.create(image_id, flavor_id, f"bench-{number}")
            client.wait_active(server_id, pause_s=0.2)
            with_byre.append(time.perf_counter() - began)
            stages.append(client.get(f"/byre/v1/servers/{server_id}/run")["run"]["stages"])
            client.delete(server_id)
            with host.entered():
                without.append(raw.boot())
        # The first of each fetches the image: told apart.
        warm_byre, warm_raw = statistics.median(with_byre[1:]), statistics.median(without[1:])
        return {
            "driver": "libvirt, QEMU without KVM",
            "servers": options.servers,
            "first_active_ms": round(with_byre[0] * 1000),
            "active_ms": summary(with_byre[1:]),
            "raw_ms": summary(without[1:]),
            "added_percent": round((warm_byre / warm_raw - 1) * 100, 1),
            "stages_ms": {
                stage["name"]: round(
                    statistics.median(s[i]["duration_ms"] or 0 for s in stages[1:]), 1
                )
                for i, stage in enumerate(stages[0])
            },
        }


class Raw:
    """The calls of the four compute stages, made directly."""

    def __init__(self, driver: LibvirtHypervisor, image: Path) -> None:
        self._driver = driver
        self._server = ImageServer(image.read_bytes())
        self._number = 10

    def boot(self) -> float:
        """Build, start, wait for the login prompt, remove; return the seconds until the prompt."""
        build, job = self._build()
        began = time.perf_counter()
        with _served(self._server):
            domain = self._make(build, job)
        self._driver.define(job, domain)
        self._driver.start(job.server_id)
        wait_until(lambda: self._is_up(job, build), "the raw guest", 300)
        took = time.perf_counter() - began
        self._driver.remove_domain(job.server_id)
        self._driver.remove_ports(job.server_id, build.ports)
        self._driver.remove_disks(job.server_id)
        return took

    def _is_up(self, job: Job, build: BuildSpec) -> bool:
        time.sleep(0.2)
        return "login:" in self._driver.observe(job.server_id, build.ports).console

    def _make(self, build: BuildSpec, job: Job) -> DomainSpec:
        for port in build.ports:
            self._driver.ensure_port(build.networks[0], port, "raw")
        self._driver.ensure_image(build.image)
        disks = [
            self._driver.ensure_root_disk(job.server_id, build.image, 1),
            self._driver.ensure_config_drive(
                job.server_id, job.project_id, build.first_boot, build.networks, build.ports
            ),
        ]
        return DomainSpec(machine=build.machine, disks=disks, ports=build.ports, boot=build.boot)

    def _build(self) -> tuple[BuildSpec, Job]:
        self._number += 1
        build = make_build(proof="console", text="login:")
        network = build.networks[0].model_copy(update={"network_id": _RAW_NETWORK})
        port = build.ports[0].model_copy(
            update={
                "port_id": str(uuid.uuid4()),
                "network_id": _RAW_NETWORK,
                "mac": f"fa:16:3e:00:00:{self._number:02x}",
                "address": f"10.9.0.{self._number}",
            }
        )
        boot = BootProof(proof="console", console_text="login:", limit_s=300.0)
        changed = {
            "image": self._server.source(),
            "networks": [network],
            "ports": [port],
            "boot": boot,
        }
        return build.model_copy(update=changed), make_job(deadline=time.time() + 600)


@contextlib.contextmanager
def _served(server: Any) -> Iterator[None]:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever, 0.01)
        try:
            yield
        finally:
            server.shutdown()


def _raw_settings(host: PrivateHost, directory: Path) -> LibvirtSettings:
    below = directory / "raw"
    return LibvirtSettings(
        uri=host.uri,
        storage_dir=below / "storage",
        state_dir=below / "state",
        console_dir=below / "console",
        pool_name="raw",
        acceleration="qemu",
    )
