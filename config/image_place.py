"""Where images' bytes are kept, as a setting says it: a directory, or a bucket that speaks S3."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, urlsplit

Addressing = Literal["auto", "path", "virtual"]

_BUCKET = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$")
_ENDPOINT = re.compile(r"^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$")
_PREFIX = re.compile(r"^[A-Za-z0-9!_.*'()/-]*$")


@dataclass(frozen=True)
class S3Place:
    """A bucket, and what the names of our objects in it begin with. No secrets: it is shown."""

    bucket: str
    #: Empty, or without a slash at its ends.
    prefix: str = ""
    #: None: Amazon's own.
    endpoint: str | None = None
    #: None: what the environment or the files of AWS' tools say.
    region: str | None = None
    #: Whether the bucket's name goes into the URL's path or before the host's name. Servers of
    #: one's own seldom have names in DNS for their buckets.
    addressing: Addressing = "auto"

    def key(self, name: str) -> str:
        """Return the key of the object of that name."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" + (f" at {self.endpoint}" * bool(self.endpoint))


def parse_image_place(text: str) -> Path | S3Place:
    """Read a directory, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`. Raises ValueError."""
    if "://" not in text:
        if not text:
            raise ValueError("must be a directory or s3://BUCKET/PREFIX")
        return Path(text)
    url = urlsplit(text)
    if url.scheme == "file" and not url.netloc and not url.query:
        return Path(url.path)
    if url.scheme != "s3":
        raise ValueError(f"{url.scheme}:// is not known: a directory or s3://BUCKET/PREFIX")
    if "@" in url.netloc:
        raise ValueError("must not hold keys: image_store_access_key and _secret_key are for these")
    options = _options(url.query)
    endpoint = _endpoint(options.pop("endpoint", None))
    region = options.pop("region", None)
    addressing = options.pop("addressing", "path" if endpoint else "auto")
    if options:
        raise ValueError(f"{min(options)} is no option: endpoint, region and addressing are")
    if addressing not in get_args(Addressing):
        raise ValueError("addressing must be one of " + ", ".join(get_args(Addressing)))
    prefix = url.path.strip("/")
    if not _BUCKET.match(url.netloc):
        raise ValueError("s3:// must be followed by a bucket's name")
    if not _PREFIX.match(prefix) or "//" in prefix:
        raise ValueError("the prefix may have letters, digits, / and !_.*'()-")
    return S3Place(url.netloc, prefix, endpoint, region, cast("Addressing", addressing))


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    if len(dict(pairs)) != len(pairs):
        raise ValueError("an option is given twice")
    return dict(pairs)


def _endpoint(text: str | None) -> str | None:
    if text is None:
        return None
    if not _ENDPOINT.match(text):
        raise ValueError("endpoint must be http://HOST:PORT or https://HOST:PORT, and no more")
    url = urlsplit(text)
    return f"{url.scheme}://{url.netloc}"
