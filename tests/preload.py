"""Libraries in C that stand between a program and its system calls."""

import subprocess
from pathlib import Path

HEAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

"""
IOCTL = """
int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
"""
TAIL = """
    return ((int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl"))(fd, request, argument);
}
"""


def preloaded(folder: Path, source: str) -> Path:
    """Compile a library that is to be preloaded."""
    (folder / "preloaded.c").write_text(source)
    library = folder / "preloaded.so"
    compiled = subprocess.run(
        ["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, folder / "preloaded.c"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    return library


def around_ioctl(folder: Path, code: str, before: str = "") -> Path:
    """Compile a library that runs ``code`` before each ioctl; ``before`` stands before both."""
    return preloaded(folder, f"{HEAD}{before}{IOCTL}{code}{TAIL}")


def without_expbuf(folder: Path) -> Path:
    """Compile a library that keeps VIDIOC_EXPBUF from drivers."""
    return around_ioctl(folder, "    if (request == 0xc0405610) { errno = ENOTTY; return -1; }")
