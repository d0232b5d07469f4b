"""Fixtures, and the rule for tests that need a guest: skipped with a reason, never in CI."""

import os
from pathlib import Path

import pytest

import guest
from support import free_port


@pytest.fixture
def port() -> int:
    return free_port()


def _unavailable(reason: str) -> None:
    """Skip a test that can't run here; where CI runs, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to run this, and can't: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("vivid"):
        if os.geteuid() != 0:
            _unavailable("loading vivid with a test's own options needs root")
        if not Path("/sys/module/vivid").exists():
            _unavailable("vivid is not loaded here: make test runs this in a guest")
    if request.node.get_closest_marker("guests"):
        try:
            guest.check()
        except guest.NoGuestError as error:
            _unavailable(str(error))
