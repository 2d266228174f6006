"""What hosts are asked while somebody waits: answers come the way that consoles' words come."""

from app.db.session import Sessions
from app.services.consoles import awaited, keep_answer
from app.services.context import Context
from tasks.messages import Answer, Question


def take_answer(sessions: Sessions, answer: Answer) -> None:
    """Keep what a host says for whoever asked."""
    keep_answer(sessions, answer.question, answer.model_dump_json(), answer.deadline)


def answer_to(context: Context, question: Question) -> Answer | None:
    """Return the answer to a question that was sent, or None if it does not come in time."""
    text = awaited(context, question.question, question.deadline)
    return None if text is None else Answer.model_validate_json(text)
