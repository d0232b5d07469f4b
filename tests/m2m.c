/*
 * A V4L2 device that converts frames, where none is: preloaded, it makes one of a capture node
 * (M2M_CAPTURE) whose input is an output node (M2M_OUTPUT), both of the single-planar API. Whatever
 * names the output's buffer type goes to that.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Tells the output's buffers from the capture's, whose offsets are alike. */
#define OF_OUTPUT 0x40000000u

static int output = -1;

static int is_ours(int fd)
{
    struct stat its, ours;

    return !fstat(fd, &its) && S_ISCHR(its.st_mode) &&
           !stat(getenv("M2M_CAPTURE"), &ours) && its.st_rdev == ours.st_rdev;
}

static int output_fd(void)
{
    if (output < 0)
        output = open(getenv("M2M_OUTPUT"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (output < 0)
        abort();
    return output;
}

static unsigned int type_of(unsigned long request, void *argument)
{
    switch (request) {
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF:
        return *(int *)argument;
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT:
        return ((struct v4l2_format *)argument)->type;
    case VIDIOC_ENUM_FMT:
        return ((struct v4l2_fmtdesc *)argument)->type;
    case VIDIOC_REQBUFS:
        return ((struct v4l2_requestbuffers *)argument)->type;
    case VIDIOC_QUERYBUF:
    case VIDIOC_QBUF:
    case VIDIOC_DQBUF:
        return ((struct v4l2_buffer *)argument)->type;
    }
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, void *) = dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;
    void *argument;
    int result;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if ((request >> 8 & 0xff) != 'V' || !is_ours(fd))
        return real(fd, request, argument);
    if (type_of(request, argument) == V4L2_BUF_TYPE_VIDEO_OUTPUT) {
        struct v4l2_buffer *buffer = argument;

        result = real(output_fd(), request, argument);
        if (!result && request == VIDIOC_QUERYBUF && buffer->memory == V4L2_MEMORY_MMAP)
            buffer->m.offset |= OF_OUTPUT;
        return result;
    }
    result = real(fd, request, argument);
    if (!result && request == VIDIOC_QUERYCAP) {
        struct v4l2_capability *told = argument;

        told->device_caps = V4L2_CAP_VIDEO_M2M | V4L2_CAP_STREAMING;
        told->capabilities = told->device_caps | V4L2_CAP_DEVICE_CAPS;
    }
    return result;
}

static void *map(void *where, size_t length, int access, int flags, int fd, off_t offset)
{
    void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");

    if (fd >= 0 && offset & OF_OUTPUT && is_ours(fd))
        return real(where, length, access, flags, output_fd(), offset & ~(off_t)OF_OUTPUT);
    return real(where, length, access, flags, fd, offset);
}

void *mmap(void *where, size_t length, int access, int flags, int fd, off_t offset)
{
    return map(where, length, access, flags, fd, offset);
}

void *mmap64(void *where, size_t length, int access, int flags, int fd, off_t offset)
{
    return map(where, length, access, flags, fd, offset);
}
