"""The network that a stream went over, as this machine sees it."""

import contextlib
import fcntl
import ipaddress
import socket
import struct
from array import array
from pathlib import Path
from typing import Any

_SIOCGIFADDR = 0x8915
_SIOCETHTOOL = 0x8946
_OFFLOADS = {
    "rx_checksum": 0x14,
    "tx_checksum": 0x16,
    "tso": 0x1E,
    "gso": 0x23,
    "gro": 0x2B,
}
"""``ETHTOOL_G*`` of <linux/ethtool.h>."""


def network(address: str) -> dict[str, Any]:
    """Tell of the interface that has ``address``. What can't be read is None."""
    name = _interface(address)
    if name is None:
        return {"interface": None, "driver": None, "mtu": None, "speed": None, "offloads": None}
    folder = Path("/sys/class/net") / name
    return {
        "interface": name,
        "driver": _driver(folder),
        "mtu": _number(folder / "mtu"),
        "speed": _number(folder / "speed"),
        "offloads": _offloads(name),
    }


def _interface(address: str) -> str | None:
    wanted = ipaddress.ip_address(address)
    if wanted.version == 6:
        return _interface_of_ipv6(wanted.packed.hex())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            # One without an IPv4 address answers with an error.
            with contextlib.suppress(OSError):
                request = struct.pack("16s16x", name.encode())
                answer = fcntl.ioctl(any_socket, _SIOCGIFADDR, request)
                if answer[20:24] == wanted.packed:
                    return name
    return None


def _interface_of_ipv6(digits: str) -> str | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            words = line.split()
            if words[0] == digits:
                return words[-1]
    return None


def _driver(folder: Path) -> str | None:
    with contextlib.suppress(OSError):
        return (folder / "device/driver").readlink().name
    return None


def _number(path: Path) -> int | None:
    # A virtual interface has no speed: reading it is an error, or gives -1.
    with contextlib.suppress(OSError, ValueError):
        value = int(path.read_text())
        return value if value >= 0 else None
    return None


def _offloads(name: str) -> dict[str, bool | None]:
    """Ask for each; see the kernel's Documentation/networking/segmentation-offloads.rst."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        return {offload: _is_on(any_socket, name, cmd) for offload, cmd in _OFFLOADS.items()}


def _is_on(any_socket: socket.socket, name: str, cmd: int) -> bool | None:
    # struct ethtool_value of <linux/ethtool.h>, which the request points to.
    value = array("I", (cmd, 0))
    request = struct.pack("16sP16x", name.encode(), value.buffer_info()[0])
    try:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    except OSError:
        return None
    return bool(value[1])
