"""Our own two ends against each other, byte for byte."""

import json
import logging
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import av
import pytest

from reference import YUYV, frame, pattern, stream_header
from support import LOCALHOST, Command, connect, receiver_command, sender_command, transfer
from v4l_dmabuf import Sender


@pytest.mark.parametrize(
    ("width", "height", "pixel_format", "size"),
    [
        (640, 480, "YUYV", 614_400),
        (1, 1, "GREY", 1),
        (33, 17, "RGB3", 1683),
        (66, 35, "NV12", 3465),
        (1366, 768, "YUYV", 2_098_176),
    ],
)
def test_every_byte_arrives(
    port: int, tmp_path: Path, width: int, height: int, pixel_format: str, size: int
) -> None:
    dump = tmp_path / "dump"
    sender = Sender(
        device="test",
        heap="memfd",
        address="127.0.0.1",
        port=port,
        width=width,
        height=height,
        format=pixel_format,
    )
    sent, received = transfer(sender, 9, port, dump)
    assert (sent.frames, sent.bytes, sent.drops) == (9, 9 * size, 0)
    assert (received.frames, received.bytes, received.drops) == (9, 9 * size, 0)
    assert sent.sizeimage == received.sizeimage == size
    with dump.open("rb") as file:
        for number in range(9):
            assert file.read(size) == pattern(number, size, height), f"frame {number} differs"
        assert file.read() == b""


def test_both_ends_find_memory_without_being_told(port: int, tmp_path: Path) -> None:
    """As the README's commands stand: where there is no DMABUF they warn, and go on."""
    dump = tmp_path / "dump"
    with Command(
        "receiver", "--port", port, "--output", dump, "--report", tmp_path / "report"
    ) as end:
        end.wait_for("listening on")
        with Command("sender", "-d", "test", "-a", "127.0.0.1", "-p", port, "-n", 2) as sender:
            assert sender.wait() == 0, sender.stderr
        assert end.wait() == 0, end.stderr
    assert dump.read_bytes() == pattern(0, 614_400, 480) + pattern(1, 614_400, 480)
    result = json.loads((tmp_path / "report").read_text())
    heap = result["summary"]["heap"]
    for said in (end.stderr, sender.stderr):
        assert "heap auto: " in said
        assert ("warning: heap auto: plain memory (memfd), no DMABUF" in said) == (heap == "memfd")
    assert result["settings"]["heap"] == "auto"


