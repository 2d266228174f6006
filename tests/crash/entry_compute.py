"""The compute worker as it is, with points in its stages where faults strike."""

import celery.apps.worker
import celery.concurrency.thread
import kombu.transport.redis

from tests.crash import mail
from tests.crash.faults import CutHost, cut_open, process_faults
from tests.crash.mail import Mail
from workers import compute

#: Loaded here, so that they need not be at each start.
_LOADED = (celery.apps.worker, celery.concurrency.thread, kombu.transport.redis)


def main() -> None:
    """Run the worker."""
    faults = process_faults()
    cut_open(faults, compute.STAGES, lambda host, place: CutHost(faults, host, place))
    mail.install(Mail(faults.directory))
    compute.main()


if __name__ == "__main__":
    main()
