//! The queue against a driver whose answers are scripted.

pub(in crate::v4l2) mod script;

use self::script::{LENGTH, PLANE, Script};
use super::*;
use crate::memory::{Heap, HeapName};
use crate::v4l2::PlaneUsed;

fn free(index: u32) -> Free {
    let heap = Heap::open(&HeapName::Memfd).unwrap();
    Free::new(index, vec![heap.allocate(LENGTH).unwrap()])
}

/// A queue of two buffers, both queued.
fn queue() -> (Arc<Script>, Queue<Script>) {
    let script = Arc::new(Script::default());
    let mut queue = request(&script, MemoryType::DmaBuf, 2, &[PLANE]).unwrap();
    for index in 0..2 {
        queue.enqueue(free(index)).unwrap();
    }
    (script, queue)
}

fn request(
    script: &Arc<Script>,
    memory: MemoryType,
    count: u32,
    planes: &[PlaneFormat],
) -> Result<Queue<Script>, QueueError> {
    let pool = Pool::new(Vec::new()).unwrap();
    Queue::request(Arc::clone(script), memory, count, planes, pool)
}

/// The buffer of a frame that nobody reads any more.
fn release(lease: Lease, queue: &Queue<Script>) -> Free {
    drop(lease);
    queue.pool().take().expect("no lease is left")
}

fn dequeue_frame(queue: &mut Queue<Script>) -> Lease {
    match queue.dequeue() {
        Ok(Dequeue::Frame(lease)) => lease,
        other => panic!("a frame was expected, not {other:?}"),
    }
}

/// Still mapped: a write to freed memory would end the test with SIGSEGV.
fn is_alive(free: &mut Free) -> bool {
    let mut access = free.planes_mut()[0].write().unwrap();
    let mut view = access.view_mut(0, LENGTH).unwrap();
    view.copy_from(&[1; LENGTH]) == LENGTH
}

#[test]
fn a_frame_goes_round() {
    let (script, mut queue) = queue();
    assert!(matches!(queue.dequeue(), Ok(Dequeue::NotReady)));
    script.will_fill(1, 100, 0);
    let lease = dequeue_frame(&mut queue);
    assert_eq!(lease.index(), 1);
    assert_eq!(lease.frame().sequence, 7);
    assert_eq!(lease.frame().bytes(), 100);
    let free = release(lease, &queue);
    queue.enqueue(free).unwrap();
    assert_eq!(
        *script.asked.lock().unwrap(),
        ["reqbufs 2", "qbuf 0", "qbuf 1", "qbuf 1"]
    );
}

#[test]
fn the_driver_decides_how_many_buffers_there_are() {
    let script = Arc::new(Script::default());
    *script.granted.lock().unwrap() = Some(5);
    let queue = request(&script, MemoryType::DmaBuf, 2, &[PLANE]).unwrap();
    assert_eq!(queue.count().get(), 5);
    *script.granted.lock().unwrap() = Some(0);
    let none = request(&script, MemoryType::DmaBuf, 2, &[PLANE]).map(|queue| queue.count());
    assert_eq!(none, Err(QueueError::Errno(Errno::ENOMEM)));
}

#[test]
fn a_driver_that_exports_nothing_is_mapped() {
    let script = Arc::new(Script::default());
    let queue = request(&script, MemoryType::Mmap, 3, &[PLANE]).unwrap();
    let mut buffers = queue.driver_buffers().unwrap();
    assert_eq!(buffers.len(), 3);
    for buffer in &mut buffers {
        assert!(buffer.planes()[0].dmabuf().is_none());
        assert!(is_alive(buffer));
    }
}

