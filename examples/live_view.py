"""Show a device's pictures in a window, the freshest first: `live_view.py [DEVICE]`."""

import sys

import cv2

from v4l_dmabuf import Capture


def main(device: str = "/dev/video0") -> None:
    # Drawing may take its time: what it is too slow for is dropped here, and slows nobody.
    with Capture(device=device, width=640, height=480, on_overrun="drop-oldest") as capture:
        for frame in capture:
            # A view of the DMABUF; OpenCV converts it into memory of its own.
            picture = cv2.cvtColor(frame.array(), cv2.COLOR_YUV2BGR_YUYV)
            frame.release()
            cv2.imshow(device, picture)
            if cv2.waitKey(1) == ord("q"):
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
