"""Celery's Redis transport with one fault less: a worker outlives the loss of its broker.

kombu 5.7.0 goes on using channels of a lost connection, which know their address no more: to give
back what is in hand when it closes them a second time, and to acknowledge or send what a thread has
finished meanwhile. Each fails by an AttributeError ("'NoneType' object has no attribute
'hostname'", or 'client'; celery/kombu#582 is an older form of it), which nobody takes for a lost
connection: a worker with anything in hand ended with a restart of Redis, and what its tasks had to
say was lost.
"""

from typing import Any

from kombu.transport import redis
from kombu.transport.virtual import Transport as VirtualTransport
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):
    """A channel that, without its connection, fails as a lost connection does, for which kombu and
    Celery know what to do; and that closes then without giving back what is in hand.

    Afterwards the messages stay in Redis' list of unacknowledged ones, and come again after the
    visibility timeout; the sweep sends the stages that wait for them much earlier.
    """

    # Typed as always there; kombu sets it to None when it closes the channel.
    connection: VirtualTransport | None  # type: ignore[assignment]

    # kombu has a plain attribute here, which it only reads.
    @property
    def do_restore(self) -> bool:  # type: ignore[override]
        """Say whether closing gives back what is in hand."""
        return self._has_address()

    # kombu's own method, of which the types that are published for it say nothing.
    def _connparams(self, **asked: Any) -> dict[str, Any]:
        if not self._has_address():
            raise RedisConnectionError("This channel's connection is closed.")
        parameters: dict[str, Any] = super()._connparams(**asked)  # type: ignore[misc]
        return parameters

    def _has_address(self) -> bool:
        return self.connection is not None and self.connection.client is not None


class Transport(redis.Transport):
    """The transport behind `redis://` and `rediss://`."""

    Channel = Channel
