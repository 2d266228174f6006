"""What an upload and a download of a large image cost the API's process in memory."""

import argparse
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.plane import Client, bootstrap, database
from tests.object_stores import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SwiftServer
from tests.processes import Byre, RedisServer

GIB, MIB = 1024**3, 1024**2


def run_upload(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Upload a raw image from a sparse file over HTTP and fetch it again, watching the API."""
    with ExitStack() as stack:
        url = stack.enter_context(database(options.database, directory))
        broker = RedisServer(directory)
        byre = Byre(directory, url, broker)
        stack.callback(broker.stop)
        stack.callback(byre.stop)
        broker.start()
        small = directory / "small.raw"
        small.write_bytes(b"\x01" * MIB)
        bootstrap(byre, small, "raw")
        byre.control_environment.update(_store(options.store, directory, stack))
        byre.start_control(beat=False)
        client = Client(byre)
        # What a first request loads once is not the upload's.
        _transfer(client, small)
        before = _resident(byre)
        source = stack.enter_context(tempfile.NamedTemporaryFile(dir=directory, suffix=".raw"))
        source.truncate(options.gib * GIB)
        with _Watch(byre) as watch:
            up_s, down_s = _transfer(client, Path(source.name))
        return {
            "driver": "upload",
            "database": options.database,
            "store": options.store,
            "gib": options.gib,
            "rss_before_mib": round(before / MIB, 1),
            "rss_peak_mib": round(watch.peak / MIB, 1),
            "rss_growth_mib": round((watch.peak - before) / MIB, 1),
            "upload_s": round(up_s, 1),
            "download_s": round(down_s, 1),
        }


def _store(kind: str, directory: Path, stack: ExitStack) -> dict[str, str]:
    """Return the API's settings of the store; one in a bucket gets a server."""
    if kind == "directory":
        return {}
    swift = SwiftServer(directory)
    stack.callback(swift.stop)
    swift.start()
    swift.make_bucket()
    return {
        "BYRE_IMAGE_STORE": f"s3://{BUCKET}/bench?endpoint={swift.url}&region={REGION}",
        "BYRE_IMAGE_STORE_ACCESS_KEY": ACCESS_KEY,
        "BYRE_IMAGE_STORE_SECRET_KEY": SECRET_KEY,
        "BYRE_IMAGE_SPOOL_DIR": str(directory / "spool"),
    }


def _transfer(client: Client, path: Path) -> tuple[float, float]:
    """Upload, download and delete it; return how long the first two took, in seconds."""
    images = f"{client.url}/image/v2/images"
    body = {"name": path.name, "disk_format": "raw", "container_format": "bare"}
    made = client.http.post(images, json=body, timeout=30)
    made.raise_for_status()
    one = f"{images}/{made.json()['id']}"
    began = time.perf_counter()
    with path.open("rb") as source:
        headers = {"Content-Type": "application/octet-stream"}
        client.http.put(f"{one}/file", data=source, headers=headers, timeout=900).raise_for_status()
    up_s = time.perf_counter() - began
    began = time.perf_counter()
    with client.http.get(f"{one}/file", stream=True, timeout=900) as answer:
        answer.raise_for_status()
        length = sum(map(len, answer.iter_content(MIB)))
    if length != path.stat().st_size:
        raise RuntimeError(f"{length} bytes came back")
    client.http.delete(one, timeout=60).raise_for_status()
    return up_s, time.perf_counter() - began


class _Watch:
    """Looks every 20 ms how much memory the API has, and remembers the most."""

    def __init__(self, byre: Byre) -> None:
        self.peak = 0
        self._byre = byre
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.02):
            self.peak = max(self.peak, _resident(self._byre))


def _resident(byre: Byre) -> int:
    """Return the resident memory of the API's processes, in bytes."""
    process = byre.programs["api"].process
    return _tree(process.pid) if process else 0


def _tree(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1]) * 1024 + sum(_tree(int(child)) for child in children)
