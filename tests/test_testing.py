"""The pytest plugin: streams in people's own tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from rack import Rack, boards
from support import BIN

__all__ = ["boards"]

TESTS = """
import pytest

from v4l_dmabuf.testing import StreamError

SMALL = ["-d", "test", "-W", "64", "-H", "48", "-e", "memfd"]


def test_frames_arrive(vd_stream):
    ran = vd_stream.run(frames=20, sender=SMALL, receiver=["-e", "memfd"])
    assert ran.sent["summary"]["frames"] == ran.received["summary"]["frames"] == 20
    assert vd_stream.run(frames=5, sender=SMALL).sent["summary"]["frames"] == 5


def test_a_stream_that_fails_says_why(vd_stream):
    with pytest.raises(StreamError, match="sender on .*: .*/dev/null"):
        vd_stream.run(frames=1, sender=["-d", "/dev/null"])


def test_machines_run_commands(vd_sender, vd_receiver):
    print("from", vd_sender.name, "to", vd_receiver.name)
    assert vd_sender.run("echo yes") == b"yes\\n"
"""
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-s")


def run(folder: Path, *arguments: object, where: Rack | None = None) -> tuple[int, str]:
    path = folder / "test_own.py"
    path.write_text(TESTS)
    command = [*map(str, (*PYTEST, "-c", "/dev/null", "--rootdir", folder, path, *arguments))]
    done = subprocess.run(
        command if where is None else where.inside("hub", *command),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_streams_on_this_machine(tmp_path: Path) -> None:
    status, told = run(tmp_path, "-p", "v4l_dmabuf.testing")
    assert status == 0, told
    assert "from here to here" in told
    assert "3 passed" in told


def test_nothing_is_loaded_unasked(tmp_path: Path) -> None:
    status, told = run(tmp_path)
    assert status == 1
    assert "fixture 'vd_stream' not found" in told


def test_streams_between_targets(boards: Rack, tmp_path: Path) -> None:
    environment = ("--vd-environment", boards.environment, "--vd-bin", BIN, "--vd-port", 9000)
    ends = ("--vd-sender", "A", "--vd-receiver", "B")
    status, told = run(tmp_path, "-p", "v4l_dmabuf.testing", *environment, *ends, where=boards)
    assert status == 0, told
    assert "from A to B" in told
    assert "3 passed" in told


@pytest.mark.parametrize("end", ["--vd-sender", "--vd-receiver"])
def test_targets_of_nowhere_are_a_matter_of_usage(tmp_path: Path, end: str) -> None:
    status, told = run(tmp_path, "-p", "v4l_dmabuf.testing", end, "A")
    assert status == 4
    assert "are targets of --vd-environment" in told
