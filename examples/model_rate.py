"""Measure how many frames a second a model takes in: `model_rate.py [DEVICE [FRAMES]]`.

The model gets its input by DLPack, from the buffer that the frame was captured into. Here it is
NumPy; PyTorch's `torch.from_dlpack` takes a frame in the same place.
"""

import sys
import time

import numpy as np

from v4l_dmabuf import Capture


def model(tensor: np.ndarray) -> float:
    """Stand for a model: its first layer reads every pixel once."""
    return float(tensor.mean())


def main(device: str = "/dev/video0", frames: str = "100") -> None:
    taken, begun = 0, time.monotonic()
    with Capture(device=device, width=640, height=480, on_overrun="drop-oldest") as capture:
        for frame in capture:
            model(np.from_dlpack(frame))
            taken += 1
            if taken == int(frames):
                break
        seconds = time.monotonic() - begun
        deliveries = capture.deliveries
    dropped = deliveries.consumer_drops if deliveries else 0
    print(f"{taken / seconds:.1f} frames a second, {dropped} dropped meanwhile")


if __name__ == "__main__":
    main(*sys.argv[1:])
