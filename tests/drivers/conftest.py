"""Hosts for the drivers' tests: the fake, and a libvirt of the test session's own."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import libvirt
import pytest

from tests.drivers.images import ImageServer, serving
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.namespaces import run
from tests.drivers.sites import Networks, Site
from tests.drivers.values import Server
from workers.hypervisor.fake import FakeHypervisor
from workers.hypervisor.image_cache import CacheRules, ImageCache
from workers.hypervisor.image_upload import Uploader
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings
from workers.hypervisor.port import Hypervisor

#: Whatever is not in use goes when it is looked for.
CACHE_RULES = CacheRules(max_age_s=0, floor_bytes=0, hold_s=0, retry_pause_s=0.01)


@dataclass
class Rig:
    """A host under test, and what only a test may do to it."""

    host: Hypervisor
    images: ImageServer
    #: Where images lie, finished and unfinished.
    image_dir: Path
    plant_foreign: Callable[[str], None]
    #: Let the server's guest end without the driver.
    end_guest: Callable[[str], None]
    #: Take the server's stopped domain away without the driver.
    forget_domain: Callable[[str], None]
    #: A driver of the same host, as the next process would have.
    reopen: Callable[[], Hypervisor]
    servers: list[Server] = field(default_factory=list)

    def server(self, **changes: object) -> Server:
        """Return a new server, which is removed at the end of the test."""
        server = Server(self.images.source(), **changes)  # type: ignore[arg-type]
        self.servers.append(server)
        return server


@pytest.fixture(scope="session")
def private_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateHost]:
    """Start a libvirt of the test session's own."""
    host = PrivateHost(tmp_path_factory.mktemp("host"), f"byre-t{os.getpid()}")
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="session")
def libvirt_settings(
    private_host: PrivateHost, tmp_path_factory: pytest.TempPathFactory
) -> LibvirtSettings:
    """Return the settings of a driver on the private host."""
    below = tmp_path_factory.mktemp("byre")
    return LibvirtSettings(
        uri=private_host.uri,
        storage_dir=below / "storage",
        state_dir=below / "state",
        console_dir=below / "console",
        acceleration="qemu",
        image_timeout_s=30,
        image_cache=CACHE_RULES,
    )


@pytest.fixture(scope="session")
def blank_image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a qcow2 image with nothing in it."""
    path = tmp_path_factory.mktemp("image") / "blank.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", str(path), "64M"], check=True, timeout=60
    )
    return path.read_bytes()


@pytest.fixture(params=["fake", "fake_in_file", pytest.param("libvirt", marks=pytest.mark.lab)])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Give each implementation of the port in turn."""
    with make_rig(request) as made:
        yield made


@pytest.fixture
def libvirt_rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Give the libvirt driver alone."""
    request.param = "libvirt"
    with make_rig(request) as made:
        yield made


@pytest.fixture(params=["fake", pytest.param("libvirt", marks=pytest.mark.lab)])
def dedicated_rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Give the fake and libvirt on a host that gives one processor away."""
    with make_rig(request, dedicated=1) as made:
        yield made


@pytest.fixture(scope="module")
def networks(private_host: PrivateHost) -> Iterator[Networks]:
    """Give networks to share, and remove them."""
    made = Networks()
    yield made
    with by_hand(private_host.uri) as handle:
        for network in made.made:
            found = handle.networkLookupByUUIDString(network.network_id)
            found.destroy()
            found.undefine()


