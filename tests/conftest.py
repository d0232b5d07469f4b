"""Fixtures, and the rule for tests that need a guest: skipped with a reason, never in CI."""

import os
import signal
from pathlib import Path

import pytest

from comparing import real  # noqa: F401 -- a fixture
from guests import guest
from support import Vivid, free_port, unavailable

# What is ignored stays ignored in the commands that tests start: as where a shell without job
# control runs the tests in the background.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def vivid() -> Vivid:
    return Vivid()


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
