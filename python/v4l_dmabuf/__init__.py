"""Capture V4L2 video into DMABUFs, send it over TCP, rebuild it in DMABUFs.

    from v4l_dmabuf import Receiver, Sender

    report = Sender(address="10.0.0.2", port=9000, width=1280, height=720).run(frames=100)
    report = Receiver(port=9000, output="capture.raw").run()

``for frame in Receiver(port=9000)`` gives the frames themselves, and `Capture` those of a device
on this machine: views of the DMABUFs that they are in.

The package logs to the logger ``v4l_dmabuf`` and below, and configures nothing.
"""

import logging

from v4l_dmabuf._core import __version__
from v4l_dmabuf.capture import Capture
from v4l_dmabuf.config import CaptureConfig, ReceiverConfig, SenderConfig
from v4l_dmabuf.dmabuf import DmaBuf
from v4l_dmabuf.errors import Error, FramesHeldError, NoFrameError, StreamEndedError
from v4l_dmabuf.feed import Feed, Slot
from v4l_dmabuf.frames import Deliveries, Frame, Plane, Subscription
from v4l_dmabuf.receiver import Receiver
from v4l_dmabuf.report import Report, Times
from v4l_dmabuf.sender import Sender

logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "Capture",
    "CaptureConfig",
    "Deliveries",
    "DmaBuf",
    "Error",
    "Feed",
    "Frame",
    "FramesHeldError",
    "NoFrameError",
    "Plane",
    "Receiver",
    "ReceiverConfig",
    "Report",
    "Sender",
    "SenderConfig",
    "Slot",
    "StreamEndedError",
    "Subscription",
    "Times",
    "__version__",
]
