"""Two processes of the API, as on two machines: they share a database and a bucket only."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.http.test_serving import ALICE, MIB, OCTETS, Running, SizedSource, peak_mib
from tests.object_stores import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SwiftServer
from tests.processes import wait_until

IMAGES = "image/v2/images"


@pytest.fixture
def both(tmp_path: Path, swift: SwiftServer) -> Iterator[tuple[Running, Running]]:
    with ExitStack() as stack:
        yield (
            one(tmp_path / "a", None, swift, stack),
            one(tmp_path / "b", tmp_path / "a", swift, stack),
        )


def one(directory: Path, world: Path | None, swift: SwiftServer, stack: ExitStack) -> Running:
    directory.mkdir()
    settings = {
        "BYRE_IMAGE_STORE": f"s3://{BUCKET}/two?endpoint={swift.url}&region={REGION}",
        # By the environment of AWS' tools, as boto3 looks for them.
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "BYRE_IMAGE_SPOOL_DIR": str(directory / "spool"),
    }
    running = Running(directory, world, **settings)
    running.program.start()
    stack.callback(running.program.stop)
    wait_until(running.answers, "the API", 20)
    return running


def test_what_one_takes_the_other_gives_and_neither_holds_it(both: tuple[Running, Running]) -> None:
    here, there = both
    size = 160 * MIB
    # What a first request loads once is not the upload's.
    requests.delete(f"{here.url}/{IMAGES}/{there.make_image()}", headers=ALICE, timeout=20)
    path = f"{IMAGES}/{here.make_image()}"
    before = [peak_mib(running) for running in both]

    put = requests.put(
        f"{here.url}/{path}/file", data=SizedSource(size), headers=OCTETS, timeout=120
    )

    assert put.status_code == 204, put.text
    asked = {**ALICE, "Range": f"bytes={size - 5}-"}
    rest = requests.get(f"{there.url}/{path}/file", headers=asked, timeout=20)
    assert (rest.status_code, rest.content) == (206, b"\x01" * 5)
    with requests.get(f"{there.url}/{path}/file", headers=ALICE, timeout=60, stream=True) as whole:
        assert sum(map(len, whole.iter_content(MIB))) == size
    assert requests.delete(f"{there.url}/{path}", headers=ALICE, timeout=20).status_code == 204
    assert requests.get(f"{here.url}/{path}/file", headers=ALICE, timeout=20).status_code == 404
    assert [list((running.images.parent / "spool").glob(".*")) for running in both] == [[], []]
    # The one that only gives opens the store's client first in here: 30 MiB of it.
    grown = [peak_mib(running) - was for running, was in zip(both, before, strict=True)]
    assert grown[0] < 32
    assert grown[1] < 80
