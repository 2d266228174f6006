"""The control worker as it is, with points in its stages where faults strike: `inside` is right
before the stage's first transaction ends."""

from typing import Any

import celery.apps.worker
import celery.concurrency.prefork
import kombu.transport.redis
import psycopg
from sqlalchemy import Engine, event

from tests.crash import mail
from tests.crash.faults import cut_open, here, process_faults
from tests.crash.mail import Mail
from workers import control

#: Loaded here, so that they need not be at each start.
_LOADED = (celery.apps.worker, celery.concurrency.prefork, kombu.transport.redis, psycopg)


def main() -> None:
    """Run the worker."""
    faults = process_faults()

    def transaction_ends(_: Any) -> None:
        place = here()
        if place is not None:
            faults.strike(place, "inside")

    for name in ("commit", "rollback"):
        event.listen(Engine, name, transaction_ends)
    cut_open(faults, control.STAGES, lambda store, _: store)
    mail.install(Mail(faults.directory))
    control.main()


if __name__ == "__main__":
    main()
