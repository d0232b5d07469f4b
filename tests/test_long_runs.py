"""Runs that last: how they end, what they write, and what they come to have."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from streams import Ends, streaming
from support import (
    LOCALHOST,
    free_port,
    receiver,
    receiver_command,
    sender_command,
    transfer,
)
from v4l_dmabuf import Capture, Receiver, Sender, errors
from v4l_dmabuf.option import duration
from v4l_dmabuf.resources import Resources, look, slope


def built_in(port: int, **fields: Any) -> Sender:
    own: dict[str, Any] = {"device": "test", "heap": "memfd", "width": 64, "height": 48}
    return Sender(address=LOCALHOST, port=port, **own | fields)


def test_a_sender_ends_after_its_duration(port: int) -> None:
    sent, received = transfer(built_in(port, fps=100.0, duration=1.0), 100_000, port)
    assert sent.due
    assert not sent.stopped
    # It begins with the first frame, and ends with a whole one.
    assert 50 < sent.frames <= 102
    assert received.frames == sent.frames == received.sent
    assert not received.due


def test_a_receiver_ends_after_its_duration(port: int) -> None:
    with streaming(receiver(port, duration=1.0), built_in(port, fps=100.0), 100_000) as ends:
        deadline = time.monotonic() + 20
        while ends.sent is None:
            assert time.monotonic() < deadline, "the receiver is to end the stream"
            time.sleep(0.02)
    assert ends.error is None
    assert ends.report is not None
    assert ends.report.due
    assert 50 < ends.report.frames <= 102


def test_a_capture_ends_after_its_duration() -> None:
    capture = Capture(device="test", heap="memfd", width=64, height=48, duration=0.5)
    begun = time.monotonic()
    report = capture.run(10_000_000)
    assert report.due
    assert time.monotonic() - begun < 10


def test_a_duration_is_no_wait_for_a_source_that_is_silent(port: int) -> None:
    sender = Sender(address=LOCALHOST, port=port, device="feed", heap="memfd", duration=0.5)
    end = receiver(port)
    receiving = threading.Thread(target=end.run)
    with end:
        receiving.start()
        begun = time.monotonic()
        with sender.feed() as feed:
            slot = feed.acquire()
            slot.array()[:] = 0
            feed.submit(slot)
            receiving.join(20)
        assert time.monotonic() - begun < 10, "the stream was to end by itself"
    assert not receiving.is_alive()


def test_what_was_asked_for_is_done_after_the_duration(tmp_path: Path, port: int) -> None:
    reports = [tmp_path / "received.json", tmp_path / "sent.json"]
    with receiver_command(port, "--report", reports[0]) as receiving:
        options = ("--fps", "50", "-n", "100000", "--duration", "1s", "--report", reports[1])
        with sender_command(port, *options) as sending:
            assert sending.wait() == 0, sending.stderr
        assert receiving.wait() == 0, receiving.stderr
    assert "complete" in sending.stderr
    for report in reports:
        assert json.loads(report.read_text())["outcome"] == "complete"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("7d", 604800)],
)
def test_a_duration_is_as_people_write_it(text: str, seconds: float) -> None:
    assert duration(text) == seconds


def test_a_duration_that_is_none_is_a_matter_of_usage(port: int) -> None:
    for text in ("soon", "1w", "-5", "0", "m5", "nan"):
        with sender_command(port, f"--duration={text}") as sending:
            assert sending.wait() == 2, text
            assert "duration" in sending.stderr


def test_the_starting_order_does_not_matter(port: int) -> None:
    with sender_command(port, "-n", "10", "--connect-for", "20") as sending:
        sending.wait_for("waiting for a receiver")
        with receiver_command(port) as receiving:
            assert sending.wait() == 0, sending.stderr
            assert receiving.wait() == 0, receiving.stderr
    assert sending.stderr.count("waiting for a receiver") == 1


def test_nobody_is_waited_for_longer_than_told(port: int) -> None:
    begun = time.monotonic()
    with pytest.raises(errors.ConnectError, match="start the receiver first"):
        built_in(port, connect_for=1.0).run(1)
    assert 0.7 < time.monotonic() - begun < 10


def test_who_waits_for_a_receiver_heeds_ctrl_c(port: int) -> None:
    with sender_command(port, "-n", "10", "--connect-for", "600") as sending:
        sending.wait_for("waiting for a receiver")
        begun = time.monotonic()
        sending.process.send_signal(signal.SIGINT)
        assert sending.wait() == 130, sending.stderr
    assert time.monotonic() - begun < 5


def lines_of(path: Path) -> list[str]:
    head, *lines = path.read_text().splitlines()
    assert head.startswith("counter,")
    return lines


def test_records_stay_within_their_limit_and_are_the_last(tmp_path: Path, port: int) -> None:
    records, frames, limit = tmp_path / "records.csv", 20_000, 256 * 1024
    sender = built_in(port, records=records, records_limit=limit)
    sent, _ = transfer(sender, frames, port)
    aside = tmp_path / "records.csv.1"
    assert sorted(tmp_path.iterdir()) == [records, aside]
    sizes = [path.stat().st_size for path in (aside, records)]
    assert sum(sizes) <= limit
    assert sizes[0] > limit / 4
    kept = lines_of(aside) + lines_of(records)
    assert len(kept) + sent.records_given_up == frames
    assert sent.records_given_up > 0
    # Nothing is missing between those that are kept.
    counters = [int(line.split(",")[0]) for line in kept]
    assert counters == list(range(frames - len(kept), frames))


def test_records_within_their_limit_are_one_file(tmp_path: Path, port: int) -> None:
    records = tmp_path / "records.csv"
    sent, _ = transfer(built_in(port, records=records, records_limit=1 << 20), 100, port)
    assert list(tmp_path.iterdir()) == [records]
    assert len(lines_of(records)) == 100
    assert sent.records_given_up == 0


def test_what_is_no_file_can_have_no_limit(tmp_path: Path, port: int) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(errors.OutputError, match="it is no file"):
        built_in(port, records=fifo, records_limit=1 << 20).run(1)


def test_a_result_tells_what_the_process_had(tmp_path: Path, port: int) -> None:
    path = tmp_path / "result.json"
    transfer(built_in(port, report=path), 10, port)
    resources = json.loads(path.read_text())["resources"]
    assert resources["looks"] >= 2
    for name in ("rss", "descriptors", "threads"):
        told = resources[name]
        assert 0 < told["first"] <= told["most"]
        assert 0 < told["last"] <= told["most"]
        assert told["slope"] is None, "of a run of less than ten minutes"
    assert resources["dmabufs"]["most"] == 0


def test_a_run_that_can_t_be_recorded_leaves_nobody_looking(tmp_path: Path) -> None:
    sender = built_in(free_port(), report=tmp_path / "nowhere" / "result.json")
    for _ in range(3):
        with pytest.raises(errors.OutputError):
            sender.run(1)
    deadline = time.monotonic() + 10
    while any(thread.name == "v4l-dmabuf-resources" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "threads were left"
        time.sleep(0.02)


def test_a_slope_is_what_grows_after_the_beginning() -> None:
    # A run of an hour that gets 50 MB in its first minutes, and then 1 kB a second.
    values = [(at, min(at, 300) * 166_667 + max(0, at - 300) * 1000) for at in range(0, 3600, 10)]
    grown = slope([(float(at), int(value)) for at, value in values])
    assert grown is not None
    assert 990 < grown < 1010
    assert slope([(float(at), at) for at in range(0, 599, 10)]) is None
    assert slope([]) is None


LOOKS = """
import tracemalloc
from v4l_dmabuf.resources import Resources

