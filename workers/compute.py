"""The compute worker: one on each hypervisor, taking only its own queue.

Threads, not processes: libvirt calls release the interpreter, and all share one connection and
one event loop. It knows no database; what it needs is in the message, what it says is a report.
"""

import uuid
from collections.abc import Callable

from celery.signals import worker_ready, worker_shutdown

from config.celery import make_celery
from config.logs import setup_logs
from config.queues import compute_queue, compute_worker
from config.settings import ComputeSettings, SettingsError, end_with, load_compute
from tasks import runner
from tasks.compute import (
    build_rescue,
    build_resources,
    clear,
    clear_rescue,
    crash_dump,
    cut_power,
    define_domain,
    discard_snapshot,
    drop_disks,
    fetch_disks,
    keep_disks,
    launch,
    leave,
    pack_disks,
    pause,
    plug,
    poll_boot,
    power_on,
    reshape,
    restore_disks,
    restore_domain,
    rewire,
    send_disks,
    send_image,
    set_password,
    shut_down,
    suspend,
    take_snapshot,
    teardown,
    unplug,
    unwind,
)
from tasks.pipelines import COMPUTE_STAGES, Side
from workers import orders
from workers.cache_keeper import CacheKeeper, Warmer
from workers.compute_ledger import ComputeLedger
from workers.fabric import FabricKeeper
from workers.gate.gate import Gate
from workers.heartbeat import Heart
from workers.hosted import Hosted
from workers.hypervisor.image_cache import CacheRules
from workers.hypervisor.image_upload import Uploader
from workers.hypervisor.journal import Journal
from workers.hypervisor.port import Hypervisor
from workers.metadata_keeper import MetadataKeeper
from workers.surveyor import Surveyor
from workers.watchdog import Watchdog, end_surely

#: What runs beside the stages.
Beside = Heart | Surveyor | CacheKeeper | Warmer | MetadataKeeper | Gate | Watchdog

_GIB = 1024**3

STAGES = {
    "build_resources": build_resources,
    "define_domain": define_domain,
    "launch": launch,
    "poll_boot": poll_boot,
    "clear": clear,
    "build_rescue": build_rescue,
    "clear_rescue": clear_rescue,
    "restore_domain": restore_domain,
    "set_password": set_password,
    "crash_dump": crash_dump,
    "plug": plug,
    "rewire": rewire,
    "unplug": unplug,
    "teardown": teardown,
    "unwind": unwind,
    "power_on": power_on,
    "shut_down": shut_down,
    "cut_power": cut_power,
    "pause": pause,
    "suspend": suspend,
    "take_snapshot": take_snapshot,
    "send_image": send_image,
    "discard_snapshot": discard_snapshot,
    "keep_disks": keep_disks,
    "reshape": reshape,
    "restore_disks": restore_disks,
    "drop_disks": drop_disks,
    "pack_disks": pack_disks,
    "send_disks": send_disks,
    "leave": leave,
    "fetch_disks": fetch_disks,
}


def make_worker(settings: ComputeSettings, host: Hypervisor, journal: Journal) -> Hosted:
    """Return the worker: its application with all tasks of this side, and what they share."""
    celery = make_celery(settings, "compute", COMPUTE_STAGES)
    process = uuid.uuid4().hex
    ledger = ComputeLedger(celery, journal, process)
    runner.register(
        celery, Side.COMPUTE, STAGES, lambda: host, lambda: ledger, compute_worker(settings.host)
    )
    fabric = FabricKeeper(host, settings.state_dir)
    worker = Hosted(celery, host, journal, ledger, fabric, settings, process)
    orders.register(worker)
    return worker


def make_hypervisor(settings: ComputeSettings) -> Hypervisor:
    """Return the driver that the settings name."""
    if settings.driver == "fake":
        from workers.hypervisor.fake import FakeHypervisor  # noqa: PLC0415 - only if asked for

        return FakeHypervisor(
            vcpus=settings.fake_vcpus,
            memory_mib=settings.fake_memory_mib,
            disk_gib=settings.fake_disk_gib,
            boot_after_s=settings.fake_boot_s,
            dedicated_vcpus=settings.fake_dedicated_vcpus,
            physical_networks=sorted(settings.physical_networks),
            state=settings.state_dir / "fake.db",
            send=Uploader().send,
            cache_rules=cache_rules(settings),
        )
    # libvirt's library is loaded only on a hypervisor that has it.
    from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings  # noqa: PLC0415

    return LibvirtHypervisor(
        LibvirtSettings(
            uri=settings.libvirt_uri,
            storage_dir=settings.storage_dir,
            pool_name=settings.storage_pool,
            underlay_address=settings.host_ip,
            physical_networks=settings.physical_networks,
            state_dir=settings.state_dir,
            console_dir=settings.console_dir,
            acceleration=settings.acceleration,
            kvm_probe_kernel=settings.kvm_probe_kernel,
            cpu_model=settings.cpu_model,
            cpu_features=settings.cpu_features,
            cpu_dedicated_set=settings.cpu_dedicated_set,
            cpu_shared_set=settings.cpu_shared_set,
            image_timeout_s=settings.image_timeout_s,
            image_cache=cache_rules(settings),
        )
    )


def cache_rules(settings: ComputeSettings) -> CacheRules:
    """Return what the settings say of the image cache."""
    return CacheRules(
        stored_as=settings.image_cache_format,
        max_age_s=settings.image_cache_max_age_s,
        max_bytes=settings.image_cache_max_gib * _GIB,
        floor_bytes=settings.image_cache_floor_gib * _GIB,
        hold_s=settings.image_cache_hold_s,
        partial_max_age_s=settings.image_partial_max_age_s,
    )


def main() -> None:
    """Run the worker until it is told to stop."""
    try:
        settings = load_compute()
    except SettingsError as error:
        end_with(error)
    setup_logs(settings)
    host = make_hypervisor(settings)
    worker = make_worker(settings, host, Journal(settings.state_dir / "journal"))
    for thread in _threads(worker):
        worker_ready.connect(_starting(thread), weak=False)
        worker_shutdown.connect(_stopping(thread), weak=False)
    end_surely()
    worker.celery.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={settings.compute_threads}",
            f"--queues={compute_queue(settings.host)}",
            f"--hostname={compute_worker(settings.host)}",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={settings.log_level}",
        ]
    )


def _threads(worker: Hosted) -> list[Beside]:
    return [
        Heart(worker),
        Surveyor(worker),
        CacheKeeper(worker),
        Warmer(worker),
        MetadataKeeper(worker.settings),
        worker.gate,
        _watchdog(worker),
    ]


def _watchdog(worker: Hosted) -> Watchdog:
    settings = worker.settings
    return Watchdog(
        worker.celery,
        [compute_queue(settings.host)],
        settings.deaf_after_s,
        lambda: worker.ledger.busy() < settings.compute_threads,
    )


def _starting(thread: Beside) -> Callable[..., None]:
    return lambda **_: thread.start()


def _stopping(thread: Beside) -> Callable[..., None]:
    return lambda **_: thread.stop()


if __name__ == "__main__":
    main()
