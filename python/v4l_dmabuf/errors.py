"""The exceptions of the package.

All derive from `Error`, and each from the builtin that fits it, so that a
script may catch either. Those that are an `OSError` have its attributes filled:
``errno``, ``strerror``, and ``filename`` (the path or the peer's address).
"""

import errno as errno_numbers
from typing import Any

from v4l_dmabuf.report import Report


class Error(Exception):
    """Base of the package's exceptions.

    ``str()`` of it is one line: the operation, its object, the cause, and what
    to do next. ``report`` tells what was done until then, or is None if the
    run had not come to a stream.
    """

    def __init__(
        self,
        message: str,
        *,
        errno: int | None = None,
        strerror: str | None = None,
        filename: str | None = None,
        report: Report | None = None,
    ) -> None:
        if isinstance(self, OSError):
            super().__init__(errno or errno_numbers.EIO, strerror or message, filename)
        else:
            super().__init__(message)
        self.message = message
        self.report = report

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        fields: dict[str, Any] = {"report": self.report}
        if isinstance(self, OSError):
            fields |= {"errno": self.errno, "strerror": self.strerror, "filename": self.filename}
        return _rebuild, (type(self), self.message, fields)


def _rebuild(cls: type[Error], message: str, fields: dict[str, Any]) -> Error:
    """Make an exception anew when it is unpickled."""
    return cls(message, **fields)


class DeviceError(Error, OSError):
    """An operation on the V4L2 device failed."""


class DeviceNotFoundError(DeviceError, FileNotFoundError):
    """There is no such device."""


class DevicePermissionError(DeviceError, PermissionError):
    """The user may not use the device."""


class DeviceBusyError(DeviceError):
    """Another program is using the device."""


class NotACaptureDeviceError(DeviceError):
    """The path is not a V4L2 device that captures video."""


class NotAnOutputDeviceError(DeviceError):
    """The path is not a V4L2 device that takes video."""


class DeviceGoneError(DeviceError):
    """The device was unplugged while it was used."""


class ImportRefusedError(DeviceError):
    """The driver does not take the heap's DMABUFs."""


class ZeroCopyError(Error, OSError):
    """Frames have to be sent without a copy (``zero_copy="on"``), and can't be."""


class FormatError(Error, ValueError):
    """The device does not have that pixel format, or the wire can't carry it."""


class HeapError(Error, OSError):
    """An operation on a heap, or on a buffer from it, failed."""


class HeapNotFoundError(HeapError, FileNotFoundError):
    """There is no such heap."""


class HeapPermissionError(HeapError, PermissionError):
    """The user may not allocate from the heap."""


class HeapExhaustedError(HeapError, MemoryError):
    """The heap has no memory left, or no buffer of that size."""


class AddressError(Error, OSError):
    """An address does not resolve, or can't be listened on."""


class PeerError(Error, ConnectionError):
    """The other side can't be reached, or went away."""


class RefusedError(PeerError):
    """The receiver refuses the stream; the message has its reason."""


class ConnectError(PeerError):
    """The receiver can't be connected to."""


class ConnectRefusedError(ConnectError, ConnectionRefusedError):
    """Nothing listens at the receiver's address."""


class PeerLostError(PeerError):
    """The other side closed the connection before the stream's end."""


class PeerTimeoutError(PeerError, TimeoutError):
    """The other side was silent, or took nothing, for too long."""


class ProtocolError(Error, ValueError):
    """The other side's bytes are not this protocol, or break a rule of it."""


class LimitError(ProtocolError):
    """The sender asks for more memory than ``max_memory``."""


class TruncatedError(ProtocolError, EOFError):
    """The stream ended inside a header or a payload."""


class IntegrityError(Error, ValueError):
    """The run came to its end, and a frame of it is unaccounted for or spoiled.

    The report tells which counts don't add up.
    """


class NoFrameError(Error, TimeoutError):
    """No frame came in time."""


class StreamEndedError(Error):
    """There are no more frames: the stream has ended."""


class FramesHeldError(Error, BufferError):
    """No frame can come, since the one who asks for it holds all buffers that he may.

    Release frames, copy those that are to be kept, or have more buffers.
    """


class OutputError(Error, OSError):
    """The dump can't be opened or written."""


class SystemCallError(Error, OSError):
    """A system call failed that has no reason to."""
