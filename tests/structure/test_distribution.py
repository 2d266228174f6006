"""Tests that share the machine's network or processors run in one worker (tests/conftest.py)."""

import os

import pytest


@pytest.mark.lab
def test_what_shares_the_host_has_its_group(request: pytest.FixtureRequest) -> None:
    """pytest-xdist groups by a suffix of the node's id, and says nothing where it cannot."""
    assert request.node.get_closest_marker("xdist_group").args == ("host",)
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@host")
