"""Whether the result of a run keeps to limits."""

from v4l_dmabuf.check.figures import Figure, figure
from v4l_dmabuf.check.judge import check
from v4l_dmabuf.check.limits import AtLeast, AtMost, Limit, LimitError, Required, from_toml

__all__ = [
    "AtLeast",
    "AtMost",
    "Figure",
    "Limit",
    "LimitError",
    "Required",
    "check",
    "figure",
    "from_toml",
]
