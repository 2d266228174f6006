"""The API as it is, with points around the commit of a request and the sending that follows.

For the pipelines `create` and `delete`, the stage is called `request`: `inside` is right before
the commit, `after` between the commit and the sending, `handed_over` between the sending and the
answer.
"""

import functools
from collections.abc import Callable
from typing import Any

import gunicorn.workers.gthread  # type: ignore[import-untyped]
import kombu.transport.redis
from sqlalchemy import Engine, event

from app import serve
from app.runs.publish import CeleryPublisher
from app.services import new_servers, servers
from tests.crash import mail
from tests.crash.faults import Faults, Place, here, inside, process_faults
from tests.crash.mail import Mail

#: Loaded here, so that they need not be at each start.
_LOADED = (gunicorn.workers.gthread, kombu.transport.redis)

STAGE = "request"


def main() -> None:
    """Serve."""
    faults = process_faults()

    def transaction_ends(_: Any) -> None:
        _strike(faults, "inside")

    event.listen(Engine, "commit", transaction_ends)
    new_servers.create = _within("create", new_servers.create)
    servers.delete = _within("delete", servers.delete)
    CeleryPublisher.publish = _sending(faults, CeleryPublisher.publish)  # type: ignore[method-assign]
    mail.install(Mail(faults.directory))
    serve.main()


def _within(pipeline: str, use_case: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(use_case)
    def called(*args: Any) -> Any:
        with inside(Place(pipeline, STAGE, "")):
            return use_case(*args)

    return called


def _sending(faults: Faults, publish: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(publish)
    def called(*args: Any) -> None:
        _strike(faults, "after")
        publish(*args)
        _strike(faults, "handed_over")

    return called


def _strike(faults: Faults, point: str) -> None:
    place = here()
    if place is not None:
        faults.strike(place, point)


if __name__ == "__main__":
    main()
