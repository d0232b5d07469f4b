"""Dump and records: written beside the stream, by files and pipes that take their time or fail."""

import contextlib
import csv
import os
import shutil
import signal
import struct
import threading
import time
from pathlib import Path

import pytest

from reference import frame, pattern, stream_header
from reference_v3 import ACK, PING, PONG, end, greet, message, receive_message, result_of
from reference_v3 import frame as frame_v3
from support import connect, receiver, receiver_command, sender_command, transfer
from v4l_dmabuf import Sender

BIG = 256 * 1024
"""More than a pipe holds."""


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def big(counter: int) -> bytes:
    return frame_v3(bytes([counter]) * BIG, counter=counter)


@pytest.mark.parametrize("option", ["--output", "--records"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_receiver_listens_while_a_fifo_waits_for_its_reader_and_stops(
    port: int, fifo: Path, option: str, number: signal.Signals
) -> None:
    with receiver_command(port, option, fifo) as command:
        begun = time.monotonic()
        command.process.send_signal(number)
        assert command.wait() == 0, command.stderr
        assert time.monotonic() - begun < 5, "the FIFO made it deaf"
    assert "nothing received" in command.stderr


@pytest.mark.parametrize("option", ["--output", "--records"])
def test_a_fifo_s_reader_may_come_after_the_stream(port: int, fifo: Path, option: str) -> None:
    with receiver_command(port, option, fifo) as command, connect(port) as connection:
        connection.sendall(stream_header() + frame(b"first") + frame(b"second", sequence=1))
        command.wait_for("stream of")
        time.sleep(0.3)
        connection.close()
        read = fifo.read_bytes()
        assert command.wait() == 0, command.stderr
    if option == "--output":
        assert read == b"firstsecond"
    else:
        assert [row["bytes"] for row in csv.DictReader(read.decode().splitlines())] == ["5", "6"]


def test_the_sender_is_acknowledged_and_its_clock_read_while_nobody_takes_the_dump(
    port: int, fifo: Path
) -> None:
    """Only the buffers that there are can wait: then the stream waits, and loses nothing."""
    taken: list[bytes] = []
    with receiver_command(port, "-o", fifo) as command, connect(port) as connection:
        described = {
            "width": 512, "height": 512, "pixel_format": 0x59455247,
            "planes": [{"sizeimage": BIG}], "buffers": 2,
        }  # fmt: skip
        with greet(connection, port, described) as control:
            sending = threading.Thread(
                target=lambda: connection.sendall(b"".join(map(big, range(20))) + end(20, 20))
            )
            sending.start()
            for counter in range(2):
                told = receive_message(control)
                assert told is not None
                kind, body = told
                number, header, complete, done = struct.unpack(">4Q", body)
                assert (kind, number, done) == (ACK, counter, 0)
                assert 0 < header <= complete
            control.sendall(message(PING, struct.pack(">3Q", 7, 1, 0)))
            told = receive_message(control)
            assert told is not None
            assert told[0] == PONG, "the dump kept a ping from its answer"
            reading = threading.Thread(target=lambda: taken.append(fifo.read_bytes()))
            reading.start()
            assert result_of(control) == (20, 0, 0, "")
            sending.join()
            reading.join()
        assert command.wait() == 0, command.stderr
    assert taken == [b"".join(bytes([number]) * BIG for number in range(20))]


def test_a_stop_gives_up_a_dump_that_takes_nothing_and_says_so(
    port: int, fifo: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with (
        receiver_command(port, "-o", fifo, "--report", report) as command,
        connect(port) as connection,
        greet(connection, port, {
            "width": 512, "height": 512, "pixel_format": 0x59455247,
            "planes": [{"sizeimage": BIG}], "buffers": 4,
        }) as control,
    ):  # fmt: skip
        connection.sendall(big(0) + big(1))
        command.wait_for("stream of")
        time.sleep(0.3)
        begun = time.monotonic()
        command.process.terminate()
        received, _, _, failure = result_of(control)
        error = command.error()
        assert time.monotonic() - begun < 10, "the stop waited for the pipe's reader"
    os.close(reader)
    assert received == 2
    assert "it has taken nothing since, and 2 frames" in error
    assert "it has taken nothing since" in failure, "the sender was not told"
    assert '"frames": 2' in report.read_text()


def test_a_slow_reader_slows_the_stream_and_loses_nothing(port: int, fifo: Path) -> None:
    read: list[bytes] = []

    def take_slowly() -> None:
        with fifo.open("rb") as pipe:
            while part := pipe.read(100_000):
                read.append(part)
                time.sleep(0.005)

    reader = threading.Thread(target=take_slowly)
    reader.start()
    with (
        receiver_command(port, "-o", fifo) as command,
        sender_command(port, "-n", 12, "-W", 320, "-H", 240) as sender,
    ):
        assert sender.wait() == 0, sender.stderr
        assert command.wait() == 0, command.stderr
    reader.join()
    assert b"".join(read) == b"".join(pattern(number, 153_600, 240) for number in range(12))


def test_the_dump_s_time_is_the_receiver_s_to_know(port: int, tmp_path: Path) -> None:
    """Its acknowledgements leave before the frame is written."""
    paths = tmp_path / "sent", tmp_path / "received"
    sender = Sender(
        device="test", heap="memfd", address="127.0.0.1", port=port, records=paths[0]
    )  # fmt: skip
    with receiver(port, output=tmp_path / "dump", records=paths[1]) as ours:
        thread = threading.Thread(target=ours.run)
        thread.start()
        report = sender.run(frames=5)
        thread.join()
    rows = [list(csv.DictReader(path.read_text().splitlines())) for path in paths]
    assert [len(table) for table in rows] == [5, 5]
    assert [row["done"] for row in rows[0]] == [""] * 5
    assert all(row["acknowledged"] for row in rows[0])
    assert all(int(row["done"]) > int(row["complete"]) for row in rows[1])
    assert "into_dump" not in report.stages
    sender = Sender(device="test", heap="memfd", address="127.0.0.1", port=port, records=paths[0])
    transfer(sender, 2, port)
    for row in csv.DictReader(paths[0].read_text().splitlines()):
        assert row["done"] == row["complete"], "without a dump, it is done when it is complete"


def test_a_path_may_have_bytes_that_are_no_utf_8(port: int, tmp_path: Path) -> None:
    dump, records = (tmp_path / os.fsdecode(b"\xe4\xff-%s" % name) for name in (b"raw", b"csv"))
    sender = Sender(address="127.0.0.1", port=port, device="test", heap="memfd", records=records)
    transfer(sender, 2, port, output=dump)
    assert dump.stat().st_size == 2 * 640 * 480 * 2
    assert len(records.read_text().splitlines()) == 3


def test_what_goes_wrong_with_the_records_replaces_no_other_error(port: int) -> None:
    with receiver_command(port, "--records", "/dev/full") as command:
        with connect(port) as connection:
            connection.sendall(stream_header() + frame(b"whole") + frame(b"cut", bytesused=10))
        error = command.error(status=3)
    assert "7 of the 10 bytes of the payload of frame 2 are missing" in error
    assert "warning: cannot write the records /dev/full: No space left" in command.stderr


def test_records_alone_that_cannot_be_written_are_the_error(port: int) -> None:
    with receiver_command(port, "--records", "/dev/full") as command:
        with connect(port) as connection:
            connection.sendall(stream_header() + frame(b"whole"))
        assert "cannot write the records /dev/full: No space left" in command.error()


def test_records_that_find_no_room_end_with_a_whole_line(port: int, tmp_path: Path) -> None:
    prlimit = shutil.which("prlimit")
    assert prlimit is not None
    records = tmp_path / "records"
    with (
        receiver_command(
            port, "--records", records, wrapper=[prlimit, "--fsize=50000"]
        ) as command,
        sender_command(port, "-W", 16, "-H", 16),
    ):
        assert "raise the limit on file sizes" in command.error()
    text = records.read_text()
    assert 40_000 < len(text) < 50_000
    assert text.endswith("\n")
    lines = list(csv.reader(text.splitlines()))
    assert {len(line) for line in lines} == {14}


def test_an_interrupted_run_leaves_the_lines_of_its_frames(port: int, tmp_path: Path) -> None:
    records = tmp_path / "records"

    seen: list[int] = []

    def enough(report: object) -> None:
        seen.append(report.frames)  # type: ignore[attr-defined]
        if seen[-1] > 2:
            raise LookupError

    with (
        receiver(port, records=records, output=tmp_path / "dump") as ours,
        sender_command(port, "--fps", 50),
        contextlib.suppress(LookupError),
    ):
        ours.run(progress=enough)
    text = records.read_text()
    assert text.endswith("\n")
    assert len(text.splitlines()) - 1 >= seen[-1] > 2
    assert (tmp_path / "dump").stat().st_size % 614_400 == 0, "the dump ends inside a frame"
