"""The tool that runs commands in guests."""

import subprocess
import sys

import pytest

from guests.guest import CHECKOUT

pytestmark = [pytest.mark.guests, pytest.mark.timeout(300)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "guests.guest", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
    )


def test_output_and_exit_status_are_the_command_s() -> None:
    done = run("--vivid", "multiplanar=2", "--", "echo out; echo err >&2; ls /dev/video0; exit 42")
    assert done.returncode == 42, done.stderr
    assert done.stdout == "out\n/dev/video0\n"
    how, *told = done.stderr.splitlines()
    assert "KVM" in how
    assert told == ["err"]


def test_a_guest_that_hangs_is_ended_and_its_console_shown() -> None:
    # Where others want the processor too, an emulated guest takes most of it to come up.
    hung = run("--timeout", "90", "--", "echo here I am > /dev/kmsg; sleep 1000")
    assert hung.returncode == 125
    assert "did not end within 90 s" in hung.stderr
    assert "here I am" in hung.stderr
