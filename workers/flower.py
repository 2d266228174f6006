"""The application that Flower is started with: `celery --app workers.flower flower`.

It only watches: it knows the broker and no task.
"""

from config.celery import make_celery
from config.settings import SettingsError, end_with, load_common
from tasks.pipelines import COMPUTE_STAGES

try:
    _settings = load_common()
except SettingsError as error:
    end_with(error)

celery = make_celery(_settings, "flower", COMPUTE_STAGES)
