"""Tests that share a libvirt or the machine's network run in one worker, and what workers tell each
other is short (tests/conftest.py)."""

import os

import pytest


@pytest.mark.lab
def test_what_shares_the_host_has_its_group(request: pytest.FixtureRequest) -> None:
    """pytest-xdist groups by a suffix of the node's id, and says nothing where it cannot."""
    assert request.node.get_closest_marker("xdist_group").args == ("host",)
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@host")


def test_names_of_tests_are_short(request: pytest.FixtureRequest) -> None:
    """pytest-xdist sends each of them several times."""
    names = [item.nodeid for item in request.session.items]
    assert [f"{name[:100]}: {len(name)}" for name in names if len(name) > 2000] == []
