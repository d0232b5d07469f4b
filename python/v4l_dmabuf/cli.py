"""The commands `v4l-dmabuf-sender` and `v4l-dmabuf-receiver`.

Exit status: 0 what was asked for was done; 1 it failed; 2 usage; 3 the stream was
cut, or a frame of it is unaccounted for or spoiled; 130 it was interrupted before
it was done.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from types import FrameType
from typing import Any, TypeVar

from v4l_dmabuf import _core
from v4l_dmabuf.config import ReceiverConfig, SenderConfig
from v4l_dmabuf.endpoint import Receiver, Sender
from v4l_dmabuf.errors import (
    Error,
    IntegrityError,
    PeerLostError,
    PeerTimeoutError,
    TruncatedError,
)
from v4l_dmabuf.report import Report
from v4l_dmabuf.status import Status, claim_standard_streams, log_to_stderr, summary

End = TypeVar("End", Sender, Receiver)

_INTERRUPTED = 130
_UNSOUND = 3
_PARTING_SECONDS = 0.9
"""What a second signal leaves a run for its end, and for its report."""
_LOGGER = logging.getLogger("v4l_dmabuf")
_HEAPS = "/dev/dma_heap/NAME, /dev/udmabuf, or memfd (plain memory, no DMABUF)"


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {value}")
    return value


def _bytes(text: str) -> int:
    """Parse ``1073741824``, ``1024M`` or ``1G``."""
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    return int(text[:-1] if shift else text) << shift


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"KEY=VALUE, not {text!r}")
    return key, value


class _Options:
    """Command-line options that are the fields of a configuration class.

    The defaults are the class's own, so that there is one place for them.
    """

    def __init__(
        self, program: str, description: str, config_class: type[SenderConfig | ReceiverConfig]
    ) -> None:
        self.parser = argparse.ArgumentParser(
            prog=program,
            description=description,
            epilog="Exit status: 0 done, 1 failed, 2 usage, 3 the stream was cut or is not sound, "
            "130 interrupted.",
        )
        self._defaults = {field.name: field.default for field in fields(config_class)}

    def add(
        self,
        *flags: str,
        help: str,  # noqa: A002 -- argparse's own names
        type: Callable[[str], Any] = str,  # noqa: A002
        **more: Any,
    ) -> None:
        default = self._defaults[flags[-1].removeprefix("--").replace("-", "_")]
        if default is not MISSING and default is not None:
            help += f" (default: {default})"  # noqa: A001
        more.setdefault("metavar", flags[-1].removeprefix("--").upper())
        self.parser.add_argument(
            *flags,
            type=type,
            help=help,
            required=default is MISSING,
            default=argparse.SUPPRESS,
            **more,
        )

    def add_flag(self, flag: str, *, help: str) -> None:  # noqa: A002
        self.parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=help)

    def add_common(self) -> None:
        self.parser.add_argument(
            "-n", "--frames", type=_count, metavar="N", help="stop after N frames (default: never)"
        )
        self.add(
            "--peer-timeout",
            type=float,
            metavar="SECONDS",
            help="give up when the other side has not moved a byte for so long",
        )
        self.add("--report", metavar="FILE", help="write the result there, as JSON")
        self.add("--records", metavar="FILE", help="write a line a frame there, comma-separated")
        self.parser.add_argument(
            "--label", type=_label, action="append", dest="labels", metavar="KEY=VALUE",
            default=argparse.SUPPRESS, help="add to the result what it can't know by itself",
        )  # fmt: skip
        talk = self.parser.add_mutually_exclusive_group()
        talk.add_argument(
            "-v", "--verbose", dest="level", action="store_const", const=logging.DEBUG,
            default=logging.INFO, help="say more",
        )  # fmt: skip
        talk.add_argument(
            "-q", "--quiet", dest="level", action="store_const", const=logging.WARNING,
            help="say nothing but warnings and errors",
        )  # fmt: skip
        self.parser.add_argument("--version", action="version", version=_core.__version__)

    def parse(self, arguments: Sequence[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
        """Give all options, and those of them that are the configuration's."""
        options = self.parser.parse_args(arguments)
        given = {name: value for name, value in vars(options).items() if name in self._defaults}
        if "labels" in given:
            given["labels"] = dict(given["labels"])
        return options, given

    def make(self, endpoint: type[End], given: dict[str, Any]) -> End:
        """Make the endpoint; what its configuration refuses is a matter of usage."""
        try:
            return endpoint(**given)
        except ValueError as error:
            self.parser.error(str(error))


class _Signals:
    """SIGINT, SIGTERM, SIGHUP: the first ends a run at the end of its frame, the second at once.

    What is ignored when the program starts stays ignored, as SIGHUP under nohup.
    """

    def __init__(self) -> None:
        self.endpoint: Sender | Receiver | None = None
        self.aborted = False
        self._received = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._receive)
        # A terminal that lets no background job write would stop the run with the display.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.aborted or self.endpoint is None:
            # Nothing of ours is left half-done by this: the kernel takes the device and its
            # memory back, and a report is replaced as a whole.
            os._exit(_INTERRUPTED)
        if self._received:
            self.aborted = True
            _core.exit_within(_PARTING_SECONDS, _INTERRUPTED)
            self.endpoint._abort()
            return
        self._received = True
        self.endpoint.stop()
        _LOGGER.info("finishing the frame that is under way; once more to end at once")


