"""What the image cache of a host costs and saves: cold and warm builds in each format, and many
builds at once, with real files, the real API over HTTP, and libvirt making the disks."""

import argparse
import contextlib
import hashlib
import os
import random
import socket
import statistics
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

from app.runs import tickets
from bench.plane import Client, bootstrap
from config.settings import ControlSettings
from tasks.messages import ImageSource
from tests.drivers.libvirtd import PrivateHost
from tests.processes import SECRET_KEY, Byre, RedisServer
from workers.hypervisor.image_cache import CacheFormat, CacheRules
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings

_MIB = 1024**2
#: The guest's disk, and how much of it is full: about what a distribution's cloud image has.
_DISK_MIB, _FULL_MIB = 2048, 384
_BUILDS, _PROCESSES = 20, 2
_WARM = 7
_READS = 5
_PIECE = 65536


@dataclass
class CountingProxy:
    """Passes TCP on to the API, and counts what comes back."""

    target: tuple[str, int]
    received: int = 0
    connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        """Serve while the block runs; give the port."""
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield listener.getsockname()[1]

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self.target)
                self.connections += 1
                for pair in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:  # noqa: FBT001
        with contextlib.suppress(OSError):
            while data := source.recv(_MIB):
                target.sendall(data)
                if counted:
                    with self._lock:
                        self.received += len(data)
            target.shutdown(socket.SHUT_WR)


