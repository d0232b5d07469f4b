"""Configuration objects refuse what can't work."""

import dataclasses
from typing import Any

import pytest

from v4l_dmabuf import Receiver, ReceiverConfig, Sender, SenderConfig


def test_a_sender_s_defaults_are_the_documented_ones() -> None:
    config = SenderConfig(address="10.0.0.2", port=9000)
    assert dataclasses.asdict(config) == {
        "address": "10.0.0.2",
        "port": 9000,
        "device": "/dev/video0",
        "width": 640,
        "height": 480,
        "format": "YUYV",
        "buffers": 4,
        "heap": "auto",
        "memory": "auto",
        "fps": None,
        "on_overrun": "block",
        "protocol": 3,
        "verify": False,
        "zero_copy": "auto",
        "peer_timeout": 30.0,
        "records": None,
        "report": None,
        "labels": {},
    }


def test_a_receiver_s_defaults_are_the_documented_ones() -> None:
    assert dataclasses.asdict(ReceiverConfig(port=9000)) == {
        "port": 9000,
        "listen": "0.0.0.0",
        "heap": "auto",
        "output": None,
        "max_memory": 1 << 30,
        "peer_timeout": 30.0,
        "records": None,
        "report": None,
        "labels": {},
    }


@pytest.mark.parametrize(
    "bad",
    [
        {"port": 0},
        {"port": 65536},
        {"port": -1},
        {"protocol": 1},
        {"protocol": 2, "verify": True},
        {"records": ""},
        {"address": ""},
        {"device": ""},
        {"width": 0},
        {"height": 0},
        {"height": 1 << 32},
        {"buffers": 0},
        {"format": "YUY"},
        {"format": "YUYVY"},
        {"format": "YÜYV"},
        {"format": ""},
        {"heap": "system"},
        {"heap": "/dev/dma_heap/"},
        {"heap": "/dev/dma_heap/.."},
        {"heap": "/etc/passwd"},
        {"memory": "userptr"},
        {"fps": 0.0},
        {"fps": -1.0},
        {"fps": float("nan")},
        {"fps": float("inf")},
        {"peer_timeout": 0.0},
        {"zero_copy": "yes"},
        {"on_overrun": "drop"},
        {"device": "test", "memory": "mmap"},
        {"device": "test:still", "memory": "mmap"},
        {"heap": "memfd"},
    ],
    ids=str,
)
def test_a_sender_refuses(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(reversed(bad))):
        Sender(**{"address": "::1", "port": 9000} | bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"port": 0},
        {"listen": ""},
        {"heap": "cma"},
        {"output": ""},
        {"max_memory": 0},
        {"max_memory": 1 << 64},
        {"peer_timeout": float("inf")},
    ],
    ids=str,
)
def test_a_receiver_refuses(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Receiver(**{"port": 9000} | bad)


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="port"):
        ReceiverConfig(port="9000")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="adress"):
        Sender(adress="::1", port=9000)
    with pytest.raises(TypeError, match="not both"):
        Receiver(ReceiverConfig(port=9000), port=9000)
    with pytest.raises(TypeError, match="SenderConfig"):
        Sender(ReceiverConfig(port=9000))  # type: ignore[arg-type]


def test_configurations_are_frozen() -> None:
    config = ReceiverConfig(port=9000)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.port = 1  # type: ignore[misc]


def test_formats_that_need_padding_or_a_suffix_are_taken() -> None:
    for name in ("Y16 ", "Y16 -BE", "RGB3"):
        Sender(address="::1", port=9000, format=name)
