"""The stack's settings file: written once with fresh secrets, then the operator's to change."""

import os
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.stack.layout import Driver, Layout

TEMPLATE = """\
# Settings of this machine's Byre. Written once by `make up`; change what you like, then
# `make down` and `make up`. config/settings.py names every key. Holds secrets: keep it to yourself.
broker_url = "redis://:{redis_password}@127.0.0.1:{redis_port}/0"

[control]
secret_key = "{secret_key}"
database_url = "sqlite:///{home}/byre.db"
image_store = "{home}/images"
api_bind = "127.0.0.1:{api_port}"
internal_api_url = "http://127.0.0.1:{api_port}"
console_bind = "127.0.0.1:{console_port}"

[compute]
driver = "{driver}"
storage_dir = "{host_dir}/storage"
state_dir = "{host_dir}/state"
console_dir = "{host_dir}/console"
kvm_probe_kernel = "{probe_kernel}"
"""


@dataclass(frozen=True)
class StackSettings:
    """What the stack itself must know of the settings file."""

    api_host: str
    api_port: int
    console_host: str
    console_port: int
    redis_host: str
    redis_port: int
    redis_password: str
    driver: Driver
    storage_pool: str

    @property
    def api_address(self) -> str:
        """HOST:PORT of the API."""
        return f"{self.api_host}:{self.api_port}"

    @property
    def console_address(self) -> str:
        """HOST:PORT of the console proxy."""
        return f"{self.console_host}:{self.console_port}"


def ensure_settings(layout: Layout) -> StackSettings:
    """Write the settings file if there is none, and return what it says."""
    if not layout.config.exists():
        write_private(layout.config, _render(layout))
    return read_settings(layout)


def read_settings(layout: Layout) -> StackSettings:
    """Return what the settings file says. Raises ValueError, naming the key."""
    document = tomllib.loads(layout.config.read_text())
    broker = urlsplit(document.get("broker_url", ""))
    if broker.scheme != "redis" or broker.hostname is None:
        raise ValueError(f"{layout.config}: broker_url: the stack starts a Redis and needs its URL")
    compute = document.get("compute", {})
    control = document.get("control", {})
    api_host, api_port = _address(layout, "api_bind", control.get("api_bind", ""))
    # A settings file that was written before there were consoles does not name it.
    console = control.get("console_bind", "127.0.0.1:6080")
    console_host, console_port = _address(layout, "console_bind", console)
    return StackSettings(
        api_host=api_host,
        api_port=api_port,
        console_host=console_host,
        console_port=console_port,
        redis_host=broker.hostname,
        redis_port=broker.port or 6379,
        redis_password=broker.password or "",
        driver=compute.get("driver", "libvirt"),
        storage_pool=compute.get("storage_pool", "byre"),
    )


def _address(layout: Layout, key: str, value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not port.isdecimal():
        raise ValueError(f"{layout.config}: [control] {key}: needs HOST:PORT")
    return host, int(port)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def _render(layout: Layout) -> str:
    return TEMPLATE.format(
        home=layout.home,
        host_dir=layout.host_dir,
        probe_kernel=layout.probe_kernel,
        driver=layout.driver,
        api_port=layout.api_port,
        console_port=layout.console_port,
        redis_port=layout.redis_port,
        redis_password=secrets.token_urlsafe(24),
        secret_key=secrets.token_urlsafe(48),
    )
