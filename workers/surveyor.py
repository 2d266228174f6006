"""Tells the control plane what is on this host: domains that change, at once, and everything with
our mark each half minute, as the net below; with it, what guests have posted as their passwords."""

import threading
import time
from typing import Any

import structlog
from kombu.exceptions import OperationalError

from config.queues import POSTED_PASSWORDS
from tasks.errors import ByreError
from tasks.messages import DomainChange, DomainState, Message, PostedPasswords, Survey
from workers.hosted import Hosted
from workers.hypervisor.guest_data import GuestStore

log = structlog.get_logger(__name__)


class Surveyor(threading.Thread):
    """Looks through the host until it is stopped."""

    def __init__(self, worker: Hosted) -> None:
        super().__init__(name="surveyor", daemon=True)
        self._worker = worker
        self._guests = GuestStore(worker.settings.state_dir)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Watch from now on; look at once, then at the interval."""
        self._worker.host.watch(self._tell)
        while True:
            self._look()
            if self._stopped.wait(self._worker.settings.survey_interval_s):
                return

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _look(self) -> None:
        """Whatever goes wrong in one look, there is a next one."""
        taken_at = time.time()
        try:
            self._send(
                "survey",
                Survey(
                    host=self._worker.settings.host,
                    process=self._worker.process,
                    taken_at=taken_at,
                    things=self._worker.host.survey(),
                ),
            )
            self._tell_passwords()
        except ByreError as error:
            log.warning("survey.missed", reason=error.public)
        except Exception:
            log.exception("survey.failed")

    def _tell_passwords(self) -> None:
        passwords = self._guests.passwords()
        if passwords:
            host = self._worker.settings.host
            self._send(POSTED_PASSWORDS, PostedPasswords(host=host, passwords=passwords))

    def _tell(self, server_id: str, state: DomainState | None) -> None:
        host = self._worker.settings.host
        change = DomainChange(host=host, server_id=server_id, state=state, at=time.time())
        self._send("domain_change", change)

    def _send(self, task: str, message: Message) -> None:
        """What is not sent is told by the next survey."""
        # Flower shows what tasks are given: of a password not even what its guest made of it.
        shown = f"({task} of {self._worker.settings.host})"
        options: dict[str, Any] = {"retry": False, "expires": 60.0, "argsrepr": shown}
        try:
            self._worker.celery.send_task(task, args=[message.model_dump()], **options)
        except (OperationalError, OSError) as error:
            log.warning("survey.not_sent", task=task, reason=str(error))
