"""The image cache of a fake host, by the real one's rule of what goes."""

from pathlib import Path

from tasks.messages import CachedImage, ImageSource
from workers.hypervisor.fake.state import FakeState
from workers.hypervisor.image_cache.pruning import to_go
from workers.hypervisor.image_cache.rules import CacheRules
from workers.hypervisor.image_cache.shelf import Entry

_GIB = 1024**3


def note_image(state: FakeState, image: ImageSource, moment: float, failure: str = "") -> None:
    """Note that the image was used, or why it could not be had."""
    if failure and image.sha256 in state.images and state.images[image.sha256].state == "ready":
        return
    state.images[image.sha256] = CachedImage(
        image_id=image.image_id,
        sha256=image.sha256,
        disk_format=image.disk_format,
        state="failed" if failure else "ready",
        reason=failure,
        size_bytes=0 if failure else image.size_bytes,
        allocated_bytes=0 if failure else image.size_bytes,
        used_at=moment,
    )


def is_cached(state: FakeState, digest: str) -> bool:
    """Say whether the image is there."""
    return digest in state.images and state.images[digest].state == "ready"


def cached_images(state: FakeState) -> list[CachedImage]:
    """Return all images, in the order of their digests."""
    used = _in_use(state)
    found = sorted(state.images.values(), key=lambda one: one.sha256)
    return [one.model_copy(update={"in_use": one.sha256 in used}) for one in found]


def cached_bytes(state: FakeState) -> int:
    """Return what the images take up."""
    return sum(one.allocated_bytes for one in state.images.values())


def prune_images(state: FakeState, rules: CacheRules, free_bytes: int, moment: float) -> list[str]:
    """Forget what is to go; return the digests."""
    used = _in_use(state)
    for digest in used & state.images.keys():
        state.images[digest] = state.images[digest].model_copy(update={"used_at": moment})
    entries = [_entry(one) for one in state.images.values()]
    gone = [entry.digest for entry in to_go(entries, used, rules, free_bytes, moment)]
    for digest in gone:
        del state.images[digest]
    for name in [name for name in state.bases if name not in _disks(state)]:
        del state.bases[name]
    return gone


def _in_use(state: FakeState) -> set[str]:
    """Return digests of images that disks lie over, those set aside too."""
    there = _disks(state)
    return {base.sha256 for name, base in state.bases.items() if name in there}


def _disks(state: FakeState) -> set[str]:
    return state.files.keys() | state.set_aside.keys()


def _entry(image: CachedImage) -> Entry:
    return Entry(
        path=Path(image.sha256),
        digest=image.sha256,
        whole=True,
        size_bytes=image.size_bytes,
        allocated_bytes=image.allocated_bytes,
        touched_at=image.used_at,
        links=1,
    )
