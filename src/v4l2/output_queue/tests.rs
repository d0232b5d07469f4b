//! The output queue against a driver whose answers are scripted.

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::*;
use crate::frame::buffer::tests::frame;
use crate::frame::{Frame, Pool};
use crate::memory::{Heap, HeapName};
use crate::v4l2::queue::tests::script::{LENGTH, Script};

type Outputs = OutputQueue<Script, u32>;

fn pool(count: u32, plane: impl Fn() -> Plane) -> Pool {
    let free = |index| Free::new(index, vec![plane()]);
    Pool::new((0..count).map(free).collect()).unwrap()
}

fn memfd() -> Plane {
    let heap = Heap::open(&HeapName::Memfd).unwrap();
    heap.allocate(LENGTH).unwrap()
}

/// Buffers of what is taken for DMABUFs: nobody asks the kernel whether they are.
fn dmabufs(count: u32) -> Pool {
    let plane = || {
        let memfd = memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap();
        nix::unistd::ftruncate(&memfd, LENGTH as i64).unwrap();
        Plane::of_dmabuf(memfd, LENGTH).unwrap()
    };
    pool(count, plane)
}

fn lend(pool: &Pool) -> Lease {
    let free = pool.take().expect("a buffer is free");
    let payloads = vec![Payload {
        offset: 0,
        length: LENGTH,
    }];
    pool.lend(
        free,
        Frame {
            payloads,
            ..frame(1)
        },
    )
}

fn queue(script: &Arc<Script>, memory: MemoryType, count: u32) -> Outputs {
    OutputQueue::request(Arc::clone(script), memory, NonZeroU32::new(count).unwrap()).unwrap()
}

fn enqueue(queue: &mut Outputs, lease: Lease, with: u32) {
    queue.enqueue(lease, with, Sent::default()).unwrap();
}

#[test]
fn a_frame_is_held_until_the_driver_gives_it_back() {
    let (script, pool) = (Arc::new(Script::default()), dmabufs(1));
    let mut queue = queue(&script, MemoryType::DmaBuf, 1);
    enqueue(&mut queue, lend(&pool), 7);
    assert!(pool.take().is_none(), "the device still reads the buffer");
    assert_eq!(queue.dequeue(), Ok(None));
    assert!(pool.take().is_none(), "the device still reads the buffer");
    script.will_fill(0, LENGTH as u32, 0);
    let returned = Returned {
        with: 7,
        has_failed: false,
    };
    assert_eq!(queue.dequeue(), Ok(Some(returned)));
    assert!(pool.take().is_some(), "the device is done with the buffer");
}

#[test]
fn a_buffer_keeps_the_number_that_it_was_attached_by() {
    let (script, pool) = (Arc::new(Script::default()), dmabufs(3));
    let mut queue = queue(&script, MemoryType::DmaBuf, 3);
    let frames: Vec<Lease> = (0..3).map(|_| lend(&pool)).collect();
    let mut numbers = std::collections::HashMap::new();
    for _ in 0..3 {
        for lease in frames.iter().rev() {
            enqueue(&mut queue, lease.clone(), lease.index());
            let asked = script.asked.lock().unwrap().pop().unwrap();
            let number = numbers.entry(lease.index()).or_insert(asked.clone());
            assert_eq!(*number, asked, "buffer {} was attached anew", lease.index());
        }
        for index in 0..3 {
            script.will_fill(index, LENGTH as u32, 0);
            assert!(queue.dequeue().unwrap().is_some());
        }
    }
}

#[test]
fn more_frames_than_the_driver_has_buffers_wait() {
    let (script, pool) = (Arc::new(Script::default()), dmabufs(3));
    *script.granted.lock().unwrap() = Some(2);
    let mut queue = queue(&script, MemoryType::DmaBuf, 3);
    enqueue(&mut queue, lend(&pool), 0);
    enqueue(&mut queue, lend(&pool), 1);
    let third = queue.enqueue(lend(&pool), 2, Sent::default());
    assert!(
        matches!(third, Err(NotQueued::Driver(Errno::EAGAIN))),
        "{third:?}"
    );
    assert_eq!(queue.queued(), 2);
    let mut left = queue.stop().unwrap();
    left.sort_unstable();
    assert_eq!(left, [0, 1]);
    assert_eq!(queue.queued(), 0);
}

#[test]
fn a_buffer_that_the_driver_did_not_have_is_its_fault() {
    let (script, pool) = (Arc::new(Script::default()), dmabufs(1));
    let mut queue = queue(&script, MemoryType::DmaBuf, 1);
    for index in [0, 99] {
        script.will_fill(index, LENGTH as u32, 0);
        let told = queue.dequeue();
        assert!(matches!(told, Err(QueueError::Nonsense(_))), "{told:?}");
    }
    enqueue(&mut queue, lend(&pool), 0);
}

#[test]
fn a_copy_holds_no_buffer() {
    let (script, pool) = (Arc::new(Script::default()), pool(1, memfd));
    let mut queue = queue(&script, MemoryType::Mmap, 2);
    let mut free = pool.take().unwrap();
    let picture: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    for plane in free.planes_mut() {
        let mut access = plane.write().unwrap();
        access.view_mut(0, LENGTH).unwrap().copy_from(&picture);
    }
    pool.give(free);
    enqueue(&mut queue, lend(&pool), 0);
    assert!(pool.take().is_some(), "what was copied is free");
    let plane = &queue.slots[0].own[0];
    let mut copied = vec![0; LENGTH];
    plane.view(0, LENGTH).unwrap().copy_to(&mut copied);
    assert_eq!(copied, picture);
}

#[test]
fn what_is_no_dmabuf_is_not_imported() {
    let (script, pool) = (Arc::new(Script::default()), pool(1, memfd));
    let mut queue = queue(&script, MemoryType::DmaBuf, 1);
    let refused = queue.enqueue(lend(&pool), 0, Sent::default());
    assert!(
        matches!(refused, Err(NotQueued::Driver(Errno::EINVAL))),
        "{refused:?}"
    );
    assert!(
        pool.take().is_some(),
        "a frame that was refused is not held"
    );
}
