"""The command `v4l-dmabuf-receiver`."""

import sys
from collections.abc import Sequence

from v4l_dmabuf.commands.display import claim_standard_streams
from v4l_dmabuf.commands.options import Options
from v4l_dmabuf.commands.run import Signals, run
from v4l_dmabuf.config import ReceiverConfig
from v4l_dmabuf.receiver import Receiver


def receiver_main(arguments: Sequence[str] | None = None) -> int:
    """Run `v4l-dmabuf-receiver`; the result is its exit status."""
    claim_standard_streams()
    signals = Signals()
    options = Options(
        "v4l-dmabuf-receiver",
        "Receive a stream into DMABUFs, and write its frames to a file or a pipe.",
        ReceiverConfig,
    )
    chosen, given = options.parse(arguments)
    if given.get("output") == "-" and (sys.stdout is None or sys.stdout.isatty()):
        options.parser.error("output: standard output is not a file or a pipe")
    receiver = options.make(Receiver, given)
    return run(receiver, chosen, options.parser.prog, "received", signals)
