"""The host's image cache: each image fetched once, checked, and kept while somebody may use it."""

from workers.hypervisor.image_cache.cache import ImageCache
from workers.hypervisor.image_cache.rules import CacheFormat, CacheRules

__all__ = ["CacheFormat", "CacheRules", "ImageCache"]
