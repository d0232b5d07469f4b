"""Fixtures, and the rule for tests that need a guest: skipped with a reason, never in CI."""

import os
from pathlib import Path

import pytest

import guest
from support import free_port, unavailable


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("vivid"):
        if os.geteuid() != 0:
            unavailable("loading vivid with a test's own options needs root")
        if not Path("/sys/module/vivid").exists():
            unavailable("vivid is not loaded here: make test runs this in a guest")
    if request.node.get_closest_marker("guests"):
        try:
            guest.check()
        except guest.NoGuestError as error:
            unavailable(str(error))
