"""`Receiver`: a stream's frames into DMABUFs."""

from typing import Self, Unpack

from v4l_dmabuf import _core as core
from v4l_dmabuf.config import ReceiverConfig
from v4l_dmabuf.endpoint import as_json, configuration
from v4l_dmabuf.keywords import ReceiverKeywords
from v4l_dmabuf.runs import Runs
from v4l_dmabuf.streaming import Streaming


class Receiver(Streaming[ReceiverConfig]):
    """Receives a stream into DMABUFs: gives its frames, or writes them to a file or a pipe.

    Takes a `ReceiverConfig`, or its fields as keywords. As a context manager
    it listens from the beginning, so that a sender may be started.
    """

    def __init__(
        self, config: ReceiverConfig | None = None, /, **fields: Unpack[ReceiverKeywords]
    ) -> None:
        super().__init__()
        self.config = configuration(ReceiverConfig, config, fields)
        self._receiver = core.Endpoint.receiver(as_json(self.config))
        self._runs = Runs(self._receiver, self.config, "receiver")

    def listen(self) -> None:
        """Bind and listen now rather than in `run`. May be called again.

        After `stop` it leaves that off: the stop is the next run's, which ends at once.

        Raises:
            AddressError: the address can't be listened on.

        """
        self._check_open()
        self._receiver.listen()

    def close(self) -> None:
        """Stop the run, let the address go, and allow no other run. May be called again."""
        super().close()
        self._receiver.unlisten()

    def __enter__(self) -> Self:
        self.listen()
        return super().__enter__()
