"""What is told of an action that failed."""

from sqlalchemy import update

from app.db.models import Run, Stage
from tests.http.cases import Api
from tests.http.table_servers import ONE
from tests.http.world import RUN


def test_why_a_step_failed_is_for_operators(api: Api) -> None:
    with api.sessions.begin() as session:
        session.execute(update(Run).where(Run.id == RUN).values(state="failed"))
        failed = {"state": "failed", "reason": "host-1 has no room."}
        session.execute(update(Stage).where(Stage.name == "poll_boot").values(**failed))
    for who, reason in (("alice", None), ("root", "host-1 has no room.")):
        path = f"{ONE}/os-instance-actions"
        action = api.call(who, "GET", f"{path}/req-1").get_json()["instanceAction"]
        assert action["message"] == "Error"
        assert [(step["result"], step["traceback"]) for step in action["events"]] == [
            ("Error", reason),
            ("Success", None),
        ]
