"""The summary of a run: what a person reads, in lines of 80 columns at most."""

import dataclasses
import random
import re
from typing import Any

import pytest

from support import receiver_command, sender_command
from v4l_dmabuf import Report, Times
from v4l_dmabuf.commands.summary import WIDTH, summary

TIMES = Times(count=9, least=1e-9, mean=1.0, most=4e5, percentiles={"p50": 1e-7, "p99": 2e3})


def report(**changes: Any) -> Report:
    """Give a sender's report of a stream that went well."""
    given: dict[str, Any] = {
        "frames": 300, "bytes": 184_320_000, "seconds": 10.0, "fps": 29.9, "drops": 0,
        "bursts": {}, "missing_bursts": {}, "error_frames": 0, "incomplete_frames": 0,
        "stopped": False, "field": "none", "width": 640, "height": 480, "format": "YUYV",
        "sizeimage": 614_400, "planes": 1, "buffers": 4, "memory": "dmabuf",
        "heap": "/dev/udmabuf", "protocol": 3, "captured": 310, "sent": 300, "driver_drops": 0,
        "sender_drops": 8, "sender_bursts": {8: 1}, "left_over": 2, "received": 299, "lost": 1,
        "receiver_drops": 0, "zero_copy": True, "zero_copy_reason": "the network can",
        "stages": {"capture_age": TIMES, "into_socket": TIMES}, "offset_bound": 1e-5,
    }  # fmt: skip
    return Report(**{**given, **changes})


def row(lines: list[str], label: str) -> str:
    (found,) = (line for line in lines if line.startswith(label))
    return " ".join(found.split())


def test_the_verdict_is_first_and_the_balance_adds_up() -> None:
    lines = summary(report(), "sent", "not sound")
    assert lines[0].startswith("not sound sent 300 frames, 184320000 bytes in 10.00 s: 29.90 fps")
    assert row(lines, "captured") == (
        "captured 310 = 300 sent + 8 dropped by the sender + 2 left over"
    )
    assert row(lines, "sent") == "sent 300 = 299 received + 1 lost in transit"
    assert row(lines, "capture to dequeue") == "capture to dequeue 0.000 2000000 400000000"


def test_what_is_unknown_is_last_and_says_why() -> None:
    lines = summary(
        report(drops=None, driver_drops=None, clock_reason="no clock", offset_reason="no answer"),
        "sent",
        "complete",
    )
    assert [line.split()[0] for line in lines[-3:]] == ["unknown"] * 3
    assert "no answer" in lines[-1]


@pytest.mark.parametrize("seed", range(200))
def test_no_line_is_too_long_whatever_is_told(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- no secret
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(Report):
        kind = str(field.type)
        if chance.random() < 0.5 or field.name == "format":
            continue
        if chance.random() < 0.3 and "None" in kind:
            changes[field.name] = None
        elif kind.startswith("int"):
            changes[field.name] = chance.choice([0, 1, 2**31, 2**64 - 1])
        elif kind.startswith("float"):
            changes[field.name] = chance.choice([0.0, 1e-9, 1.5, 1e12])
        elif kind.startswith("str"):
            changes[field.name] = "a long word or two " * chance.randrange(20)
    lines = summary(report(**changes), "received", "cut short")
    too_long = [line for line in lines if len(line) > WIDTH]
    assert not too_long, "\n".join(too_long)


def test_a_pipe_gets_the_same_without_colour(port: int) -> None:
    with receiver_command(port) as end, sender_command(port, "-n", 20, "--fps", 100) as sender:
        assert sender.wait() == end.wait() == 0, sender.stderr
    for told, verb in ((sender.stderr, "sent"), (end.stderr, "received")):
        assert re.search(f"^complete +{verb} 20 frames, ", told, re.MULTILINE), told
        assert "\x1b" not in told
        assert re.search("^milliseconds +median +99 % +longest$", told, re.MULTILINE), told
