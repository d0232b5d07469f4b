"""What a peer says, or a file is called, is shown by the terminal and not obeyed."""

import json
import logging
from pathlib import Path

import pytest

from reference_v3 import REFUSE, RESULT, accept, description, end, frame, greet, message, receive
from support import LOCALHOST, connect, listening, receiver_command, sender_command
from v4l_dmabuf import Error, Receiver
from v4l_dmabuf.text import escaped

SPELL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202egone"
SHOWN = "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\x0d\\x0a\\u202egone"


def check(told: str) -> None:
    """Check that a program's words have the spell's letters and none of its effect."""
    assert SHOWN in told
    for active in "\x1b\x07\x9b\r\u202e":
        assert active not in told, f"{active!r} reached the terminal"


def test_what_the_sender_failed_of(port: int, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with receiver_command(port, "--report", report) as command:
        with connect(port) as connection, greet(connection, port):
            connection.sendall(frame(bytes(1024)) + end(1, 1, failure=SPELL.encode()))
        command.wait()
    check(command.stderr)
    check(json.loads(report.read_text())["error"])


def test_what_the_sender_says_of_itself(port: int) -> None:
    described = description(tool=SPELL, driver=SPELL, card=SPELL, hypervisor=SPELL)
    with receiver_command(port, "-v") as command:
        with connect(port) as connection, greet(connection, port, described):
            connection.sendall(frame(bytes(1024)) + end(1, 1))
        assert command.wait() == 0, command.stderr
    for active in "\x1b\x07\x9b\r\u202e":
        assert active not in command.stderr, f"{active!r} reached the terminal"


def test_why_the_receiver_refuses(port: int) -> None:
    with listening(port) as server, sender_command(port) as command:
        connection, _ = server.accept()
        with connection:
            connection.sendall(message(REFUSE, SPELL.encode()))
            command.wait()
    check(command.stderr)


def test_what_the_receiver_failed_of(port: int) -> None:
    with listening(port) as server, sender_command(port, "-n", 2) as command:
        connection, control, taken = accept(server)
        with connection, control:
            for _ in receive(connection, taken):
                pass
            control.sendall(message(RESULT, bytes(24) + SPELL.encode()))
        command.wait()
    check(command.stderr)


def test_a_file_s_name(port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    missing = tmp_path / "no such folder" / SPELL
    with receiver_command(port, "-o", tmp_path / SPELL) as command:
        with connect(port) as connection, greet(connection, port):
            connection.sendall(frame(bytes(1024)) + end(1, 1))
        assert command.wait() == 0, command.stderr
    check(command.stderr)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Error) as failed:
        Receiver(port=port, listen=LOCALHOST, heap="memfd", output=missing).run()
    check(str(failed.value))


def test_what_is_only_shown_stays() -> None:
    assert escaped(SPELL) == SHOWN
    assert escaped("Kamera „Süd“ 前 \\x1b 🎥") == "Kamera „Süd“ 前 \\x1b 🎥"
