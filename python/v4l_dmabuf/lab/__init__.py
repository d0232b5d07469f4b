"""Streams between machines: what `v4l-dmabuf-lab` and the pytest plugin run.

A `Host` is a machine by its shell: this one, or a labgrid target behind ssh. `transfer` runs one
stream between two of them, and `rounds` several, in turn. Needs the package's extra ``lab`` for
labgrid targets.
"""

from v4l_dmabuf.lab.host import Host, HostError, this_machine
from v4l_dmabuf.lab.rounds import Side, rounds
from v4l_dmabuf.lab.transfer import End, Stream, Transfer, transfer

__all__ = [
    "End",
    "Host",
    "HostError",
    "Side",
    "Stream",
    "Transfer",
    "rounds",
    "this_machine",
    "transfer",
]
