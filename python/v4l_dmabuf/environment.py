"""What a run ran on, as far as this machine can see: for results that others must judge."""

import contextlib
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

from v4l_dmabuf import _core

# What tells of a guest, of a clock that can be trusted, and of how fast bytes are
# copied and summed.
_CPU_FLAGS = frozenset(
    {
        *("hypervisor", "constant_tsc", "nonstop_tsc", "tsc_known_freq", "tsc_reliable"),
        *("erms", "fsrm", "avx2", "avx512f", "sse4_2", "pclmulqdq", "vpclmulqdq"),
        *("asimd", "crc32"),
    }
)

_CLOCK_MONOTONIC_COARSE = 6
"""From linux/time.h; Python's time has no name for it."""


def environment() -> dict[str, Any]:
    """Gather it: hypervisor, kernel, clocks and CPUs. What can't be read is None."""
    return {
        "hypervisor": hypervisor(),
        "kernel": {
            "release": platform.release(),
            "version": platform.version(),
            "machine": platform.machine(),
            "command_line": _read("/proc/cmdline"),
            "hz": _hz(),
            "preemption": _preemption(),
        },
        "clocksource": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "cpu": _cpu(),
        "memory_bytes": _memory_bytes(),
    }


def hypervisor(root: Path = Path("/")) -> dict[str, Any]:
    """Tell the hypervisor from what a guest can really see.

    ``name`` is ``xen``, ``kvm``, ``qemu-tcg``, ``vmware``, ``hyper-v``, … , ``unknown`` where
    something runs this machine and does not say what, and ``none`` on bare metal. What it was told
    from stands beside it. Markers of containers are not asked: a container in a guest is in a
    guest.

    Sources: the kernel's Documentation/ABI/stable/sysfs-hypervisor-xen, and CPUID's leaf
    0x40000000, where hypervisors sign.
    """
    signature = _core.cpuid_hypervisor() if root == Path("/") else None
    seen = {
        "sysfs": _read(root / "sys/hypervisor/type"),
        "guest_type": _read(root / "sys/hypervisor/guest_type"),
        "cpuid": signature,
        "dmi_vendor": _read(root / "sys/class/dmi/id/sys_vendor"),
        "dmi_product": _read(root / "sys/class/dmi/id/product_name"),
    }
    return {"name": _name(seen, _has_flag(root)), **seen}


def _name(seen: dict[str, str | None], has_flag: bool) -> str:
    # Xen first: a PV guest's CPUID is the host's own, and an HVM guest's may show Viridian.
    if seen["sysfs"]:
        return seen["sysfs"]
    if seen["cpuid"]:
        return seen["cpuid"]
    told = f"{seen['dmi_vendor']} {seen['dmi_product']}".lower()
    for word, name in (
        ("qemu", "qemu"),
        ("kvm", "kvm"),
        ("vmware", "vmware"),
        ("virtualbox", "virtualbox"),
        ("xen", "xen"),
        ("microsoft corporation virtual", "hyper-v"),
        ("crosvm", "kvm"),
    ):
        if word in told:
            return name
    return "unknown" if has_flag else "none"


def steal_seconds() -> float | None:
    """Give the time that the hypervisor has taken from this machine's CPUs; see proc_stat(5)."""
    line = (_read("/proc/stat") or "").partition("\n")[0].split()
    return int(line[8]) / os.sysconf("SC_CLK_TCK") if len(line) > 8 else None


def _has_flag(root: Path) -> bool:
    return " hypervisor" in (_read(root / "proc/cpuinfo") or "")


def _cpu() -> dict[str, Any]:
    info = _read("/proc/cpuinfo") or ""
    fields = dict(re.findall(r"^([^:\t\n]+)\t*: (.*)$", info, re.MULTILINE))
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return {
        "model": fields.get("model name"),
        "count": os.cpu_count(),
        "flags": sorted(_CPU_FLAGS.intersection(flags)),
    }


def _hz() -> int:
    """Give CONFIG_HZ: timestamps and wake-ups of many drivers are as coarse as that.

    The coarse clock moves once a tick, see clock_getres(2); a kernel's configuration is not
    everywhere to be read.
    """
    return round(1 / time.clock_getres(_CLOCK_MONOTONIC_COARSE))


def _preemption() -> str | None:
    """Give the kernel's model of preemption, as its version line or the scheduler tells it."""
    chosen = re.search(r"\((\w+)\)", _read("/sys/kernel/debug/sched/preempt") or "")
    if chosen:
        return chosen[1]
    found = re.search(r"\bPREEMPT(_\w+)?\b", platform.version())
    return found[0].lower() if found else None


def _memory_bytes() -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", _read("/proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _read(path: str | Path) -> str | None:
    """Give a small file's text; None if it can't be read, as by others than root."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return Path(path).read_text().strip() or None
    return None
