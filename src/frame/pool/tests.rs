//! A buffer is free when nobody reads its frame, and whoever waits for it is woken.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::*;
use crate::frame::buffer::tests::frame;

/// A pool of buffers without memory, numbered from 0.
pub(crate) fn pool(buffers: u32) -> Pool {
    let free = (0..buffers).map(|index| Free::new(index, Vec::new()));
    Pool::new(free.collect()).unwrap()
}

/// A lease of a pool's next buffer.
pub(crate) fn lease(pool: &Pool) -> Lease {
    pool.lend(pool.take().expect("a free buffer"), frame(1))
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).unwrap() == 1
}

#[test]
fn a_buffer_is_free_when_the_last_lease_of_it_is_dropped() {
    let pool = pool(1);
    let first = lease(&pool);
    let second = first.clone();
    drop(first);
    assert!(pool.take().is_none(), "a lease is left");
    std::thread::spawn(move || drop(second)).join().unwrap();
    assert_eq!(pool.take().map(|free| free.index()), Some(0));
}

#[test]
fn who_waits_is_woken_once_a_buffer_is_free_and_not_before() {
    let pool = pool(1);
    let only = lease(&pool);
    assert!(!is_readable(pool.bell()), "no buffer is free");
    drop(only);
    assert!(is_readable(pool.0.bell.as_fd()), "it came while one waited");
    drop(lease(&pool));
    assert!(is_readable(pool.bell()), "it came before one waited");
    let only = lease(&pool);
    assert!(!is_readable(pool.bell()), "it has been taken");
    drop(only);
}

#[test]
fn a_retired_buffer_is_never_free_again() {
    let pool = pool(1);
    let first = lease(&pool);
    let second = first.clone();
    first.retire();
    drop(second);
    assert!(pool.take().is_none());
}

#[test]
fn a_lease_outlives_its_pool() {
    let lease = lease(&pool(1));
    assert_eq!((lease.index(), lease.frame().bytes()), (0, 1));
}
