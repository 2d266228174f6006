"""What the control side's stages work on: the database, the settings, and the way to the broker."""

from dataclasses import dataclass

from app.db.session import Sessions
from app.runs.publish import Publisher
from config.settings import ControlSettings


@dataclass(frozen=True)
class Store:
    """Opened once in each process, after the fork."""

    sessions: Sessions
    settings: ControlSettings
    publisher: Publisher
