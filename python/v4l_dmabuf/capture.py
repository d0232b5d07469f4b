"""`Capture`: a device's frames, without a network."""

from typing import Unpack

from v4l_dmabuf import _core as core
from v4l_dmabuf.config import CaptureConfig
from v4l_dmabuf.endpoint import as_json, configuration
from v4l_dmabuf.keywords import CaptureKeywords
from v4l_dmabuf.runs import Runs
from v4l_dmabuf.streaming import Streaming


class Capture(Streaming[CaptureConfig]):
    """Captures from a V4L2 device into DMABUFs, for this program alone.

    Takes a `CaptureConfig`, or its fields as keywords. Nothing is opened before the first frame
    is asked for, or before `run`.
    """

    def __init__(
        self, config: CaptureConfig | None = None, /, **fields: Unpack[CaptureKeywords]
    ) -> None:
        super().__init__()
        self.config = configuration(CaptureConfig, config, fields)
        self._runs = Runs(core.Endpoint.capture(as_json(self.config)), self.config, "capture")
