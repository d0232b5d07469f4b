"""A receiver that talks without end keeps its sender from no stop and no deadline."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from reference_v3 import ACCEPT, BOUND, RESULT, end, greet, message, result_of
from reference_v3 import frame as frame_v3
from support import connect, listening, receiver_command, sender_command

UNKNOWN = message(1000, b"of a later time")


@contextlib.contextmanager
def saying(connection: socket.socket, what: bytes) -> Iterator[None]:
    """Have a peer say the same again and again, until it is gone."""
    done = threading.Event()

    def say() -> None:
        with contextlib.suppress(OSError):
            while not done.is_set():
                connection.sendall(what * 1000)

    thread = threading.Thread(target=say)
    thread.start()
    try:
        yield
    finally:
        done.set()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def reach(server: socket.socket, where: str, stack: contextlib.ExitStack) -> socket.socket:
    """Take a sender up to where it waits for the offer's answer or its control connection's."""
    connection = stack.enter_context(server.accept()[0])
    if where == "offer":
        return connection
    connection.sendall(message(ACCEPT, bytes(16)))
    return stack.enter_context(server.accept()[0])


@pytest.mark.parametrize("where", ["offer", "bind"])
def test_a_stop_is_heeded_while_a_receiver_talks_and_agrees_to_nothing(
    port: int, where: str
) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(listening(port))
        command = stack.enter_context(sender_command(port))
        with saying(reach(server, where, stack), UNKNOWN):
            time.sleep(0.5)
            begun = time.monotonic()
            command.process.terminate()
            assert command.wait() == 0, command.stderr
            assert time.monotonic() - begun < 5, "talk held up the stop"


def test_a_receiver_that_talks_and_agrees_to_nothing_is_given_up(port: int) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(listening(port))
        command = stack.enter_context(sender_command(port))
        with saying(reach(server, "bind", stack), UNKNOWN):
            assert "it did not answer in time" in command.error()


def test_results_without_end_are_no_answer_to_a_clock_reading(port: int) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(listening(port))
        command = stack.enter_context(sender_command(port, "-n", "1"))
        connection = stack.enter_context(server.accept()[0])
        connection.sendall(message(ACCEPT, bytes(16)))
        control = stack.enter_context(server.accept()[0])
        control.sendall(message(BOUND))
        with saying(control, message(RESULT, struct.pack(">3Q", 1, 0, 0))):
            while connection.recv(1 << 20):
                pass
            connection.close()
            command.wait()
    assert "panicked" not in command.stderr


@pytest.mark.parametrize("talk", [UNKNOWN, message(1000)])
def test_a_sender_may_talk_between_its_frames(port: int, talk: bytes) -> None:
    """The other way round: what a receiver doesn't know it passes over, and loses no frame."""
    with receiver_command(port) as command, connect(port) as connection:
        with greet(connection, port) as control:
            for counter in range(3):
                connection.sendall(talk * 1000 + frame_v3(b"x", counter=counter))
            connection.sendall(talk + end(3, 3))
            assert result_of(control) == (3, 0, 0, "")
        assert command.wait() == 0, command.stderr
