"""Lanes: several Byres side by side, each carrying out one case after another, since most of a
case is waiting. A test waits for its case's outcome; only the cases that were selected are run."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.crash import mail
from tests.crash.cases import PROPERTY, Case, Outcome, carry_out
from tests.crash.lane import ROLES, open_lane
from tests.crash.nursery import Nursery

#: Lanes by the database that each has. More of them than this keep two cores too busy for the
#: times that are asserted.
KINDS = ("postgresql", "sqlite", "sqlite")

#: A test waits so long for its turn and its outcome.
PATIENCE_S = 280.0


class Lanes:
    """Carries out cases in several lanes."""

    def __init__(self, cases: list[Case], directory: Path, nurseries: dict[str, Nursery]) -> None:
        self._directory, self._nurseries = directory, nurseries
        self._waiting = list(cases)
        self._futures: dict[str, Future[Outcome]] = {case.name: Future() for case in cases}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(f"lane-{number}", kind), daemon=True)
            for number, kind in enumerate(KINDS)
        ]
        for thread in self._threads:
            thread.start()

    def outcome(self, case: Case) -> Outcome:
        """Wait for a case's outcome. Raises TimeoutError, and what kept a lane from opening."""
        return self._futures[case.name].result(PATIENCE_S)

    def close(self) -> None:
        """Begin no more cases, and wait for those under way."""
        self._closed.set()
        for thread in self._threads:
            thread.join(120)

    def _next(self, kind: str) -> Case | None:
        """Return the first case that this lane may have; PostgreSQL's lane has those first that
        only it can have."""
        with self._lock:
            if self._closed.is_set():
                return None
            own = [c for c in self._waiting if c.needs_postgres] if kind == "postgresql" else []
            free = own or [case for case in self._waiting if not case.needs_postgres]
            if not free:
                return None
            self._waiting.remove(free[0])
            return free[0]

    def _work(self, name: str, kind: str) -> None:
        case = self._next(kind)
        turn = 0
        while case is not None:
            turn += 1
            with ExitStack() as stack:
                try:
                    directory = self._directory / f"{name}-{turn}"
                    lane = open_lane(stack, name, directory, kind, self._nurseries)
                except Exception as error:  # noqa: BLE001 - told to the test that waits
                    self._futures[case.name].set_exception(error)
                    case = self._next(kind)
                    continue
                while case is not None:
                    outcome = carry_out(lane, case)
                    self._futures[case.name].set_result(outcome)
                    case = self._next(kind)
                    if outcome.lost or outcome.leaked:
                        # What went wrong must not spoil the cases after it.
                        break


def case_of(item: pytest.Item) -> Case | None:
    """Return the case that a test is about; None if it is about something else."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("case") if callspec else None
    return case if isinstance(case, Case) else None


@pytest.fixture(scope="session")
def lanes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lanes]:
    """The lanes, with all cases that this session has selected."""
    chosen = list(filter(None, map(case_of, request.session.items)))
    restore = mail.install(None)
    nurseries = {role: Nursery(role) for role in ROLES}
    opened = Lanes(chosen, tmp_path_factory.mktemp("crash"), nurseries)
    try:
        yield opened
    finally:
        opened.close()
        for nursery in nurseries.values():
            nursery.close()
        restore()


@pytest.fixture
def outcome(request: pytest.FixtureRequest, lanes: Lanes, case: Case) -> Outcome:
    """How the test's case ended."""
    ended = lanes.outcome(case)
    request.node.user_properties.append((PROPERTY, asdict(ended)))
    return ended
