"""Celery's Redis transport with one fault less: a worker outlives the loss of its broker.

kombu 5.7.0 closes the channel of a lost connection twice. The first time fails where it reads from
the dead socket; the second time it would give back what is in hand by a connection that knows its
address no more, and an AttributeError ends the worker ("'NoneType' object has no attribute
'hostname'"; celery/kombu#582 is an older form of it). Any message in hand is enough, so a busy
worker ended with each restart of Redis.
"""

from kombu.transport import redis
from kombu.transport.virtual import Transport as VirtualTransport


class Channel(redis.Channel):
    """A channel that gives back what is in hand only while its connection is there to do it.

    Afterwards the messages stay in Redis' list of unacknowledged ones, and come again after the
    visibility timeout; the sweep sends the stages that wait for them much earlier.
    """

    connection: VirtualTransport

    # kombu has a plain attribute here, which it only reads.
    @property
    def do_restore(self) -> bool:  # type: ignore[override]
        """Say whether closing gives back what is in hand."""
        return self.connection.client is not None


class Transport(redis.Transport):
    """The transport behind `redis://` and `rediss://`."""

    Channel = Channel
