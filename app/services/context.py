"""What every use case works with: the process's means, and who asks."""

from dataclasses import dataclass
from functools import cached_property

from app.db.session import Sessions
from app.policy import allows
from app.runs.publish import Publisher
from app.services.image_store import ImageStore, open_store
from config.settings import ControlSettings
from tasks.errors import Forbidden

ADMIN = "admin"


@dataclass(frozen=True)
class Context:
    """Opened once in each process."""

    sessions: Sessions
    settings: ControlSettings
    publisher: Publisher

    @cached_property
    def image_store(self) -> ImageStore:
        """Where images' bytes lie; opened when it is first used, in the process that uses it."""
        return open_store(self.settings)


@dataclass(frozen=True)
class Caller:
    """Who asks, in which project (empty for an unscoped token), with which roles."""

    user_id: str
    user_name: str
    project_id: str
    project_name: str
    roles: tuple[str, ...]
    #: `req-<uuid>` of the request.
    request_id: str
    #: By an application credential that may not make and remove such credentials.
    is_restricted: bool = False

    @property
    def is_admin(self) -> bool:
        """An administrator sees every project's things."""
        return ADMIN in self.roles

    def may(self, action: str) -> bool:
        """Say whether the policy's table (app.policy) lets the caller do this."""
        return allows(action, self.roles)

    def check(self, action: str) -> None:
        """Raise Forbidden unless the policy's table lets the caller do this."""
        if not self.may(action):
            raise Forbidden(f"Policy doesn't allow {action} to be performed.")

    @property
    def sees(self) -> str | None:
        """The project whose things are shown; None is all of them."""
        return None if self.is_admin else self.project_id