#[test]
fn a_driver_whose_exports_cannot_be_mapped_is_mapped_itself() {
    let script = Arc::new(Script::default());
    // No file of this kind can be mapped.
    let (unmappable, _) = nix::unistd::pipe().unwrap();
    *script.exported.lock().unwrap() = Some(unmappable);
    let queue = request(&script, MemoryType::Mmap, 2, &[PLANE]).unwrap();
    let buffers = queue
        .driver_buffers()
        .expect("the device can be mapped where its exports cannot");
    assert_eq!(buffers.len(), 2);
    for plane in buffers.iter().flat_map(Free::planes) {
        assert!(plane.dmabuf().is_none());
        assert_eq!(plane.length(), LENGTH);
    }
}

#[test]
fn a_failed_qbuf_gives_the_buffer_back() {
    let script = Arc::new(Script::default());
    let mut queue = request(&script, MemoryType::DmaBuf, 1, &[PLANE]).unwrap();
    *script.qbuf_error.lock().unwrap() = Some(Errno::EFAULT);
    let (mut buffer, errno) = queue.enqueue(free(0)).unwrap_err();
    assert_eq!((buffer.index(), errno), (0, Errno::EFAULT));
    assert!(is_alive(&mut buffer));
    *script.qbuf_error.lock().unwrap() = None;
    queue.enqueue(buffer).unwrap();
}

#[test]
fn streamoff_gives_back_what_was_queued_and_nothing_else() {
    let (script, mut queue) = queue();
    script.will_fill(0, 100, 0);
    let lease = dequeue_frame(&mut queue);
    let mut buffers = queue.stop().unwrap();
    let indices: Vec<u32> = buffers.iter().map(Free::index).collect();
    assert_eq!(indices, [1], "buffer 0 is the caller's already");
    assert!(is_alive(&mut buffers[0]));
    let free = release(lease, &queue);
    queue.enqueue(free).unwrap();
}

#[test]
fn a_failed_streamoff_leaves_the_buffers_queued() {
    let (script, mut queue) = queue();
    *script.streamoff_error.lock().unwrap() = Some(Errno::ENODEV);
    assert_eq!(
        queue.stop().map(|buffers| buffers.len()),
        Err(Errno::ENODEV)
    );
    *script.streamoff_error.lock().unwrap() = None;
    assert_eq!(queue.stop().unwrap().len(), 2);
}

#[test]
fn a_buffer_that_is_queued_or_foreign_never_reaches_the_driver() {
    let (script, mut queue) = queue();
    let asked = script.asked.lock().unwrap().len();
    for index in [0, 2] {
        let (buffer, errno) = queue.enqueue(free(index)).unwrap_err();
        assert_eq!((buffer.index(), errno), (index, Errno::EINVAL));
    }
    assert_eq!(script.asked.lock().unwrap().len(), asked, "QBUF was called");
}

#[test]
fn a_driver_that_contradicts_itself_is_not_believed() {
    for (index, bytesused, data_offset) in [
        (2, 1, 0),
        (u32::MAX, 1, 0),
        (0, LENGTH as u32 + 1, 0),
        (0, 10, 11),
        (0, u32::MAX, u32::MAX),
    ] {
        let (script, mut queue) = queue();
        script.will_fill(index, bytesused, data_offset);
        let told = queue.dequeue().map(|_| ());
        assert!(
            matches!(told, Err(QueueError::Nonsense(_))),
            "buffer {index} with bytes {data_offset} to {bytesused}: {told:?}"
        );
    }
}

#[test]
fn a_buffer_comes_back_once() {
    let (script, mut queue) = queue();
    script.will_fill(0, 1, 0);
    script.will_fill(0, 1, 0);
    let _out = dequeue_frame(&mut queue);
    assert!(matches!(queue.dequeue(), Err(QueueError::Nonsense(_))));
}

#[test]
fn a_data_offset_is_no_part_of_the_picture() {
    let (script, mut queue) = queue();
    script.will_fill(0, 100, 28);
    let lease = dequeue_frame(&mut queue);
    let (_, payload) = lease.planes().next().unwrap();
    assert_eq!((payload.offset, payload.length), (28, 72));
}

