"""Be a camera: send pictures that this program draws: `generated.py ADDRESS PORT [FRAMES]`."""

import sys
import time

from v4l_dmabuf import Sender, Slot

RATE = 30
"""Frames a second."""


def main(address: str, port: str, frames: str = "300") -> None:
    begun = time.monotonic()
    count = 0

    def draw(slot: Slot) -> None:
        nonlocal count
        time.sleep(max(0.0, begun + count / RATE - time.monotonic()))
        picture = slot.array()  # the buffer that is sent
        picture[:] = 0
        picture[:, count % slot.width] = (255, 255, 255)  # a line that moves
        count += 1

    sender = Sender(
        address=address, port=int(port), format="RGB3", width=320, height=240, source=draw
    )
    print(sender.run(frames=int(frames)))


if __name__ == "__main__":
    main(*sys.argv[1:])
