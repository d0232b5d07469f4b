//! A peer that says why it takes nothing: whoever takes its frames has them all. That is no fault
//! of the connection's, and as good as progress.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::base::lock;

/// When a peer last said so. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Busy(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    last: Mutex<Option<Instant>>,
    /// The connection's, for as long as that is open.
    socket: Weak<OwnedFd>,
    /// Whether the kernel's limit was taken away.
    is_lifted: AtomicBool,
}

impl Busy {
    /// Of a connection.
    pub(super) fn of(socket: &Arc<OwnedFd>) -> Self {
        Busy(Arc::new(Shared {
            socket: Arc::downgrade(socket),
            ..Shared::default()
        }))
    }

    /// It says so now.
    pub fn note(&self) {
        *lock(&self.0.last) = Some(Instant::now());
        // The kernel gives a peer up that has no room for so long (tcp(7), TCP_USER_TIMEOUT),
        // though it answers every probe.
        if !self.0.is_lifted.swap(true, Ordering::SeqCst) {
            self.limit(None);
        }
    }

    /// When it last did.
    pub fn last(&self) -> Option<Instant> {
        *lock(&self.0.last)
    }

    /// It has taken something: the kernel's limit is `patience` again.
    pub(super) fn is_over(&self, patience: Duration) {
        if self.0.is_lifted.swap(false, Ordering::SeqCst) {
            self.limit(Some(patience));
        }
    }

    fn limit(&self, patience: Option<Duration>) {
        let Some(socket) = self.0.socket.upgrade() else {
            return;
        };
        let limited = SockRef::from(&*socket).set_tcp_user_timeout(patience);
        if let Err(error) = limited {
            log::debug!("no limit for what is unacknowledged: {error}");
        }
    }
}
