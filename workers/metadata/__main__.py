"""The metadata service's process: started, watched and ended by its host's worker.

Effect  the service's address on `lo`, and a listener on its port 80.
Undo    at its end, whichever way it ends but by SIGKILL, the address is gone.
"""

import os
import signal
import socket
import threading
from typing import NoReturn

import structlog

from config.logs import setup_logs
from config.settings import ComputeSettings, SettingsError, end_with, load_compute
from workers.hypervisor.first_boot import METADATA_ADDRESS
from workers.hypervisor.guest_data import GuestStore
from workers.limits import Allowance
from workers.metadata import address
from workers.metadata.answer import Answers
from workers.metadata.floating import FloatingAddresses
from workers.metadata.server import make_server

log = structlog.get_logger(__name__)

#: EX_TEMPFAIL of sysexits.h: not now; the worker tries again later.
EXIT_NOT_NOW = 75

#: Requests of one address: a reader of everything asks for some forty pages at once.
BURST, PER_S = 200, 20.0
#: An address that somebody took from `lo` is put back.
_LOOK_EVERY_S = 30.0


def main() -> None:
    """Serve until the worker ends this process, or ends itself."""
    try:
        settings = load_compute()
    except SettingsError as error:
        end_with(error)
    setup_logs(settings)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_worker, daemon=True).start()
    try:
        listening = _listen(settings)
    except (OSError, address.AddressTaken) as error:
        log.error("metadata.not_served", reason=str(error))
        raise SystemExit(EXIT_NOT_NOW) from error
    threading.Thread(target=_keep_address, args=(settings,), daemon=True).start()
    answers = Answers(
        GuestStore(settings.state_dir),
        FloatingAddresses(settings.state_dir),
        Allowance(BURST, PER_S),
    )
    log.info("metadata.served", address=METADATA_ADDRESS)
    try:
        make_server(answers, listening).run()
    finally:
        address.release()


def _listen(settings: ComputeSettings) -> socket.socket:
    """Return a socket bound to the address. Raises OSError, AddressTaken."""
    if settings.metadata_service == "off":
        raise OSError("the setting metadata_service is off")
    address.ensure(settings.metadata_service)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((METADATA_ADDRESS, 80))
    except OSError:
        listening.close()
        raise
    return listening


def _keep_address(settings: ComputeSettings) -> None:
    while not threading.Event().wait(_LOOK_EVERY_S):
        try:
            if settings.metadata_service != "off":
                address.ensure(settings.metadata_service)
        except (OSError, address.AddressTaken) as error:
            log.warning("metadata.address_lost", reason=str(error))


def _end_with_worker() -> None:
    """The worker holds the other end of standard input: it closes however the worker ends."""
    # Not by sys.stdin: its lock, held here, would abort the interpreter's own end.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _end(*_: object) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
