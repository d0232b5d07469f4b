"""The keywords of endpoints, as type checkers have them: the fields of their configurations."""

import os
from collections.abc import Mapping
from typing import Literal, TypedDict

from v4l_dmabuf.config import Overrun


class _Recorded(TypedDict, total=False):
    records: str | os.PathLike[str] | None
    records_limit: int | None
    duration: float | None
    report: str | os.PathLike[str] | None
    labels: Mapping[str, str]


class _Shown(TypedDict, total=False):
    view: str | int | None
    view_fps: float
    view_width: int


class CaptureKeywords(_Recorded, total=False):
    """The fields of `CaptureConfig`."""

    device: str | os.PathLike[str]
    width: int
    height: int
    format: str
    buffers: int
    heap: str | os.PathLike[str]
    memory: Literal["auto", "dmabuf", "mmap"]
    fps: float | None
    on_overrun: Overrun


class SenderKeywords(CaptureKeywords, _Shown, total=False):
    """The fields of `SenderConfig`."""

    address: str
    port: int
    protocol: Literal[1, 2, 3]
    verify: bool
    zero_copy: Literal["auto", "on", "off"]
    connect_for: float
    peer_timeout: float


class ReceiverKeywords(_Shown, _Recorded, total=False):
    """The fields of `ReceiverConfig`."""

    port: int
    listen: str
    heap: str | os.PathLike[str]
    output: str | os.PathLike[str] | None
    device: str | os.PathLike[str] | None
    device_memory: Literal["auto", "dmabuf", "mmap"]
    device_on_overrun: Overrun
    unixfd: str | os.PathLike[str] | None
    on_overrun: Overrun
    buffers: int | None
    max_memory: int
    peer_timeout: float
