"""The scene of the tests of drift."""

import pytest

from app.db.session import Sessions
from tests.services.drift.scene import Scene


@pytest.fixture
def scene(sessions: Sessions) -> Scene:
    return Scene(sessions)
