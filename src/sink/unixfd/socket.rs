//! The socket that clients come to.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{bind, connect, listen, socket};
use nix::sys::stat::{Mode, fchmod};

use crate::base::{Error, ErrorKind, Result};

/// Who may wait to be taken in.
const BACKLOG: i32 = 8;

/// A socket at a path, which goes with it.
#[derive(Debug)]
pub struct OpenSocket {
    pub(super) listener: Arc<UnixListener>,
    path: PathBuf,
    /// By which the path is known to be this socket's still.
    inode: Option<u64>,
}

impl OpenSocket {
    /// Makes one, for this user alone. One that a program left there which is gone is replaced.
    pub fn open(path: &Path) -> Result<Self> {
        let listener = match listening(path) {
            Err(Errno::EADDRINUSE) => {
                clear(path)?;
                listening(path)
            }
            listener => listener,
        };
        let listener = listener.map_err(|errno| {
            let error = failed(path).errno(errno);
            match errno {
                Errno::ENAMETOOLONG => error
                    .cause("a socket's path has 107 bytes at most")
                    .next("use a shorter one, such as one below /run or /tmp"),
                _ => error.next("use a folder that exists and may be written to"),
            }
        })?;
        log::info!("frames for unixfdsrc at {}", path.display());
        Ok(OpenSocket {
            listener: Arc::new(listener),
            path: path.to_owned(),
            inode: fs::symlink_metadata(path).ok().map(|it| it.ino()),
        })
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|it| Some(it.ino()) == self.inode);
        if is_ours {
            if let Err(error) = fs::remove_file(&self.path) {
                log::warn!("cannot remove {}: {error}", self.path.display());
            }
        }
    }
}

fn failed(path: &Path) -> Error {
    let path = path.display();
    Error::new(
        ErrorKind::Address,
        format!("make a socket at {path} (--unixfd)"),
    )
    .object(path.to_string())
}

fn listening(path: &Path) -> nix::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // What the kernel then makes at the path has these, from its first moment on.
    fchmod(&made, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(made.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&made, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(made))
}

/// Connects, without a wait for who takes nobody in.
fn knock(path: &Path) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(made.as_raw_fd(), &UnixAddr::new(path)?)
}

/// Removes a socket that nobody listens at.
fn clear(path: &Path) -> Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if !is_socket {
        return Err(failed(path)
            .cause("there is a file of that name, which is no socket")
            .next("use another path"));
    }
    match knock(path) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(|error| failed(path).io(&error)),
        // Listening, or at least not known to be dead.
        _ => Err(failed(path)
            .errno(Errno::EADDRINUSE)
            .cause("another program listens there")
            .next("end it, or use another path")),
    }
}
