"""What a failed run tells of its frames."""

import socket
import threading

from reference_v3 import end, frame, greet, result_of
from support import connect, receiver
from v4l_dmabuf.errors import IntegrityError, PeerLostError


def test_exceptions_carry_the_account(port: int) -> None:
    with receiver(port) as ours:
        caught: list[BaseException] = []

        def run() -> None:
            try:
                ours.run()
            except IntegrityError as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        with connect(port) as connection, greet(connection, port) as control:
            connection.sendall(frame(b"x") + end(5, 5))
            connection.shutdown(socket.SHUT_WR)
            assert result_of(control)[0] == 1
        thread.join(10)
    (error,) = caught
    assert isinstance(error, IntegrityError)
    assert error.report is not None
    assert (error.report.sent, error.report.received, error.report.lost) == (5, 1, 4)
    assert not isinstance(error, PeerLostError)