def _run(
    endpoint: Sender | Receiver,
    options: argparse.Namespace,
    program: str,
    verb: str,
    signals: _Signals,
) -> int:
    display = log_to_stderr(program, options.level)
    signals.endpoint = endpoint
    failure: Error | None = None
    report: Report | None
    try:
        progress = Status(display, _LOGGER) if _LOGGER.isEnabledFor(logging.INFO) else None
        report = endpoint.run(options.frames, progress)
    except Error as error:
        failure, report = error, error.report
    display.clear()
    status = _tell(failure, report, options.frames, verb)
    for call in _core.under_way():
        _LOGGER.warning("%s delays the exit", call)
    display.end()
    return _INTERRUPTED if signals.aborted else status


def _tell(failure: Error | None, report: Report | None, frames: int | None, verb: str) -> int:
    """Say what came of a run, and give its exit status."""
    if report is not None and (failure is None or report.frames > 0):
        for text in summary(report, verb):
            _LOGGER.info("%s", text)
    if failure is not None:
        _LOGGER.error("%s", failure)
        return _UNSOUND if _is_unsound(failure) else 1
    if report is not None and frames is not None and report.frames < frames:
        if report.stopped:
            return _INTERRUPTED
        _LOGGER.error("the stream ended after %d of %d frames", report.frames, frames)
        return 1
    return 0


def _is_unsound(failure: Error) -> bool:
    """Tell a stream that can't be trusted from one that never was."""
    cut = isinstance(failure, TruncatedError | PeerLostError | PeerTimeoutError)
    had_begun = failure.report is not None and failure.report.protocol is not None
    return isinstance(failure, IntegrityError) or (cut and had_begun)


def sender_main(arguments: Sequence[str] | None = None) -> int:
    """Run `v4l-dmabuf-sender`; the result is its exit status."""
    claim_standard_streams()
    signals = _Signals()
    options = _Options(
        "v4l-dmabuf-sender",
        "Capture from a V4L2 device into DMABUFs and send the frames to v4l-dmabuf-receiver.",
        SenderConfig,
    )
    options.add("-d", "--device", help="V4L2 device, or a built-in source: 'test', 'test:still'")
    options.add("-a", "--address", help="the receiver: IPv4, IPv6 or a name")
    options.add("-p", "--port", type=int, help="the receiver's port")
    options.add("-W", "--width", type=int, metavar="PIXELS", help="capture width")
    options.add("-H", "--height", type=int, metavar="PIXELS", help="capture height")
    options.add("-f", "--format", metavar="FOURCC", help="pixel format, four characters")
    options.add("-b", "--buffers", type=int, metavar="N", help="number of buffers")
    options.add("-e", "--heap", help=f"where DMABUFs come from: {_HEAPS}; auto tries them")
    options.add(
        "-m", "--memory", choices=["auto", "dmabuf", "mmap"], metavar="MODE",
        help="capture into the heap's DMABUFs (dmabuf), into the driver's own buffers (mmap), "
        "or into the driver's if it refuses the heap's (auto)",
    )  # fmt: skip
    options.add(
        "--zero-copy", choices=["auto", "on", "off"], metavar="MODE",
        help="send without a copy: where it can be had (auto), or fail (on), or never (off)",
    )  # fmt: skip
    options.add(
        "--on-overrun", choices=["block", "drop-oldest", "drop-newest"], metavar="POLICY",
        help="when the network is slower than the source: leave it to the driver to drop (block), "
        "or send the freshest frame (drop-oldest), or the one that waits (drop-newest)",
    )  # fmt: skip
    options.add(
        "--protocol", type=int, choices=[1, 2, 3], metavar="VERSION",
        help="wire version; 2 for receivers that don't speak 3, as the C reference, and 1, which "
        "means the same, for those that take no other",
    )  # fmt: skip
    options.add_flag(
        "--verify", help="check that every byte arrives, and that the driver wrote it"
    )
    options.add("--fps", type=float, help="frames a second to ask for (default: the driver's)")
    options.add_common()
    chosen, given = options.parse(arguments)
    sender = options.make(Sender, given)
    return _run(sender, chosen, options.parser.prog, "sent", signals)


def receiver_main(arguments: Sequence[str] | None = None) -> int:
    """Run `v4l-dmabuf-receiver`; the result is its exit status."""
    claim_standard_streams()
    signals = _Signals()
    options = _Options(
        "v4l-dmabuf-receiver",
        "Receive a stream into DMABUFs, and write its frames to a file or a pipe.",
        ReceiverConfig,
    )
    options.add("-l", "--listen", metavar="ADDRESS", help="address to listen on, '::' for IPv6")
    options.add("-p", "--port", type=int, help="port to listen on")
    options.add("-e", "--heap", help=f"where DMABUFs come from: {_HEAPS}; auto tries them")
    options.add(
        "-o", "--output", metavar="PATH", help="write the frames there, '-' for standard output"
    )
    options.add(
        "--max-memory",
        type=_bytes,
        metavar="BYTES",
        help="what the buffers of a stream may take, K, M and G are understood",
    )
    options.add_common()
    chosen, given = options.parse(arguments)
    if given.get("output") == "-" and (sys.stdout is None or sys.stdout.isatty()):
        options.parser.error("output: standard output is not a file or a pipe")
    receiver = options.make(Receiver, given)
    return _run(receiver, chosen, options.parser.prog, "received", signals)
