"""What a run did."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long a stage of the frames' way took, in seconds, to three digits."""

    count: int
    """How many times there are."""
    least: float
    """The shortest."""
    mean: float
    """Their mean."""
    most: float
    """The longest."""
    percentiles: Mapping[str, float]
    """``p50``, ``p90``, ``p99`` and ``p99.9``, those of them that five samples or more lie beyond:
    a percentile that fewer carry is chance."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a run, or its state so far as a progress callback gets it.

    What describes the stream is None until that is known: for a sender once it
    has its buffers, for a receiver once the sender has said what it sends.
    """

    frames: int
    """Frames that were sent or received whole."""
    bytes: int
    """Their payload bytes."""
    seconds: float
    """From the first frame's end to the last one's."""
    fps: float | None
    """Frames a second over that time; None for fewer than two frames."""
    drops: int | None
    """Frames that the driver's sequence numbers skip; None if they can't tell. At a receiver
    these include what the sender dropped."""
    error_frames: int
    """Frames that the driver flagged as possibly corrupt (V4L2_BUF_FLAG_ERROR)."""
    stopped: bool
    """Whether ``stop()`` ended the run."""
    width: int | None = None
    """Pixels."""
    height: int | None = None
    """Pixels."""
    format: str | None = None
    """The pixel format's fourcc."""
    sizeimage: int | None = None
    """Bytes: no frame has more."""
    buffers: int | None = None
    """This side's buffers."""
    memory: str | None = None
    """``dmabuf``, ``mmap`` (the driver's own) or ``memfd`` (no DMABUF)."""
    heap: str | None = None
    """The heap that the buffers are from; None for the driver's own."""

    sender_drops: int | None = None
    """Frames that a sender dropped because the network was slow; None for a receiver."""
    zero_copy: bool | None = None
    """Whether a sender sent without a copy, to the end; None for a receiver."""
    zero_copy_reason: str | None = None
    """Why it did, or did not."""
    zero_copy_frames: int = 0
    """Frames handed to the network without a copy."""
    fallback_frames: int = 0
    """Of these, frames of which a part had to be copied: no room for locked pages."""
    waits_for_network: int = 0
    """Times that the source had no buffer left because the network was slow."""
    waits_for_completion: int = 0
    """Times that it had none though all was sent, because the kernel was late to say so."""

    stages: Mapping[str, Times] = field(default_factory=dict)
    """How long the stages of the frames' way took, those that were seen:

    - ``interval``, from one frame's dequeueing or arrival to the next one's;
    - ``capture_age``, at a sender: from the capture timestamp to the dequeueing, if the
      timestamps' clock is this machine's;
    - ``before_socket``: from there to the first byte handed to the socket;
    - ``into_socket``: from the first byte to the last;
    - ``until_completion``, without a copy: from there until it is learned that the kernel is
      done with all of them;
    - ``into_buffer``, at a receiver: from the frame header to the payload's last byte;
    - ``into_dump``: from there to the end of the write.
    """
    clock: str | None = None
    """The clock that capture timestamps are of, found out by comparing: ``monotonic``,
    ``boottime``, ``realtime`` or ``unknown``; None for a receiver, and before a frame came."""
    clock_reason: str | None = None
    """Why it is unknown."""

    @property
    def stream_unknown(self) -> bool:
        """Whether the run ended, or is, before it knew what the stream is."""
        return self.format is None

    @property
    def megabytes_per_second(self) -> float | None:
        """Payload in 10^6 bytes a second; None where ``fps`` is."""
        if self.fps is None:
            return None
        return self.fps * self.bytes / self.frames / 1e6
