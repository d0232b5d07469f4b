"""Each example runs as it stands, with the built-in source as its device."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from support import LOCALHOST, connect, free_port, receiver_command, sender_command

EXAMPLES = Path(__file__).parent.parent / "examples"

# OpenCV without windows: a picture that would be shown is looked at, and a key ends it.
NO_WINDOW = """
import runpy, sys
import cv2
shown = []
cv2.imshow = lambda title, picture: shown.append(picture.shape)
cv2.waitKey = lambda milliseconds: ord("q") if len(shown) == 5 else -1
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert shown == [(480, 640, 3)] * 5, shown
"""


def start(name: str, *arguments: object, code: str | None = None) -> "subprocess.Popen[str]":
    example = str(EXAMPLES / f"{name}.py")
    words = [example] if code is None else ["-c", code, example]
    return subprocess.Popen(
        [sys.executable, *words, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def output(process: "subprocess.Popen[str]") -> str:
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    return told


def wait_until_it_listens(port: int, process: "subprocess.Popen[str]") -> None:
    while process.poll() is None:
        try:
            connect(port).close()
        except ConnectionRefusedError:
            continue
        return
    pytest.fail(f"it ended: {process.communicate()}")


def test_every_example_is_short_and_run_here() -> None:
    tested = Path(__file__).read_text()
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert len(names) == 8
    for name in names:
        assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 40, name
        assert f'"{name}"' in tested, f"{name} is run by no test"


def test_live_view() -> None:
    output(start("live_view", "test", code=NO_WINDOW))


def test_stills(port: int, tmp_path: Path) -> None:
    with start("stills", port, tmp_path) as process:
        wait_until_it_listens(port, process)
        size = ("--width", 64, "--height", 48, "--format", "RGB3")
        with sender_command(port, "-n", 25, *size) as sender:
            assert sender.wait() == 0, sender.stderr
        assert "frames=25" in output(process)
    pictures = sorted(tmp_path.glob("*.png"))
    assert [path.stem for path in pictures] == ["frame-000000", "frame-000010", "frame-000020"]
    with Image.open(pictures[0]) as picture:
        assert picture.size == (64, 48)


def test_motion() -> None:
    assert "moves" in output(start("motion", "test", 20))
    assert output(start("motion", "test:still", 20)) == ""


def test_relay(port: int, tmp_path: Path) -> None:
    onward = free_port()
    dump = tmp_path / "dump"
    with (
        receiver_command(onward, "-o", dump) as receiver,
        start("relay", port, LOCALHOST, onward) as process,
    ):
        wait_until_it_listens(port, process)
        with sender_command(port, "-n", 20, "--width", 64, "--height", 48) as sender:
            assert sender.wait() == 0, sender.stderr
        assert "received=20" in output(process)
        assert receiver.wait() == 0, receiver.stderr
    assert dump.stat().st_size == 20 * 64 * 48 * 2


def test_hand_over() -> None:
    told = output(start("hand_over", "test"))
    assert told.startswith("frame 0: YUYV, mean "), told


def test_two_cameras() -> None:
    told = output(start("two_cameras", "test", "test:still", 10)).splitlines()
    assert sum(line.startswith("test:") and "still" not in line for line in told) == 10
    assert sum(line.startswith("test:still:") for line in told) == 10


def test_generated(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    with receiver_command(port, "-o", dump) as receiver:
        assert "sent=10" in output(start("generated", LOCALHOST, port, 10))
        assert receiver.wait() == 0, receiver.stderr
    frame = dump.read_bytes()[-320 * 240 * 3 :]
    white = [x for x in range(320) if frame[3 * x : 3 * x + 3] == b"\xff\xff\xff"]
    assert white == [9], "the tenth frame's line is in its tenth column"


def test_model_rate() -> None:
    assert "frames a second" in output(start("model_rate", "test", 20))
