//! Which displays and GPUs import a heap's DMABUFs.

use std::fs::{File, OpenOptions, read_dir};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;

use crate::base::{Blocking, Error, ErrorKind, OnStop, Result, Run};
use crate::memory::{Heap, HeapName, Plane, prime};

/// Bytes of what they are asked to import: 1920x1080 with four bytes a pixel.
const LENGTH: usize = 1920 * 1080 * 4;

/// A DRM device, and whether it imports a heap's DMABUFs.
#[derive(Debug)]
pub struct CardProbe {
    /// Its path.
    pub card: PathBuf,
    /// Its driver's name; None if the kernel does not tell.
    pub driver: Option<String>,
    /// The heap.
    pub heap: String,
    /// Whether it does.
    pub imports: Result<()>,
}

/// Tries each heap's DMABUFs with each DRM card.
pub fn cards(run: &mut Run<'_>) -> Result<Vec<CardProbe>> {
    let mut probed = Vec::new();
    let cards = found();
    if cards.is_empty() {
        return Ok(probed);
    }
    for heap in HeapName::candidates() {
        let allocated = Heap::open(&heap).and_then(|heap| heap.allocate(LENGTH));
        // A heap that is not there is none of the cards' matters.
        let plane = match allocated {
            Err(error) if error.kind() == ErrorKind::HeapNotFound => continue,
            plane => plane.map(Arc::new),
        };
        for card in &cards {
            let (driver, imports) = match &plane {
                Err(error) => (None, Err(error.clone())),
                Ok(plane) => {
                    let (own, plane) = (card.clone(), Arc::clone(plane));
                    let call = format!("import by {}", card.display());
                    let importing = Blocking::start(call, move || look_at(&own, &plane))?;
                    match run.wait_for(importing, OnStop::End)? {
                        Some(tried) => tried,
                        None => return Ok(probed),
                    }
                }
            };
            probed.push(CardProbe {
                card: card.clone(),
                driver,
                heap: heap.to_string(),
                imports,
            });
        }
    }
    Ok(probed)
}

/// The cards of this machine, in the order of their numbers.
fn found() -> Vec<PathBuf> {
    let entries = read_dir("/dev/dri").into_iter().flatten().flatten();
    let is_card = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("card"))
    };
    let mut cards: Vec<PathBuf> = entries.map(|it| it.path()).filter(is_card).collect();
    cards.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    cards
}

/// What the card's driver is called, and whether it imports the memory.
fn look_at(card: &Path, plane: &Plane) -> (Option<String>, Result<()>) {
    match OpenOptions::new().read(true).write(true).open(card) {
        Ok(file) => (prime::driver(file.as_fd()).ok(), import(card, &file, plane)),
        Err(error) => {
            let error = failed(card, format!("open {}", card.display())).io(&error);
            let next = "join the group video (usermod -aG video USER), or run as root";
            (None, Err(error.next(next)))
        }
    }
}

fn failed(card: &Path, what: String) -> Error {
    Error::new(ErrorKind::Device, what).object(card.display().to_string())
}

fn import(card: &Path, file: &File, plane: &Plane) -> Result<()> {
    let shown = card.display();
    let what = format!("import a DMABUF into {shown} (DRM_IOCTL_PRIME_FD_TO_HANDLE)");
    let Some(dmabuf) = plane.dmabuf() else {
        return Err(failed(card, what).cause("the heap's memory is no DMABUF"));
    };
    prime::import(file.as_fd(), dmabuf).map_err(|errno| {
        let error = failed(card, what).errno(errno);
        match errno {
            Errno::ENOSYS | Errno::ENODEV | Errno::ENOTTY | Errno::EOPNOTSUPP => {
                error.cause("its driver imports none")
            }
            Errno::EINVAL => error.cause("its driver imports none, or none of this kind of memory"),
            _ => error,
        }
    })
}