def test_a_picture_that_stands_still_is_the_first_one_again_and_again(
    port: int, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    still = Sender(
        device="test:still", heap="memfd", address="127.0.0.1", port=port, width=333, verify=True
    )
    sent, received = transfer(still, 9, port, dump)
    size = 333 * 480 * 2
    assert dump.read_bytes() == pattern(0, size, 480) * 9
    assert sent.repeated_frames == received.repeated_frames == 8
    assert (sent.unwritten, received.spoiled) == (0, 0)


def test_a_name_and_ipv6_reach_the_receiver(port: int) -> None:
    for listen, address in (("::1", "::1"), ("::", "127.0.0.1"), ("localhost", "localhost")):
        with Command("receiver", "-l", listen, "-p", port, "-e", "memfd") as end:
            end.wait_for("listening on")
            with Command(
                "sender", "-d", "test", "-e", "memfd", "-a", address, "-p", port, "-n", 2
            ) as sender:
                assert sender.wait() == 0, sender.stderr
            assert end.wait() == 0, end.stderr


def test_standard_output_is_for_data_alone(port: int) -> None:
    with (
        receiver_command(port, "-o", "-", "-v", stdout=subprocess.PIPE) as end,
        sender_command(port, "-n", 3, "-W", 64, "-H", 32) as sender,
    ):
        assert end.process.stdout is not None
        data = end.process.stdout.read()
        assert end.wait() == 0, end.stderr
        assert sender.wait() == 0, sender.stderr
    assert data == b"".join(pattern(number, 4096, 32) for number in range(3))


def test_what_reads_the_pipe_may_go_away(port: int) -> None:
    with (
        receiver_command(port, "-o", "-", stdout=subprocess.PIPE) as end,
        sender_command(port) as sender,
    ):
        assert end.process.stdout is not None
        end.process.stdout.read(1000)
        end.process.stdout.close()
        end.process.stdout = None
        told = "the program that reads it has ended"
        assert told in end.error()
        assert told in sender.error(status=3), "the receiver has not told the sender why"


def test_a_pipe_that_nobody_reads_does_not_make_it_deaf(port: int) -> None:
    with (
        receiver_command(port, "-o", "-", stdout=subprocess.PIPE) as end,
        sender_command(port, "--peer-timeout", "60"),
    ):
        assert end.process.stdout is not None
        end.process.stdout.read(1)  # of the first frame, which is larger than the pipe
        end.process.send_signal(signal.SIGINT)
        end.wait_for("once more to end at once")
        end.process.send_signal(signal.SIGINT)
        assert end.wait() == 130


def test_a_limit_on_the_file_leaves_whole_frames_and_says_how_many(
    port: int, tmp_path: Path
) -> None:
    prlimit = shutil.which("prlimit")
    assert prlimit is not None
    dump = tmp_path / "dump"
    with (
        receiver_command(port, "-o", dump, wrapper=[prlimit, "--fsize=10000"]) as end,
        sender_command(port, "-W", 64, "-H", 32) as sender,
    ):
        error = end.error()
        assert str(dump) in sender.error(status=3)
    assert str(dump) in error
    assert "2 whole frames, 8192 bytes" in error
    assert dump.read_bytes() == pattern(0, 4096, 32) + pattern(1, 4096, 32)


def test_a_device_that_is_full_is_named(port: int) -> None:
    with receiver_command(port, "-o", "/dev/full") as end, sender_command(port):
        error = end.error()
    assert "/dev/full: No space left on device" in error
    assert "0 whole frames" in error


def test_a_dump_is_emptied_only_when_a_stream_comes(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_bytes(b"of another day" * 1000)
    with receiver_command(port, "-o", dump) as end:
        assert dump.stat().st_size > 0
        with connect(port) as connection:
            connection.sendall(stream_header() + frame(b"new"))
        assert end.wait() == 0, end.stderr
    assert dump.read_bytes() == b"new"


def test_a_fifo_is_an_output(port: int, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        with receiver_command(port, "-o", fifo) as end, connect(port) as connection:
            connection.sendall(stream_header() + frame(b"through the pipe"))
            connection.close()
            assert end.wait() == 0, end.stderr
        assert reader.stdout is not None
        assert reader.stdout.read() == b"through the pipe"
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def raw_formats() -> list[str]:
    """Give the formats that the built-in source knows, as its refusal lists them."""
    with pytest.raises(ValueError, match="use one of") as refused:
        Sender(device="test", heap="memfd", address=LOCALHOST, port=1, format="MJPG").run()
    return str(refused.value).split("use one of ")[1].split(", ")


@pytest.mark.parametrize("pixel_format", raw_formats())
def test_ffmpeg_reads_the_dump_with_the_options_that_are_told(
    port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, pixel_format: str
) -> None:
    dump = tmp_path / "dump"
    caplog.set_level(logging.INFO)
    sender = Sender(
        device="test",
        heap="memfd",
        address=LOCALHOST,
        port=port,
        width=64,
        height=48,
        format=pixel_format,
    )
    transfer(sender, 3, port, dump)
    (command,) = (text for text in caplog.messages if text.startswith("to watch: ffplay "))
    words = iter(command.split(f" -i {dump}")[0].split()[3:])
    options = {name.removeprefix("-"): value for name, value in zip(words, words, strict=True)}
    with av.open(str(dump), "r", format=options.pop("f"), options=options) as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert frames == [(64, 48)] * 3


def test_the_commands_that_show_the_dump_are_exact(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "a dump's file"
    with receiver_command(port, "-o", dump) as end:
        with connect(port) as connection:
            connection.sendall(
                stream_header(width=640, height=480, pixelformat=YUYV, sizeimage=614400)
            )
        assert end.wait() == 0, end.stderr
    quoted = f"'{tmp_path}/a dump'\\''s file'"
    options = "-f rawvideo -pixel_format yuyv422 -video_size 640x480"
    assert f"ffplay {options} -i {quoted}\n" in end.stderr
    assert f"ffmpeg {options} -i {quoted} OUTPUT.mkv\n" in end.stderr