def run_cache(_: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure cold and warm builds, and parallel ones."""
    with ExitStack() as stack:
        broker = RedisServer(directory)
        byre = Byre(directory, f"sqlite:///{directory}/byre.db", broker)
        stack.callback(broker.stop)
        stack.callback(byre.stop)
        broker.start()
        files = _make_images(directory)
        bootstrap(byre, files["compressed"])
        byre.start_control(beat=False)
        host = PrivateHost(directory / "host", f"byre-b{os.getpid()}")
        (directory / "host").mkdir()
        stack.callback(host.stop)
        host.start()
        proxy = CountingProxy((byre.address, byre.api_port))
        port = stack.enter_context(proxy.serving())
        sources = _uploaded(Client(byre), files, port)
        result: dict[str, Any] = {"disk": f"{_DISK_MIB} MiB, {_FULL_MIB} MiB of it full"}
        for kind, source in sources.items():
            for stored_as in get_args(CacheFormat):
                named = f"{kind} {stored_as}"
                result[named] = _one_by_one(host, directory, source, stored_as)
        result["at once"] = _at_once(host, directory, sources, proxy)
        return result


def _make_images(directory: Path) -> dict[str, Path]:
    """Make one disk's content as three kinds of images. Its bytes compress by about half, as
    programs do."""
    pieces = random.Random(1)  # noqa: S311 - not a secret
    raw = directory / "disk.raw"
    with raw.open("wb") as file:
        for _ in range(_FULL_MIB * _MIB // _PIECE):
            file.write(pieces.randbytes(_PIECE // 2) + b"text" * (_PIECE // 8))
        file.truncate(_DISK_MIB * _MIB)
    found = {"raw": raw}
    for kind, options in (("compressed", ["-c"]), ("qcow2", [])):
        path = found[kind] = directory / f"{kind}.qcow2"
        words = ["convert", "-f", "raw", "-O", "qcow2", *options, str(raw), str(path)]
        subprocess.run(["qemu-img", *words], check=True)
    return found


def _uploaded(client: Client, files: dict[str, Path], port: int) -> dict[str, ImageSource]:
    """Upload the images; return what hypervisors are told of them, by way of the proxy."""
    settings = ControlSettings(
        secret_key=SECRET_KEY,
        internal_api_url=f"http://127.0.0.1:{port}",
    )
    found = {}
    for kind, path in files.items():
        disk_format = "raw" if kind == "raw" else "qcow2"
        record = {"name": kind, "disk_format": disk_format, "container_format": "bare"}
        images = f"{client.url}/image/v2/images"
        answer = client.http.post(images, json=record, timeout=30)
        answer.raise_for_status()
        image_id = answer.json()["id"]
        octets = {"Content-Type": "application/octet-stream"}
        with path.open("rb") as file:
            where = f"{images}/{image_id}/file"
            client.http.put(where, data=file, headers=octets, timeout=600).raise_for_status()
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[kind] = ImageSource.parse(
            {
                "image_id": image_id,
                "disk_format": disk_format,
                "url": tickets.image_url(settings, image_id, time.time() + 3600),
                "sha256": digest,
                "size_bytes": path.stat().st_size,
            }
        )
    return found


def _driver(host: PrivateHost, below: Path, stored_as: CacheFormat) -> LibvirtHypervisor:
    return LibvirtHypervisor(
        LibvirtSettings(
            uri=host.uri,
            storage_dir=below / "storage",
            state_dir=below / "state",
            console_dir=below / "console",
            pool_name=below.name,
            acceleration="qemu",
            image_cache=CacheRules(stored_as=stored_as, floor_bytes=0),
        )
    )


def _one_by_one(
    host: PrivateHost, directory: Path, source: ImageSource, stored_as: CacheFormat
) -> dict[str, float]:
    """Return times of a first build and of later ones, what the image takes up, and how fast a
    guest's disk over it can be read."""
    below = directory / f"p{uuid.uuid4().hex[:8]}"
    driver = _driver(host, below, stored_as)
    try:
        cold, disk = _build(driver, source)
        warm = statistics.median(_build(driver, source)[0] for _ in range(_WARM))
        (cached,) = driver.cached_images()
        return {
            "cold_ms": round(cold * 1000),
            "warm_ms": round(warm * 1000, 1),
            "takes_mib": round(cached.allocated_bytes / _MIB),
            "read_mib_s": _read_speed(disk),
        }
    finally:
        driver.close()


def _build(driver: LibvirtHypervisor, source: ImageSource) -> tuple[float, str]:
    """Have the image and a disk over it, as a build has. Return the seconds and the path."""
    began = time.perf_counter()
    driver.ensure_image(source)
    disk = driver.ensure_root_disk(str(uuid.uuid4()), source, 4)
    return time.perf_counter() - began, disk.path


def _read_speed(disk: str) -> float:
    """Read what is full of the disk from its beginning, some times."""
    return round(_FULL_MIB / statistics.median(_read(disk) for _ in range(_READS)))


def _read(disk: str) -> float:
    words = ["qemu-io", "-f", "qcow2", "-r", "-c", f"read -q 0 {_FULL_MIB}M", disk]
    began = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _at_once(
    host: PrivateHost, directory: Path, sources: dict[str, ImageSource], proxy: CountingProxy
) -> dict[str, float]:
    """Build from several processes and threads at once what is not in the cache."""
    below, source = directory / "atonce", sources["compressed"]
    first = _driver(host, below, "as_is")
    # Has libvirt's pool made, by a build of another image.
    _build(first, sources["qcow2"])
    first.close()
    before, connections = proxy.received, proxy.connections
    began = time.perf_counter()
    work = (host.uri, str(below), source.model_dump_json(), _BUILDS // _PROCESSES)
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as processes:
        several = [processes.submit(_build_several, *work) for _ in range(_PROCESSES)]
        times = [seconds for one in several for seconds in one.result()]
    return {
        "builds": _BUILDS,
        "processes": _PROCESSES,
        "slowest_ms": round(max(times) * 1000),
        "all_ms": round((time.perf_counter() - began) * 1000),
        "connections": proxy.connections - connections,
        "wire_mib": round((proxy.received - before) / _MIB, 2),
        "image_mib": round(source.size_bytes / _MIB, 2),
    }


def _build_several(uri: str, below: str, spoken: str, count: int) -> list[float]:
    """Run in a process of its own, as a second worker would."""
    source = ImageSource.model_validate_json(spoken)
    settings = LibvirtSettings(
        uri=uri,
        storage_dir=Path(below) / "storage",
        state_dir=Path(below) / "state",
        console_dir=Path(below) / "console",
        pool_name=Path(below).name,
        acceleration="qemu",
    )
    driver = LibvirtHypervisor(settings)
    try:
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: _build(driver, source)[0], range(count)))
    finally:
        driver.close()
