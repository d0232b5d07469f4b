"""What a run did."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made_by
from typing import Literal


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


STAGES = {
    "capture_age": "capture to dequeue",
    "verify": "verify",
    "before_socket": "dequeue to socket",
    "into_socket": "into the socket",
    "until_completion": "until completed",
    "into_buffer": "into the buffer",
    "into_dump": "into the dump",
    "on_device": "on the device",
    "until_delivered": "until taken",
    "held": "held",
    "acknowledged": "until acknowledged",
    "transfer": "socket to buffer",
    "end_to_end": "capture to buffer",
    "end_to_end_corrected": "  with frames that a blocked sender missed",
}
"""What the stages that a summary has are called, in their order."""


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
    bursts: Mapping[int, int] | None
    """How many frames in a row they skip, and how often; None if they can't tell."""
    missing_bursts: Mapping[int, int] | None
    """How many frames in a row are missing between those that were sent or received, and how
    often: a sender's own drops and the driver's, as the receiver sees them. None if the sequence
    numbers can't tell."""
    error_frames: int
    """Frames that the driver flagged as possibly corrupt (V4L2_BUF_FLAG_ERROR)."""
    incomplete_frames: int
    """Frames that are not what the format says and that the driver did not flag: short, empty, or
    of other planes than described. Any is an ``IntegrityError``."""
    stopped: bool
    """Whether ``stop()`` ended the run."""
    due: bool = False
    """Whether ``duration`` ended it."""
    records_given_up: int = 0
    """Frames whose records were given up for later ones, by ``records_limit``."""
    field: str | None = None
    """The stream's field order as V4L2 names it, such as ``none``, ``interlaced`` or
    ``alternate``; None if it is unknown. Where fields alternate each frame here is one field, and
    all counts and rates are the fields'."""
    width: int | None = None
    """Pixels."""
    height: int | None = None
    """Pixels."""
    format: str | None = None
    """The pixel format's fourcc."""
    sizeimage: int | None = None
    """Bytes: no frame has more."""
    planes: int | None = None
    """Memory planes of a frame."""
    buffers: int | None = None
    """This side's buffers."""
    memory: Literal["dmabuf", "mmap", "memfd"] | None = None
    """``dmabuf``, ``mmap`` (the driver's own) or ``memfd`` (no DMABUF)."""
    heap: str | None = None
    """The heap that the buffers are from, as asked for or as ``auto`` chose it; None for the
    driver's own."""

    read_bytes_per_second: float | None = None
    """How fast the CPU reads this memory: memory that isn't cached explains a slow run."""

    protocol: Literal[1, 2, 3] | None = None
    """The wire version that is spoken."""
    captured: int | None = None
    """Frames that the source gave: those sent, dropped by the sender, and left over. This and
    what follows is None where this side doesn't know: a receiver learns it at the stream's end,
    by wire version 3."""
    sent: int | None = None
    """Frames that were sent whole."""
    driver_drops: int | None = None
    """Frames that the driver dropped, by its sequence numbers."""
    sender_drops: int | None = None
    """Frames that the sender dropped because the network was slow."""
    sender_bursts: Mapping[int, int] | None = None
    """How many of these were in a row, and how often; None for a receiver."""
    left_over: int | None = None
    """Frames that the source gave and that the run's end left unsent."""
    received: int | None = None
    """Frames that came whole."""
    lost: int | None = None
    """Frames that were sent and did not come."""
    receiver_drops: int | None = None
    """Frames that were sent after the receiver had as many as it wanted."""
    spoiled: int | None = None
    """Frames that arrived with another checksum; None without ``verify``."""
    unwritten: int | None = None
    """Frames that the driver did not write, or not whole; None without ``verify``, and for a
    receiver whose sender doesn't tell."""
    device_memory: Literal["dmabuf", "mmap"] | None = None
    """Whose memory a receiver's output device took frames from: the stream's buffers
    (``dmabuf``), or copies in its driver's own (``mmap``). This and what follows of a device is
    None where there is none."""
    device_memory_reason: str | None = None
    """Why frames were copied for the device; None if they were not."""
    device_shown: int | None = None
    """Frames that the device gave back: received = shown + dropped + in error + left."""
    device_drops: int | None = None
    """Frames that were not given to the device: it was slower than the stream, or they were
    empty."""
    device_errors: int | None = None
    """Frames that the device gave back in error (V4L2_BUF_FLAG_ERROR)."""
    device_left: int | None = None
    """Frames that the device had, or that waited for it, when the stream was over: drivers keep
    what they show until the next comes."""
    device_cpu_seconds: float | None = None
    """Seconds of CPU that the device's thread took, for ioctls and copies; 0 until it has
    ended."""
    unixfd_clients: int | None = None
    """Clients that came to a receiver's socket (``unixfd``). This and what follows of it is None
    where there is none."""
    unixfd_given: int | None = None
    """Frames that a client got, or several did: received = given + dropped + unclaimed."""
    unixfd_drops: int | None = None
    """Frames that no client had room for, since they kept those before, or that were not
    whole."""
    unixfd_unclaimed: int | None = None
    """Frames that came while no client was there."""
    verified_frames: int | None = None
    """Frames whose bytes were looked at; None without ``verify``."""
    zero_frames: int | None = None
    """Of these, frames whose every byte is 0."""
    repeated_frames: int | None = None
    """Of these, frames with the very bytes of the one before."""
    verify_cpu_seconds: float | None = None
    """CPU time that looking took."""
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

    stages: Mapping[str, Times] = made_by(default_factory=dict)
    """How long the stages of the frames' way took, those that were seen:

    - ``interval``, from one frame's dequeueing or arrival to the next one's;
    - ``jitter``, by how much an interval differs from the one before it;
    - ``capture_age``, at a sender: from the capture timestamp to the dequeueing, if the
      timestamps' clock is this machine's;
    - ``verify``: the look at the frame's bytes;
    - ``before_socket``: from the dequeueing to the first byte handed to the socket;
    - ``into_socket``: from the first byte to the last;
    - ``until_completion``, without a copy: from there until it is learned that the kernel is
      done with all of them;
    - ``into_buffer``, at a receiver: from the frame header to the payload's last byte;
    - ``into_dump``: from there to the end of the write;
    - ``until_delivered``: from when a consumer was offered a frame until it took it;
    - ``held``: from there until it let go of it;
    - ``transfer``: from the first byte handed to the sender's socket to the payload's last byte
      in the receiver's buffer, by the clocks' offset;
    - ``end_to_end``: the same from the capture timestamp;
    - ``transfer_corrected`` and ``end_to_end_corrected``: these, with the frames in them that
      did not come because the sender waited for one that was late;
    - ``acknowledged``, at a sender: from the first byte handed to the socket until the
      receiver's acknowledgement came, which no offset is in.
    """
    offset: float | None = None
    """Seconds by which the receiver's CLOCK_MONOTONIC is ahead of the sender's."""
    offset_bound: float | None = None
    """Seconds: the offset, and so a one-way time, is not farther off than this."""
    offset_drift: float | None = None
    """Seconds that the receiver's clock gains in a second."""
    round_trip: float | None = None
    """Seconds of the fastest clock reading, there and back."""
    clock_readings: int | None = None
    """Clock readings that were taken."""
    offset_reason: str | None = None
    """Why the offset is unknown, for the whole run or for some of its frames."""
    clock: Literal["monotonic", "boottime", "realtime", "unknown"] | None = None
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
