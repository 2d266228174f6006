"""A RabbitMQ of one's own: the pipeline must not depend on which broker carries it."""

import socket
import uuid
from contextlib import suppress
from pathlib import Path

from tests.processes import Program, free_port, wait_until

#: Not Debian's wrapper, which would change to a user of its own and to its own directories.
_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"


class RabbitServer:
    """RabbitMQ on loopback, with all its files below one directory and an epmd (Erlang's name
    server) of its own. It has the surface of tests.processes.RedisServer."""

    def __init__(self, directory: Path) -> None:
        self.address, self.port = "127.0.0.1", free_port()
        self._directory = directory / "rabbit"
        self._directory.mkdir()
        config = self._directory / "rabbitmq.conf"
        config.write_text(
            f"listeners.tcp.local = {self.address}:{self.port}\n"
            "loopback_users.guest = true\n"
            "log.console = true\n"
            "log.file = false\n"
        )
        (self._directory / "enabled_plugins").write_text("[].\n")
        environment = {
            "HOME": str(self._directory),
            "RABBITMQ_NODENAME": f"byre-{uuid.uuid4().hex[:8]}@localhost",
            "RABBITMQ_CONFIG_FILE": str(config.with_suffix("")),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_PID_FILE": str(self._directory / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": self.address,
        }
        self.program = Program("rabbitmq", [_SERVER], environment, directory / "rabbitmq.log")
        self._epmd = Program("epmd", ["epmd"], environment, directory / "epmd.log")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"amqp://guest:guest@{self.address}:{self.port}//"

    def start(self) -> None:
        """Start it; returns when it listens."""
        # In the foreground, as a child: otherwise the server starts one that outlives it.
        self._epmd.start()
        self.program.start()
        wait_until(self._answers, "rabbitmq", 60)

    def stop(self) -> None:
        """End it and its name server; its data stay until their directory goes."""
        self.program.stop()
        self._epmd.stop()

    def kill(self) -> None:
        """End it at once."""
        self.program.kill()
        self._epmd.stop()

    def _answers(self) -> bool:
        if not self.program.alive():
            raise RuntimeError(f"rabbitmq ended:\n{self.program.log.read_text()[-3000:]}")
        with suppress(OSError), socket.create_connection((self.address, self.port), 1):
            return self.program.says("completed with")
        return False