@pytest.fixture
def site(libvirt_rig: Rig, private_host: PrivateHost, networks: Networks) -> Iterator[Site]:
    """Give an empty site; the host's switch for all bridges is off, as where nobody set it."""
    for name in ("iptables", "ip6tables"):
        run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{name}=0")
    made = Site(libvirt_rig, private_host.name, networks)
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def make_rig(request: pytest.FixtureRequest, *, dedicated: int = 0) -> Iterator[Rig]:
    """Make the rig that the fixture's parameter names, and leave nothing of its servers behind.
    The host gives so many processors away, beginning with the second."""
    content = request.getfixturevalue("blank_image")
    with ExitStack() as stack:
        if request.param != "libvirt":
            directory = request.getfixturevalue("tmp_path")
            in_file = request.param == "fake_in_file"
            made = _fake_rig(directory, stack, content, in_file=in_file, dedicated=dedicated)
        else:
            private = request.getfixturevalue("private_host")
            # Leases are given back on the host's own network, and images come from there.
            stack.enter_context(private.entered())
            settings = request.getfixturevalue("libvirt_settings")
            cpus = frozenset(range(1, dedicated + 1))
            made = _libvirt_rig(replace(settings, cpu_dedicated_set=cpus), stack, content)
        stack.callback(made.host.close)
        yield made
        for server in made.servers:
            server.remove(made.host)
            for thing in server.things(made.host):
                made.host.discard(thing)
            assert server.traces(made.host) == []
            assert server.things(made.host) == []


def _fake_rig(
    directory: Path, stack: ExitStack, content: bytes, *, in_file: bool, dedicated: int
) -> Rig:
    cache = ImageCache(directory, directory / "locks", 30, rules=CACHE_RULES)
    state = directory / "state" / "fake.db" if in_file else None
    fake = FakeHypervisor(
        cache_rules=CACHE_RULES,
        fetch=cache.ensure,
        send=Uploader(pause_s=0.01).send,
        state=state,
        dedicated_vcpus=dedicated,
    )
    images = stack.enter_context(serving(content))

    def plant_foreign(server_id: str) -> None:
        fake.plant_foreign_domain(server_id)
        stack.callback(fake.forget_domain, server_id)

    def reopen() -> Hypervisor:
        if state is None:
            return fake
        again = FakeHypervisor(cache_rules=CACHE_RULES, fetch=cache.ensure, state=state)
        stack.callback(again.close)
        return again

    return Rig(fake, images, directory, plant_foreign, fake.end_guest, fake.forget_domain, reopen)


def _libvirt_rig(settings: LibvirtSettings, stack: ExitStack, content: bytes) -> Rig:
    images = stack.enter_context(serving(content))

    def plant_foreign(server_id: str) -> None:
        stack.enter_context(foreign_domain(settings.uri, server_id))

    for pattern in ("image-*", ".image-*"):
        for cached in settings.storage_dir.glob(pattern):
            cached.unlink()

    def end_guest(server_id: str) -> None:
        with by_hand(settings.uri) as handle:
            handle.lookupByUUIDString(server_id).destroyFlags(0)

    def forget_domain(server_id: str) -> None:
        with by_hand(settings.uri) as handle:
            # The firmware's variables are left behind, as by an operator who does not think of it.
            flags = libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
            handle.lookupByUUIDString(server_id).undefineFlags(flags)

    def reopen() -> Hypervisor:
        again = LibvirtHypervisor(settings)
        stack.callback(again.close)
        return again

    return Rig(
        LibvirtHypervisor(settings),
        images,
        settings.storage_dir,
        plant_foreign,
        end_guest,
        forget_domain,
        reopen,
    )


@contextmanager
def by_hand(uri: str) -> Iterator[libvirt.virConnect]:
    """Give a connection of the test's own."""
    handle = libvirt.open(uri)
    try:
        yield handle
    finally:
        handle.close()


@contextmanager
def foreign_domain(uri: str, server_id: str) -> Iterator[None]:
    """Define a domain of that UUID as an operator would by hand, and assert that it stays."""
    with by_hand(uri) as handle:
        domain = handle.defineXMLFlags(
            f"<domain type='qemu'><name>by-hand</name><uuid>{server_id}</uuid>"
            "<memory>1024</memory><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
        )
        try:
            yield
            assert handle.lookupByName("by-hand").UUIDString() == server_id
        finally:
            domain.undefineFlags(0)
