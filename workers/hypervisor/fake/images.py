"""A fake host's images; downloaded only if the host was told how."""

from tasks.errors import ByreError
from tasks.messages import CachedImage, ImageSource
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import Host
from workers.hypervisor.fake.image_cache import (
    cached_bytes,
    cached_images,
    note_image,
    prune_images,
)

_GIB = 1024**3


class Images(Host):
    """The port's verbs for images."""

    @verb
    def ensure_image(self, image: ImageSource) -> None:
        """Note the image; fetch it first, if the fake was told how."""
        try:
            if self._fetch is not None:
                self._fetch(image)
        except ByreError as error:
            with self.lock:
                note_image(self._state, image, self._now(), error.public)
            raise
        with self.lock:
            note_image(self._state, image, self._now())

    @verb
    def cached_images(self) -> list[CachedImage]:
        """Return the images that were noted."""
        return cached_images(self._state)

    @verb
    def prune_images(self) -> list[str]:
        """Forget images that no disk is over."""
        free = (self.disk_gib - self._used_gib()) * _GIB - cached_bytes(self._state)
        return prune_images(self._state, self._cache_rules, free, self._now())
