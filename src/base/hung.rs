//! What call a thread that does not come back is in, as the kernel tells.

use std::path::{Path, PathBuf};

use nix::libc;

/// A thread of this process, to be asked for from another one.
#[derive(Debug)]
pub struct Thread(PathBuf);

impl Thread {
    /// The thread that calls this; None where there is no /proc.
    pub fn current() -> Option<Self> {
        let own = std::fs::read_link("/proc/thread-self").ok()?;
        Some(Thread(Path::new("/proc").join(own)))
    }

    /// The system call that it is in and its object, as in `ioctl(2) of /dev/video0`; None if
    /// it is in none, or that can't be told.
    pub fn call(&self) -> Option<String> {
        // See proc_pid_syscall(5).
        let told = std::fs::read_to_string(self.0.join("syscall")).ok()?;
        let mut words = told.split_whitespace();
        let number: libc::c_long = words.next()?.parse().ok()?;
        let first = words.next().and_then(|it| it.strip_prefix("0x"));
        let first = first.and_then(|it| u64::from_str_radix(it, 16).ok())?;
        let of_descriptor = |name: &str| {
            let object = std::fs::read_link(self.0.join("fd").join(first.to_string()));
            object.map_or_else(
                |_| format!("{name} of descriptor {first}"),
                |object| format!("{name} of {}", object.display()),
            )
        };
        Some(match number {
            libc::SYS_ioctl => of_descriptor("ioctl(2)"),
            libc::SYS_close => of_descriptor("close(2)"),
            libc::SYS_ftruncate => of_descriptor("ftruncate(2)"),
            libc::SYS_fallocate => of_descriptor("fallocate(2)"),
            libc::SYS_connect => of_descriptor("connect(2)"),
            libc::SYS_sendmsg => of_descriptor("sendmsg(2)"),
            libc::SYS_read => of_descriptor("read(2)"),
            libc::SYS_write => of_descriptor("write(2)"),
            libc::SYS_openat => "open(2)".to_owned(),
            libc::SYS_mmap => "mmap(2)".to_owned(),
            libc::SYS_munmap => "munmap(2)".to_owned(),
            number => format!("system call {number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_in_a_call_is_told_by_that_and_its_object() {
        let (reader, writer) = std::io::pipe().unwrap();
        let number = reader.as_raw_fd();
        let object = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            tell.send(Thread::current().unwrap()).unwrap();
            (&reader).read_to_end(&mut Vec::new()).unwrap();
        });
        let asked = told.recv().unwrap();
        let expected = format!("read(2) of {}", object.display());
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while asked.call().as_ref() != Some(&expected) {
            assert!(std::time::Instant::now() < until, "{:?}", asked.call());
            std::thread::yield_now();
        }
        drop(writer);
        thread.join().unwrap();
        assert_eq!(asked.call(), None, "it has ended");
    }
}
