"""Logging: structlog for our own events and for what libraries say, one format for both.

Keys bound while work is under way: request_id, server_id, run_id, attempt, stage, host, worker.
"""

import logging
import sys

import structlog

from config.settings import CommonSettings

_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def setup_logs(settings: CommonSettings) -> None:
    """Send everything to standard error, as lines for a person or as JSON for a collector."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings.log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    # Two lines a task, with the whole message in one of them: our own events say it better.
    # S3's client tells of each request at debug level, signatures included.
    for chatty in ("celery.worker.strategy", "celery.app.trace", "boto3", "botocore", "s3transfer"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _renderers(log_format: str) -> list[structlog.types.Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
