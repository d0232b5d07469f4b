"""Real runs between two guests, one after the other, each leaving a result a side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.between_guests import HDMI, WEBCAM
from guests.link import RECEIVER_ADDRESS, Ends
from guests.remote import Remote, remotes

FRAMES = 120
SLOW = 30
"""The webcam's fastest rate that is a whole number; HDMI's timings begin above."""
_PORT = 9000
_CAMERA = "v4l2-ctl -d /dev/video0"


class RunFailedError(Exception):
    """A run between the guests did not end well."""


@dataclass(frozen=True)
class Setup:
    """What is done to the guests for a run."""

    width: int = 640
    height: int = 480
    rate: int = 60
    """Frames a second that the camera gives."""
    delay_ms: float = 0.0
    """What the link is delayed by, each way."""
    dropped_percent: int = 0
    """Of its frames, those that the driver drops."""


class Guests:
    """Two guests that runs are made between."""

    def __init__(self, a: Remote, b: Remote) -> None:
        """Use guest ``a``, with the camera, and ``b``."""
        self.a, self.b = a, b
        self._setup: Setup | None = None
        for guest in (a, b):
            guest.run("modprobe sch_netem")

    def set_up(self, setup: Setup) -> None:
        """Make the camera and its link so."""
        if setup == self._setup:
            return
        pixels = f"width={setup.width},height={setup.height},pixelformat=YUYV"
        if setup.rate <= SLOW:
            rate = f"{_CAMERA} --set-parm={setup.rate}"
            self.a.run(f"{_CAMERA} -i {WEBCAM} -v {pixels} && {rate}")
        else:
            timings = f"--set-dv-bt-timings cvt,width=640,height=480,fps={setup.rate}"
            self.a.run(f"{_CAMERA} -i {HDMI} {timings} && {_CAMERA} -v {pixels}")
        self.a.run(f"{_CAMERA} -c percentage_of_dropped_buffers={setup.dropped_percent}")
        # Timestamps before the frame, so that ages can be told.
        self.a.run(f"{_CAMERA} -c timestamp_source=1")
        for guest in (self.a, self.b):
            guest.run('tc qdisc del dev "$link" root 2>/dev/null; true')
            if setup.delay_ms:
                delay = f"netem delay {setup.delay_ms}ms limit 10000"
                guest.run(f'tc qdisc add dev "$link" root {delay}')
        self._setup = setup

    def run(
        self,
        setup: Setup,
        *,
        frames: int = FRAMES,
        sender: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a run with the ``sender``'s settings; gives its result."""
        self.set_up(setup)
        self.b.ask("receive", frames=frames, port=_PORT)
        try:
            told = self.a.ask(
                "send",
                frames=frames,
                address=RECEIVER_ADDRESS,
                port=_PORT,
                width=setup.width,
                height=setup.height,
                **(sender or {}),
            )
        finally:
            ended = self.b.ask("received")
        if "result" not in told or not ended["ended"]:
            raise RunFailedError(f"a run did not end well: {told}, {ended}")
        document: dict[str, Any] = told["result"]
        return document

    def offset_by_the_host(self) -> tuple[float, float]:
        """Give by how many seconds B's clock is ahead of A's, as this machine sees both.

        And how far that may be off: each guest's clock is read between two readings of this
        machine's, the closest two of many.
        """
        (a, doubt_a), (b, doubt_b) = (_against_here(guest) for guest in (self.a, self.b))
        return b - a, doubt_a + doubt_b


def _against_here(guest: Remote) -> tuple[float, float]:
    best = (0.0, float("inf"))
    for _ in range(300):
        before = time.monotonic()
        there = guest.ask("clock")["monotonic"]
        after = time.monotonic()
        doubt = (after - before) / 2
        if doubt < best[1]:
            best = (there - (before + after) / 2, doubt)
    return best


@contextmanager
def guests(ends: Ends) -> Iterator[Guests]:
    """Boot both."""
    with remotes(ends) as (a, b):
        yield Guests(a, b)
