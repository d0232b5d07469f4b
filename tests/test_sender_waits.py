"""What a sender waits for, and for how long."""

import os
import socket
import struct
import threading
import time

import pytest

from reference import STREAM
from reference_v3 import RESULT, accept, answer, message, receive
from support import LOCALHOST, listening, receiver_command, sender_command
from v4l_dmabuf import Receiver


def test_what_a_receiver_says_beside_the_frames_is_passed_over(port: int) -> None:
    with listening(port) as server, sender_command(port, "-n", 50, "--fps", 100) as command:
        connection, control, taken = accept(server)
        with connection, control:
            threading.Thread(target=answer, args=(control,), daemon=True).start()
            for counter in receive(connection, taken):
                if counter < 40:
                    connection.sendall(message(99, b"of a later time"))
            control.sendall(message(RESULT, struct.pack(">3Q", 50, 0, 0)))
            connection.shutdown(socket.SHUT_WR)
            assert command.wait() == 0, command.stderr
    assert len(taken.frames) == 50


def test_version_1_differs_by_its_number(port: int) -> None:
    with (
        listening(port) as server,
        sender_command(port, "--protocol", 1, "-n", 1, "--width", 32, "--height", 16) as command,
    ):
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as stream:
            head = STREAM.unpack(stream.read(STREAM.size))
            assert head[1:4] == (1, 32, 16)
            stream.read()
        assert command.wait() == 0, command.stderr


def test_a_receiver_that_is_gone_at_once_may_speak_another_version(port: int) -> None:
    with listening(port) as server, sender_command(port, "--protocol", 2) as command:
        server.accept()[0].close()
        assert "--protocol 1" in command.error(status=3)


def test_a_forked_child_that_closes_its_copy_keeps_no_wait_awake(port: int) -> None:
    receiver = Receiver(listen=LOCALHOST, port=port, heap="memfd")
    run = threading.Thread(target=receiver.run)
    run.start()
    time.sleep(0.5)
    child = os.fork()
    if child == 0:
        receiver.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    before = time.process_time()
    time.sleep(1)
    used = time.process_time() - before
    assert run.is_alive(), "the child's close ended the parent's run"
    receiver.stop()
    run.join(10)
    assert not run.is_alive(), "a stop was lost"
    assert used < 0.5, f"the wait used {used} s of the CPU in a second"


@pytest.mark.parametrize("timeout", [1])
def test_a_source_that_is_silent_is_no_sender_that_is(port: int, timeout: int) -> None:
    """A frame every three seconds, where a sender may be silent for one."""
    with receiver_command(port, "--peer-timeout", timeout) as receiver:
        receiver.wait_for("listening on")
        with sender_command(port, "-n", 2, "--fps", 0.3) as sender:
            assert sender.wait() == 0, sender.stderr
        assert receiver.wait() == 0, receiver.stderr
