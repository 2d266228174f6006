"""The way to a console over a real broker: the host is told, its gate lets the bearer in."""

import asyncio

import pytest

from app.db.models import RoleAssignment
from app.services.remote_consoles import Visit
from tasks.errors import Conflict
from tests.pipeline.conftest import Plane
from workers.console.way import NotLetIn, enter


async def first_words(visit: Visit, word: bytes) -> bytes:
    try:
        reader, writer = await enter(visit, word)
        try:
            return await reader.read(100)
        finally:
            writer.close()
    finally:
        # What was closed is gone a moment later, and the loop must last until then.
        await asyncio.sleep(0.2)


def test_console_is_reached_through_the_gate_of_its_host(plane: Plane) -> None:
    with plane.host("h1"):
        server_id = plane.ended(plane.create()).server_id
        world = plane.world
        with plane.sessions.begin() as session:
            role = {"user_id": world.user_id, "project_id": world.project_id, "role": "member"}
            session.add(RoleAssignment(**role))
        visit, word = plane.visit(server_id, "vnc")
        with pytest.raises(NotLetIn):
            asyncio.run(first_words(visit, b"?" * 32))
        assert asyncio.run(first_words(visit, word)) == b"RFB 003.008\n"
        with pytest.raises(NotLetIn):
            asyncio.run(first_words(visit, word))
        plane.act(server_id, "stop")
        with pytest.raises(Conflict, match="is not ready"):
            plane.visit(server_id, "vnc")
