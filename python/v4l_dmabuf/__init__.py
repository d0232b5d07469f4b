"""Capture V4L2 video into DMABUFs, send it over TCP, rebuild it in DMABUFs.

    from v4l_dmabuf import Receiver, Sender

    report = Sender(address="10.0.0.2", port=9000, width=1280, height=720).run(frames=100)
    report = Receiver(port=9000, output="capture.raw").run()

The package logs to the logger ``v4l_dmabuf`` and below, and configures nothing.
"""

import logging

from v4l_dmabuf._core import __version__
from v4l_dmabuf.config import ReceiverConfig, SenderConfig
from v4l_dmabuf.endpoint import Receiver, Sender
from v4l_dmabuf.errors import Error
from v4l_dmabuf.report import Report, Times

logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "Error",
    "Receiver",
    "ReceiverConfig",
    "Report",
    "Sender",
    "SenderConfig",
    "Times",
    "__version__",
]
