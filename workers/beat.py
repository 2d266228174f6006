"""The clock: asks the control worker to sweep, every few seconds.

Its schedule is fixed, so it keeps no file; two of them at once do no harm (app.runs.sweep).
"""

import os
import signal

from celery import Celery
from celery.signals import beat_init

from config.celery import make_celery
from config.logs import setup_logs
from config.queues import PULSE
from config.settings import ControlSettings, SettingsError, end_with, load_control
from tasks.pipelines import COMPUTE_STAGES


def make_clock(settings: ControlSettings) -> Celery:
    """Return the application with its schedule."""
    celery = make_celery(settings, "beat", COMPUTE_STAGES)
    celery.conf.beat_schedule = {
        "sweep": {
            "task": "sweep",
            "schedule": settings.sweep_interval_s,
            # Ticks that nobody took are worth nothing: they must not pile up while the control
            # worker is away.
            "options": {"queue": PULSE, "expires": settings.sweep_interval_s},
        }
    }
    return celery


def _end_when_told(**_: object) -> None:
    """The clock keeps nothing, so it ends where it stands. Celery's own way, an exception from the
    signal's handler, can get lost inside the broker's client, and the clock then goes on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def main() -> None:
    """Run the clock until it is told to stop."""
    try:
        settings = load_control()
    except SettingsError as error:
        end_with(error)
    setup_logs(settings)
    celery = make_clock(settings)
    beat_init.connect(_end_when_told, weak=False)
    celery.Beat(scheduler="celery.beat:Scheduler", loglevel=settings.log_level).run()


if __name__ == "__main__":
    main()