resources = Resources(interval=1000)
for _ in range(36):
    resources._take()
tracemalloc.start()
for _ in range(324):
    resources._take()
print(tracemalloc.get_traced_memory()[0], resources.end()["looks"])
"""


def test_looks_at_resources_take_next_to_none_of_them() -> None:
    # In a process of its own: other tests' threads would be counted.
    told = subprocess.run(
        [sys.executable, "-c", LOOKS], capture_output=True, text=True, check=True
    ).stdout
    taken, looks = map(int, told.split())
    assert looks == 362, "an hour has as many"
    assert taken < 64 << 10, "what is looked at grows by no look"


def test_looks_are_bounded_however_long_a_run_is() -> None:
    resources = Resources(interval=0.0005)
    time.sleep(1.5)
    held = [os.pipe() for _ in range(10)]
    told = resources.end()
    for descriptors in held:
        for descriptor in descriptors:
            os.close(descriptor)
    assert told["looks"] <= 513
    assert told["descriptors"]["last"] - told["descriptors"]["first"] == 20


@pytest.mark.vivid
def test_dmabufs_are_counted_by_their_exporter() -> None:
    gc.collect()
    before = look()
    # 12 buffers of 614,400 bytes, each of two descriptors at most.
    with Receiver(port=free_port(), heap="/dev/dma_heap/system", buffers=12) as end:
        sender = Sender(
            address=LOCALHOST, port=end.config.port, device="test", heap="memfd", fps=50.0
        )
        with streaming(end, sender, 100_000, Ends()) as ends:
            deadline = time.monotonic() + 20
            while end.report is None or end.report.frames == 0:
                assert time.monotonic() < deadline, "no frame came"
                time.sleep(0.02)
            during = look()
    assert ends.error is None
    assert during["dmabufs"] - before["dmabufs"] == 12
    assert during["dmabuf_bytes"] - before["dmabuf_bytes"] == 12 * 614_400
    assert during["dmabuf_bytes:system"] >= 12 * 614_400
