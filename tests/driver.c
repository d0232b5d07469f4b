/*
 * A V4L2 capture device in the process that opens it: preloaded, it answers the ioctls on
 * whatever character device DRIVER_DEVICE names, as the numbers in DRIVER say. Of those that
 * aren't there each is 0. Whether a frame is ready is up to the device itself, by poll(2).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static unsigned int queued[64], first, last, frames, requested, has_asked_for_event;

static unsigned long setting(const char *name)
{
    const char *settings = getenv("DRIVER");
    size_t length = strlen(name);

    while (settings && *settings) {
        if (!strncmp(settings, name, length) && settings[length] == '=')
            return strtoul(settings + length + 1, NULL, 0);
        settings = strchr(settings, ',');
        if (settings)
            settings++;
    }
    return 0;
}

static int is_ours(int fd)
{
    struct stat ours, its;
    const char *path = getenv("DRIVER_DEVICE");

    return path && !stat(path, &ours) && !fstat(fd, &its) && S_ISCHR(its.st_mode) &&
           ours.st_rdev == its.st_rdev;
}

static int fail(int number)
{
    errno = number;
    return -1;
}

static int fail_if(const char *name)
{
    int number = setting(name);

    return number ? fail(number) : 0;
}

static int is_mplane(void)
{
    return setting("format_planes") > 0;
}

static unsigned int width, height;

static unsigned int sizeimage(void)
{
    return width * height * 2;
}

static void tell_format(struct v4l2_format *format)
{
    if (is_mplane()) {
        struct v4l2_pix_format_mplane *mp = &format->fmt.pix_mp;

        mp->width = width;
        mp->height = height;
        mp->pixelformat = V4L2_PIX_FMT_YUYV;
        mp->num_planes = setting("format_planes");
        for (int plane = 0; plane < mp->num_planes; plane++) {
            mp->plane_fmt[plane].sizeimage = sizeimage();
            mp->plane_fmt[plane].bytesperline = width * 2;
        }
    } else {
        format->fmt.pix.width = width;
        format->fmt.pix.height = height;
        format->fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
        format->fmt.pix.sizeimage = sizeimage();
        format->fmt.pix.bytesperline = width * 2;
        format->fmt.pix.field =
            setting("alternates") ? V4L2_FIELD_ALTERNATE : V4L2_FIELD_NONE;
    }
}

static void tell_buffer(struct v4l2_buffer *buffer, unsigned int bytesused)
{
    unsigned int length = (sizeimage() + 4095) & ~4095u;

    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    if (!is_mplane()) {
        buffer->length = length;
        buffer->bytesused = bytesused;
        buffer->m.offset = buffer->index * length;
        return;
    }
    buffer->length = setting("buffer_planes");
    for (unsigned int plane = 0; plane < buffer->length; plane++) {
        buffer->m.planes[plane].length = length;
        buffer->m.planes[plane].bytesused = bytesused;
        buffer->m.planes[plane].m.mem_offset = buffer->index * length;
    }
}

static int dequeue(struct v4l2_buffer *buffer)
{
    struct timespec now;

    if (frames >= setting("frames"))
        return fail(setting("then") ? setting("then") : EAGAIN);
    if (first == last)
        return fail(EAGAIN);
    usleep(5000);
    clock_gettime(CLOCK_MONOTONIC, &now);
    buffer->index = queued[first++ % 64];
    tell_buffer(buffer, sizeimage() + setting("excess") - setting("short"));
    buffer->sequence = frames;
    if (setting("alternates")) {
        buffer->sequence = frames / 2;
        buffer->field = frames % 2 ? V4L2_FIELD_BOTTOM : V4L2_FIELD_TOP;
    }
    frames++;
    buffer->timestamp.tv_sec = now.tv_sec;
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    if (setting("last") == frames) {
        buffer->flags |= V4L2_BUF_FLAG_LAST;
        buffer->bytesused = 0;
    }
    return 0;
}

static int answer(unsigned long request, void *argument)
{
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = argument;

        memset(capability, 0, sizeof(*capability));
        strcpy((char *)capability->driver, "scripted");
        strcpy((char *)capability->card, "Scripted");
        capability->device_caps = V4L2_CAP_STREAMING | setting("capabilities") |
            (is_mplane() ? V4L2_CAP_VIDEO_CAPTURE_MPLANE : V4L2_CAP_VIDEO_CAPTURE);
        capability->capabilities = capability->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *described = argument;

        if (described->index)
            return fail(EINVAL);
        described->pixelformat = V4L2_PIX_FMT_YUYV;
        return 0;
    }
    case VIDIOC_G_FMT:
        tell_format(argument);
        return 0;
    case VIDIOC_S_FMT: {
        struct v4l2_format *format = argument;

        width = is_mplane() ? format->fmt.pix_mp.width : format->fmt.pix.width;
        height = is_mplane() ? format->fmt.pix_mp.height : format->fmt.pix.height;
        tell_format(format);
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *buffers = argument;

        if (buffers->memory != V4L2_MEMORY_MMAP)
            return fail(EINVAL);
        first = last = frames = 0;
        requested = buffers->count;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;

        if (buffer->memory != V4L2_MEMORY_MMAP || buffer->index >= requested)
            return fail(EINVAL);
        tell_buffer(buffer, 0);
        return 0;
    }
    case VIDIOC_G_CTRL: {
        struct v4l2_control *control = argument;

        if (control->id != V4L2_CID_MIN_BUFFERS_FOR_CAPTURE || !setting("min_buffers"))
            return fail(EINVAL);
        control->value = setting("min_buffers");
        return 0;
    }
    case VIDIOC_EXPBUF: {
        struct v4l2_exportbuffer *export = argument;
        int ends[2];

        if (!setting("exports_what_cannot_be_mapped"))
            return fail(ENOTTY);
        if (pipe2(ends, O_CLOEXEC))
            return -1;
        close(ends[1]);
        export->fd = ends[0];
        return 0;
    }
    case VIDIOC_QBUF:
        queued[last++ % 64] = ((struct v4l2_buffer *)argument)->index;
        return 0;
    case VIDIOC_DQBUF:
        return dequeue(argument);
    case VIDIOC_STREAMON:
        if (setting("hangs"))
            sleep(setting("hangs"));
        return fail_if("streamon");
    case VIDIOC_STREAMOFF:
        return 0;
    case VIDIOC_SUBSCRIBE_EVENT: {
        struct v4l2_event_subscription *subscription = argument;

        if (!setting("event_after") || subscription->type != V4L2_EVENT_SOURCE_CHANGE)
            return fail(EINVAL);
        has_asked_for_event = 1;
        return 0;
    }
    case VIDIOC_DQEVENT: {
        struct v4l2_event *event = argument;

        if (!has_asked_for_event || frames < setting("event_after"))
            return fail(ENOENT);
        has_asked_for_event = 0;
        memset(event, 0, sizeof(*event));
        event->type = V4L2_EVENT_SOURCE_CHANGE;
        event->u.src_change.changes = V4L2_EVENT_SRC_CH_RESOLUTION;
        return 0;
    }
    case VIDIOC_QUERY_DV_TIMINGS: {
        struct v4l2_dv_timings *timings = argument;

        if (!setting("signal"))
            return fail(ENOTTY);
        if (setting("signal") < 200)
            return fail(setting("signal"));
        memset(timings, 0, sizeof(*timings));
        timings->type = V4L2_DV_BT_656_1120;
        timings->bt.height = setting("signal");
        if (frames && setting("signal_later"))
            timings->bt.height = setting("signal_later");
        timings->bt.width = timings->bt.height * 16 / 9;
        timings->bt.hsync = 370;
        timings->bt.vsync = 30;
        timings->bt.pixelclock =
            60ull * (timings->bt.width + 370) * (timings->bt.height + 30);
        return 0;
    }
    default:
        return fail(ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (((request >> 8) & 0xff) == 'V' && is_ours(fd))
        return answer(request, argument);
    return ((int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl"))(fd, request, argument);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0 && is_ours(fd)) {
        fd = -1;
        offset = 0;
        flags = MAP_PRIVATE | MAP_ANONYMOUS;
    }
    return ((void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap"))(
        address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}