#[test]
fn errnos_of_dqbuf_are_handed_on() {
    let (script, mut queue) = queue();
    script.will_dequeue(Err(Errno::ENODEV));
    script.will_dequeue(Ok(Dequeued::LastBuffer));
    assert_eq!(
        queue.dequeue().unwrap_err(),
        QueueError::Errno(Errno::ENODEV)
    );
    assert!(matches!(queue.dequeue(), Ok(Dequeue::Ended)));
}

#[test]
fn the_driver_lets_go_before_memory_is_freed() {
    let (script, queue) = queue();
    drop(queue);
    let asked = script.asked.lock().unwrap();
    assert_eq!(asked[asked.len() - 2..], ["streamoff", "reqbufs 0"]);
}

#[test]
fn buffers_have_the_planes_of_the_format() {
    let script = Arc::new(Script::default());
    *script.state.lock().unwrap() = Some(script::told(LENGTH as u32));
    for memory in [MemoryType::Mmap, MemoryType::DmaBuf] {
        let told = request(&script, memory, 2, &[PLANE; 3]).map(|_| ());
        assert!(
            matches!(&told, Err(QueueError::Nonsense(told)) if told.contains("3 memory planes")),
            "a format of 3 planes and buffers of 1: {told:?}"
        );
    }
    let asked = script.asked.lock().unwrap();
    assert_eq!(asked.last().unwrap(), "reqbufs 0", "buffers stay requested");
}

#[test]
fn a_frame_has_no_more_bytes_than_its_format() {
    let script = Arc::new(Script::default());
    let plane = PlaneFormat {
        sizeimage: 1000,
        ..PLANE
    };
    let mut queue = request(&script, MemoryType::DmaBuf, 1, &[plane]).unwrap();
    queue.enqueue(free(0)).unwrap();
    for (bytesused, data_offset, sent, is_corrupt) in [
        (1000, 0, 1000, false),
        (1028, 28, 1000, false),
        (1001, 0, 1000, true),
        (LENGTH as u32, 28, 1000, true),
    ] {
        script.will_fill(0, bytesused, data_offset);
        let lease = dequeue_frame(&mut queue);
        let frame = lease.frame();
        assert_eq!(
            (frame.bytes(), frame.has_error()),
            (sent, is_corrupt),
            "bytes {data_offset} to {bytesused} of a format of 1000"
        );
        let free = release(lease, &queue);
        queue.enqueue(free).unwrap();
    }
}

#[test]
fn an_imported_buffer_is_queued_with_what_the_driver_needs_of_it() {
    let plane = PlaneFormat {
        sizeimage: 1000,
        ..PLANE
    };
    for (wanted, queued) in [
        (None, 1000),
        (Some(0), 1000),
        (Some(2048), 2048),
        (Some(8192), 4096),
    ] {
        let script = Arc::new(Script::default());
        *script.state.lock().unwrap() = wanted.map(script::told);
        let mut queue = request(&script, MemoryType::DmaBuf, 1, &[plane]).unwrap();
        queue.enqueue(free(0)).unwrap();
        assert_eq!(
            *script.queued.lock().unwrap(),
            [queued],
            "{wanted:?} wanted"
        );
    }
}

#[test]
fn nothing_follows_what_the_driver_marks_as_the_last() {
    for (bytesused, is_frame) in [(100, true), (0, false)] {
        let (script, mut queue) = queue();
        script.will_dequeue(Ok(Dequeued::Buffer(DequeuedBuffer {
            index: 0,
            flags: flags::BUF_FLAG_LAST,
            field: 0,
            sequence: 0,
            timestamp: (1, 2),
            planes: vec![PlaneUsed {
                bytesused,
                data_offset: 0,
            }],
        })));
        script.will_fill(1, 100, 0);
        let told = queue.dequeue().unwrap();
        assert_eq!(
            matches!(told, Dequeue::Frame(_)),
            is_frame,
            "{bytesused} bytes"
        );
        assert!(matches!(queue.dequeue(), Ok(Dequeue::Ended)));
    }
}
