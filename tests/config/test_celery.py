"""What others are shown of messages: by whom and for what, and nothing of what they carry."""

from config.celery import SHOWN_CHARACTERS, make_celery
from config.settings import ComputeSettings
from tasks.messages import Envelope
from tests.tasks.values import make_job

SECRET = "correct horse"


def test_secrets_are_shown_to_nobody() -> None:
    celery = make_celery(ComputeSettings(host="h", driver="fake"), "compute", ())
    job = make_job(pipeline="pause")
    told = Envelope(job=job, data={"a": SECRET}).model_dump()

    sent = celery.amqp.as_task_v2("id", "pause", (told,), {}, create_sent_event=True)

    assert sent.sent_event is not None
    for shown in (sent.headers["argsrepr"], sent.sent_event["args"]):
        assert job.run_id in shown
        assert SECRET not in shown
    # The shortest job there is says more of itself.
    assert str(told).index(SECRET) > SHOWN_CHARACTERS
    assert celery.Task.resultrepr_maxsize == SHOWN_CHARACTERS
