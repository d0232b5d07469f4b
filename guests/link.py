"""How two guests are joined: a cable, or a bridge with offloads where there is root.

The bridge's taps carry GSO (``vnet_hdr``), so segmentation and checksums are
offloaded as on a real host. It lives in a network namespace of its own, so
nothing of the host's network is touched, and it is gone with the process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

SENDER_ADDRESS = "10.77.0.1"
RECEIVER_ADDRESS = "10.77.0.2"
_SECOND_SENDER_ADDRESS = "10.77.0.3"
_NAMESPACE = "V4L_DMABUF_OWN_NAMESPACE"


@dataclass(frozen=True)
class Link:
    """A guest's network."""

    address: str
    """IPv4, without the length of the prefix, which is 24."""
    netdev: str
    """QEMU's back end, without its id."""
    device: str = ""
    """More options of the guest's network card, each after a comma."""
    socket: Path | None = None
    """What QEMU makes before the other end may be plugged in."""

    @property
    def mac(self) -> str:
        """An address of this guest's own."""
        return f"52:54:00:4d:42:{int(self.address.rsplit('.', 1)[1]):02x}"

    def qemu_options(self) -> str:
        """Plug it in."""
        return (
            f"-netdev {self.netdev},id=link "
            f"-device virtio-net-pci,netdev=link,mac={self.mac}{self.device}"
        )

    def setup(self) -> str:
        """Shell commands that bring it up in the guest, as ``$link``."""
        return (
            "modprobe virtio_net\n"
            f"link=$(grep -l {self.mac} /sys/class/net/*/address | cut -d/ -f5)\n"
            f'ip address add {self.address}/24 dev "$link"\n'
            'ip link set "$link" up\n'
        )


@dataclass(frozen=True)
class Ends:
    """Both ends of what joins two guests. The receiver's is to be booted first."""

    sender: Link
    receiver: Link
    kind: str
    second_sender: Link | None = None
    """For a third guest, where what joins them takes one."""


@contextlib.contextmanager
def cable() -> Iterator[Ends]:
    """Join them by a Unix socket, which needs no privilege and offloads nothing."""
    with tempfile.TemporaryDirectory(prefix="v4l-dmabuf-") as folder:
        socket = Path(folder) / "link"
        stream = f"stream,addr.type=unix,addr.path={socket},server="
        yield Ends(
            Link(SENDER_ADDRESS, f"{stream}off"),
            Link(RECEIVER_ADDRESS, f"{stream}on", socket=socket),
            "a cable without offloads (a Unix socket between the two QEMUs)",
        )


@contextlib.contextmanager
def bridge() -> Iterator[Ends]:
    """Join them by a bridge. Needs `enter_namespace` before it."""
    names = {"tap0": SENDER_ADDRESS, "tap1": RECEIVER_ADDRESS, "tap2": _SECOND_SENDER_ADDRESS}
    _ip("link add br0 type bridge")
    try:
        _ip("link set br0 up")
        for name in names:
            _ip(f"tuntap add {name} mode tap vnet_hdr")
            _ip(f"link set {name} master br0 up")
        sender, receiver, second = (
            Link(address, f"tap,ifname={name},script=no,downscript=no,vnet_hdr=on")
            for name, address in names.items()
        )
        yield Ends(sender, receiver, "a bridge with offloads", second)
    finally:
        for name in (*names, "br0"):
            subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)


def best() -> AbstractContextManager[Ends]:
    """Join them by a bridge where that may be had, starting the program over, else by a cable."""
    if can_bridge():
        enter_namespace()
        return bridge()
    print("not root: the guests are joined by a cable without offloads", flush=True)
    return cable()


def can_bridge() -> bool:
    """Try whether this user may make a bridge: root in a container may not."""
    trial = "ip link add br0 type bridge && ip tuntap add tap0 mode tap vnet_hdr"
    return (
        subprocess.run(
            ["unshare", "--net", "sh", "-c", trial], capture_output=True, check=False
        ).returncode
        == 0
    )


def enter_namespace() -> None:
    """Start this program over in a network namespace of its own, unless it is in one."""
    if _NAMESPACE in os.environ:
        _ip("link set lo up")
        return
    os.environ[_NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.orig_argv[1:]])


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)
