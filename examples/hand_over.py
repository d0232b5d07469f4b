"""Hand a frame's DMABUF to another process by SCM_RIGHTS: `hand_over.py [DEVICE]`."""

import os
import socket
import sys

from v4l_dmabuf import Capture
from v4l_dmabuf.dmabuf import DmaBuf


def use(peer: socket.socket) -> None:
    """Take a frame in another process, and look at it where it lies."""
    header, fds, _, _ = socket.recv_fds(peer, 1 << 16, maxfds=8)
    with DmaBuf.from_header(header, fds) as buffer:
        print(f"frame {buffer.sequence}: {buffer.fourcc}, mean {buffer.array().mean():.1f}")
    peer.send(b"\n")  # done with it


def main(device: str = "/dev/video0") -> None:
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        use(theirs)
        return
    theirs.close()
    # The frame is held until the other process is done.
    with (
        Capture(device=device) as capture,
        capture.get(timeout=10) as frame,
        frame.dmabuf() as buffer,
    ):
        socket.send_fds(ours, [buffer.header()], buffer.fds)
        ours.recv(1)
    os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
