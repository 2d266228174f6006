"""The stack's own Redis: its configuration, and a PING in its protocol."""

import socket
from pathlib import Path

from deploy.stack.layout import Layout
from deploy.stack.settings import StackSettings, write_private

TEMPLATE = """\
# Written at every `make up` from byre.toml.
bind {host}
port {port}
requirepass {password}
dir {dir}
daemonize no
# A message that was accepted survives a restart of Redis.
appendonly yes
appendfsync everysec
save ""
# When memory runs out, refuse: a broker that drops queues to make room loses servers.
maxmemory-policy noeviction
"""


def config_path(layout: Layout) -> Path:
    """Where Redis' configuration lies; its data are beside it."""
    return layout.home / "redis" / "redis.conf"


def write_config(layout: Layout, settings: StackSettings) -> None:
    """Write Redis' configuration; it holds the password."""
    path = config_path(layout)
    write_private(
        path,
        TEMPLATE.format(
            host=settings.redis_host,
            port=settings.redis_port,
            password=settings.redis_password,
            dir=path.parent,
        ),
    )


def redis_answers(settings: StackSettings) -> bool:
    """Tell whether our Redis, with our password, answers within two seconds."""
    try:
        with socket.create_connection((settings.redis_host, settings.redis_port), 2) as link:
            link.sendall(f"AUTH {settings.redis_password}\r\nPING\r\n".encode())
            with link.makefile("rb") as answers:
                return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
    except OSError:
        return False
