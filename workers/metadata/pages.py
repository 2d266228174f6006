"""Every page that one guest may read, by its exact path: nothing is looked up on a file system, so
there is no path by which to leave. Pure."""

from dataclasses import dataclass
from typing import Any

from workers.hypervisor.first_boot import injected, openstack_files
from workers.hypervisor.guest_data import GuestData
from workers.metadata import ec2
from workers.metadata.floating import Floating

#: OpenStack's dates of its format, oldest first. All of them are told the same: what a later date
#: added, an older reader does not look at.
OPENSTACK_VERSIONS = (
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06",
    "2017-02-22", "2018-08-27", "2020-10-14", "latest",
)  # fmt: skip

#: What is there, and not the first date's: a guest posts it, and may read it.
POSTED = "password"
POSTED_PATHS = frozenset(f"/openstack/{date}/{POSTED}" for date in OPENSTACK_VERSIONS[1:])

_TEXT = "text/plain; charset=UTF-8"
_JSON = "application/json"
_BYTES = "application/octet-stream"


@dataclass(frozen=True)
class Page:
    """What is answered to a GET."""

    kind: str
    content: bytes


def pages(data: GuestData, floating: Floating) -> dict[str, Page]:
    """Return path -> page; a directory's path has no slash at its end. Raises MalformedMessage."""
    found: dict[str, Page] = {"": _listing(ec2.VERSIONS)}
    tree = ec2.tree(data, floating)
    for version in ec2.VERSIONS:
        _add(found, f"/{version}", tree)
    files = openstack_files(data)
    found["/openstack"] = _listing(OPENSTACK_VERSIONS)
    for version in OPENSTACK_VERSIONS:
        posted = [POSTED] if f"/openstack/{version}/{POSTED}" in POSTED_PATHS else []
        found[f"/openstack/{version}"] = _listing(sorted([*files, *posted]))
        for name, content in files.items():
            kind = _JSON if name.endswith(".json") else _BYTES
            found[f"/openstack/{version}/{name}"] = Page(kind, content)
    for path, content in injected(data).items():
        found[f"/openstack{path}"] = Page(_BYTES, content)
    return found


def _add(found: dict[str, Page], path: str, what: Any) -> None:
    if isinstance(what, bytes):
        found[path] = Page(_BYTES, what)
    elif isinstance(what, str):
        found[path] = Page(_TEXT, _encoded(what))
    else:
        keys = path.endswith("/public-keys")
        found[path] = _listing([_entry(name, below, keys=keys) for name, below in what.items()])
        for name, below in what.items():
            # EC2 lists keys as `0=name` and has them below `0`.
            _add(found, f"{path}/{name.split('=')[0] if keys else name}", below)


def _entry(name: str, below: Any, *, keys: bool) -> str:
    """EC2 marks directories by a slash, except those of keys."""
    return f"{name}/" if isinstance(below, dict) and not keys else name


def _listing(entries: Any) -> Page:
    return Page(_TEXT, _encoded("\n".join(entries)))


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")
