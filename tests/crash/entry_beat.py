"""The clock as it is; what it sends may be disturbed."""

import celery.apps.beat
import kombu.transport.redis

from tests.crash import mail
from tests.crash.faults import process_faults
from tests.crash.mail import Mail
from workers import beat

#: Loaded here, so that they need not be at each start.
_LOADED = (celery.apps.beat, kombu.transport.redis)


def main() -> None:
    """Run the clock."""
    mail.install(Mail(process_faults().directory))
    beat.main()


if __name__ == "__main__":
    main()
