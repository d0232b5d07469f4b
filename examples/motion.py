"""Say when a picture changes: `motion.py [DEVICE [FRAMES]]`."""

import sys

import numpy as np

from v4l_dmabuf import Capture

CHANGED = 8
"""Grey levels that the picture has to change by, on average."""


def main(device: str = "/dev/video0", frames: str = "0") -> None:
    before = None
    with Capture(device=device, width=640, height=480, on_overrun="drop-oldest") as capture:
        for number, frame in enumerate(capture, start=1):
            # Every eighth pixel's luma, copied: the frame goes back at once.
            luma = frame.array()[::8, ::8, 0].astype(np.int16)
            frame.release()
            if before is not None and np.abs(luma - before).mean() > CHANGED:
                print(f"{frame.timestamp_ns / 1e9:.3f} s: frame {frame.sequence} moves")
            before = luma
            if number == int(frames):
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
