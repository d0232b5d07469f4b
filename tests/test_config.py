"""Configuration objects refuse what can't work."""

import dataclasses
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from v4l_dmabuf import CaptureConfig, Receiver, ReceiverConfig, Sender, SenderConfig
from v4l_dmabuf.errors import DeviceNotFoundError
from v4l_dmabuf.keywords import CaptureKeywords, ReceiverKeywords, SenderKeywords
from v4l_dmabuf.probe import probe

GIVEN: dict[str, Any] = {"address": "::1", "port": 9000}


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
        "connect_for": 0.0,
        "peer_timeout": 30.0,
        "view": None,
        "view_fps": 5.0,
        "view_width": 320,
        "records": None,
        "records_limit": None,
        "duration": None,
        "report": None,
        "labels": {},
    }


def test_a_receiver_s_defaults_are_the_documented_ones() -> None:
    assert dataclasses.asdict(ReceiverConfig(port=9000)) == {
        "port": 9000,
        "listen": "0.0.0.0",
        "heap": "auto",
        "output": None,
        "device": None,
        "device_memory": "auto",
        "device_on_overrun": "drop-oldest",
        "unixfd": None,
        "on_overrun": "block",
        "buffers": None,
        "max_memory": 1 << 30,
        "peer_timeout": 30.0,
        "view": None,
        "view_fps": 5.0,
        "view_width": 320,
        "records": None,
        "records_limit": None,
        "duration": None,
        "report": None,
        "labels": {},
    }


@pytest.mark.parametrize(
    "bad",
    [
        {"port": 0},
        {"port": 65536},
        {"port": -1},
        {"protocol": 4},
        {"protocol": 2, "verify": True},
        {"records_limit": 1 << 20},
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
        Sender(**GIVEN | bad)


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


FIELDS = [(SenderConfig, one.name) for one in dataclasses.fields(SenderConfig)] + [
    (ReceiverConfig, one.name) for one in dataclasses.fields(ReceiverConfig)
]


class Nothing:
    """What stands for no setting."""


@pytest.mark.parametrize("value", [Nothing(), b"/dev/video0", [9000], 1j], ids=repr)
@pytest.mark.parametrize(("config", "name"), FIELDS)
def test_values_of_other_types_are_refused_by_the_field_s_name(
    config: type, name: str, value: object
) -> None:
    given = {"address": "::1"} if config is SenderConfig else {}
    with pytest.raises(TypeError) as refused:
        config(**{"port": 9000} | given | {name: value})
    told = str(refused.value)
    assert re.match(rf"{name} is .*, not ", told), told
    assert type(value).__name__ in told, "what came is not told"


@pytest.mark.parametrize(("config", "name"), FIELDS)
def test_none_is_taken_where_it_is_the_default(config: type, name: str) -> None:
    given = {"address": "::1"} if config is SenderConfig else {}
    fields = {"port": 9000} | given | {name: None}
    default = next(one.default for one in dataclasses.fields(config) if one.name == name)
    if default is None:
        assert getattr(config(**fields), name) is None
    else:
        with pytest.raises(TypeError, match=f"^{name} is .*NoneType"):
            config(**fields)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"width": 1.5}, "width is a whole number from 1 to 4294967295, not 1.5 of type float"),
        ({"width": True}, "width is a whole number from 1 to 4294967295, not True of type bool"),
        ({"port": "9000"}, "port is a whole number from 1 to 65535, not '9000' of type str"),
        ({"fps": "25"}, "fps is a number above 0, at most 1e+09, not '25' of type str"),
        ({"verify": 1}, "verify is True or False, not 1 of type int"),
        ({"protocol": 2.0}, "protocol is 1, 2 or 3, not 2.0 of type float"),
        ({"labels": {"vmm": 9}}, "labels is a mapping of names to texts, not 9 of type int"),
    ],
    ids=str,
)
def test_what_came_and_what_is_expected_is_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError) as refused:
        Sender(**GIVEN | fields)
    assert str(refused.value) == told


class Whole:
    """An integer as numpy has it: none of Python's own, and one by itself."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


def test_paths_and_whole_numbers_are_taken_as_programs_have_them() -> None:
    numbers: dict[str, Any] = {name: Whole(16) for name in ("port", "width", "height", "buffers")}
    numbers |= {"protocol": Whole(2), "fps": Fraction(30000, 1001)}
    sender = Sender(
        address="::1",
        device=Path("/dev/video7"),
        heap=Path("/dev/dma_heap/system"),
        records=Path("records.csv"),
        peer_timeout=5,
        **numbers,
    ).config
    assert (sender.device, sender.heap) == ("/dev/video7", "/dev/dma_heap/system")
    assert (sender.port, sender.width, sender.height, sender.buffers) == (16, 16, 16, 16)
    assert (sender.protocol, sender.records) == (2, "records.csv")
    assert sender.fps == 30000 / 1001
    numbers = {"port": Whole(9000), "max_memory": Whole(4096)}
    receiver = Receiver(output=Path("-"), heap="auto", **numbers).config
    assert (receiver.port, receiver.max_memory, receiver.output) == (9000, 4096, "-")


def test_frames_and_probes_take_them_as_well(port: int) -> None:
    with pytest.raises(TypeError, match=r"^frames is a whole number .* not 'ten' of type str"):
        Receiver(port=port).run(frames="ten")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^frames is a whole number from 1 .* not 0$"):
        Receiver(port=port).run(frames=Whole(0))  # type: ignore[arg-type]
    with pytest.raises(DeviceNotFoundError):
        probe(Path("/dev/no-such-device"), width=Whole(640))  # type: ignore[arg-type]
    for fields, name in (
        ({"device": 7}, "device"),
        ({"width": 1.5}, "width"),
        ({"height": "1080"}, "height"),
        ({"format": 12}, "format"),
    ):
        with pytest.raises(TypeError, match=f"^{name} is "):
            probe(**{"device": "/dev/null"} | fields)


@pytest.mark.parametrize("name", ["device", "records", "report", "heap", "address", "format"])
def test_what_no_system_call_takes_is_refused_by_the_field_s_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is "):
        Sender(**GIVEN | {name: "/dev\0"})
    assert SenderConfig(address="::1", port=9000, records="\udcff.csv").records == "\udcff.csv"


def test_other_fields_and_configurations_are_refused() -> None:
    with pytest.raises(TypeError, match="adress"):
        Sender(adress="::1", port=9000)  # type: ignore[call-arg]
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


@pytest.mark.parametrize(
    ("keywords", "config"),
    [
        (CaptureKeywords, CaptureConfig),
        (SenderKeywords, SenderConfig),
        (ReceiverKeywords, ReceiverConfig),
    ],
)
def test_type_checkers_know_the_fields_as_keywords(keywords: Any, config: Any) -> None:
    assert get_type_hints(keywords) == get_type_hints(config)
