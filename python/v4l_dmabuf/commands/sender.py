"""The command `v4l-dmabuf-sender`."""

from collections.abc import Sequence

from v4l_dmabuf.commands.display import claim_standard_streams
from v4l_dmabuf.commands.options import Options
from v4l_dmabuf.commands.run import Signals, run
from v4l_dmabuf.config import SenderConfig
from v4l_dmabuf.sender import Sender


def sender_main(arguments: Sequence[str] | None = None) -> int:
    """Run `v4l-dmabuf-sender`; the result is its exit status."""
    claim_standard_streams()
    signals = Signals()
    options = Options(
        "v4l-dmabuf-sender",
        "Capture from a V4L2 device into DMABUFs and send the frames to v4l-dmabuf-receiver.",
        SenderConfig,
    )
    chosen, given = options.parse(arguments)
    sender = options.make(Sender, given)
    return run(sender, chosen, options.parser.prog, "sent", signals)
