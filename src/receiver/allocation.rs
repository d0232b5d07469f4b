//! The receiver's buffers: as many as are of use, from the first heap that has them, and
//! never more than the limit.

use std::num::NonZeroU32;

use crate::base::{Error, ErrorKind, Result};
use crate::frame::Free;
use crate::memory::{Heap, HeapChoice, HeapName, MemoryUsed, Pages};
use crate::wire::Description;

/// The most buffers worth having (V4L2's `VIDEO_MAX_FRAME`), whatever number the
/// sender says: frames are taken one at a time, in order.
pub(super) const MAX_BUFFERS: NonZeroU32 = NonZeroU32::new(32).unwrap();

/// A stream's buffers.
pub(super) struct Buffers {
    pub(super) free: Vec<Free>,
    pub(super) count: NonZeroU32,
    pub(super) memory: MemoryUsed,
    pub(super) heap: HeapName,
}

/// The heaps that buffers may come from, the first of which gives memory.
pub(super) struct Heaps {
    first: Heap,
    /// Those to try if the first has too little for a stream.
    others: Vec<HeapName>,
}

impl Heaps {
    /// An error if none gives memory.
    pub(super) fn open(choice: &HeapChoice) -> Result<Self> {
        match choice {
            HeapChoice::Named(name) => Ok(Heaps {
                first: Heap::open(name)?,
                others: Vec::new(),
            }),
            HeapChoice::Auto => {
                let candidates = HeapName::receiver_candidates();
                let first = Heap::first_usable(&candidates)?;
                let others = candidates.iter().skip_while(|name| *name != first.name());
                Ok(Heaps {
                    others: others.skip(1).cloned().collect(),
                    first,
                })
            }
        }
    }

    /// Allocates the buffers of a stream, all of them from one heap.
    pub(super) fn allocate(self, wanted: &Wanted<'_>) -> Result<Buffers> {
        let mut tried = wanted.from(&self.first);
        for name in &self.others {
            match &tried {
                // Another heap has as little room below the limit.
                Err(failure) if failure.kind() != ErrorKind::Limit => {
                    log::warn!("heap auto: trying {name}: {failure}");
                    tried = Heap::open(name).and_then(|heap| wanted.from(&heap));
                }
                _ => break,
            }
        }
        tried
    }
}

/// So many buffers of a stream, within a limit of bytes.
pub(super) struct Wanted<'a> {
    pub(super) description: &'a Description,
    pub(super) count: NonZeroU32,
    pub(super) limit: u64,
}

impl Wanted<'_> {
    fn sizes(&self) -> impl Iterator<Item = u32> {
        let planes = self.description.planes.iter();
        planes.map(|it| it.sizeimage.get())
    }

    fn from(&self, heap: &Heap) -> Result<Buffers> {
        let (pages, bytes) = self.pages_within(heap)?;
        let count = self.count;
        let buffer = |index| Free::allocate(index, heap, pages, self.sizes());
        let free = (0..count.get()).map(buffer).collect::<Result<_>>()?;
        log::info!(
            "memory: {count} x {} bytes from {}, {bytes} bytes in whole pages at most",
            self.description.frame_bytes(),
            heap.name()
        );
        Ok(Buffers {
            free,
            count,
            memory: heap.memory_used(),
            heap: heap.name().clone(),
        })
    }

    /// The largest pages that the buffers may be made of within the limit, and the bytes
    /// that they then take at most. Huge pages take more, and are worth having only within it.
    fn pages_within(&self, heap: &Heap) -> Result<(Pages, u64)> {
        [Pages::Huge, Pages::Usual]
            .into_iter()
            .filter_map(|pages| Some((pages, self.footprint(heap, pages)?)))
            .find(|(_, bytes)| *bytes <= self.limit)
            .ok_or_else(|| self.over_the_limit(self.footprint(heap, Pages::Usual)))
    }

    /// Bytes that the buffers take from a heap; None if they are more than can be counted.
    fn footprint(&self, heap: &Heap, pages: Pages) -> Option<u64> {
        self.sizes()
            .map(|size| heap.footprint(usize::try_from(size).ok()?, pages))
            .try_fold(0_u64, |sum, bytes| sum.checked_add(bytes? as u64))?
            .checked_mul(self.count.get().into())
    }

    fn over_the_limit(&self, bytes: Option<u64>) -> Error {
        let bytes = bytes.map_or("too many".to_owned(), |bytes| bytes.to_string());
        Error::new(ErrorKind::Limit, "take the stream")
            .cause(format!(
                "its frames have {} bytes, {} buffers of them take {bytes} bytes, and the limit \
                 is {}",
                self.description.frame_bytes(),
                self.count,
                self.limit
            ))
            .next("raise --max-memory if you trust the sender")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::pixel_format::FourCc;
    use crate::frame::stream::PlaneLayout;

    fn stream(buffers: u32, sizes: &[u32]) -> Description {
        let mut header = Description::from(crate::wire::v2::StreamHeader {
            width: 1,
            height: 1,
            pixel_format: FourCc(0x5945_5247),
            sizeimage: NonZeroU32::MIN,
            buffer_count: NonZeroU32::new(buffers).unwrap(),
        });
        let plane = |size: &u32| PlaneLayout {
            sizeimage: NonZeroU32::new(*size).unwrap(),
            bytesperline: None,
        };
        header.planes = sizes.iter().map(plane).collect();
        header
    }

    fn wanted(description: &Description, limit: u64) -> Wanted<'_> {
        Wanted {
            description,
            count: description.buffers.min(MAX_BUFFERS),
            limit,
        }
    }

    fn buffers(description: &Description, limit: u64) -> Result<Buffers> {
        let memfd = HeapChoice::Named(HeapName::Memfd);
        Heaps::open(&memfd)?.allocate(&wanted(description, limit))
    }

    #[test]
    fn the_limit_counts_whole_pages() {
        let small = stream(4, &[1; 8]);
        let limit = 4 * 8 * 4096;
        assert_eq!(buffers(&small, limit).unwrap().free.len(), 4);
        let error = buffers(&small, limit - 1).err().expect("one byte too many");
        assert_eq!(error.kind(), ErrorKind::Limit);
    }

    #[test]
    fn the_limit_counts_huge_pages_and_does_without_them() {
        let small = stream(32, &[1; 8]);
        let udmabuf = Heap::stand_in_for_udmabuf();
        let within = |limit| wanted(&small, limit).pages_within(&udmabuf).ok();
        let (huge, usual) = (32 * 8 * (2 << 20), 32 * 8 * 4096);
        assert_eq!(within(huge), Some((Pages::Huge, huge)));
        assert_eq!(within(huge - 1), Some((Pages::Usual, usual)));
        assert_eq!(within(usual - 1), None);
    }

    #[test]
    fn the_limit_counts_the_buffers_that_are_allocated_and_no_others() {
        for asked in [32, 33, u32::MAX] {
            let buffers = buffers(&stream(asked, &[4096]), 32 * 4096).unwrap();
            assert_eq!((buffers.free.len(), buffers.count.get()), (32, 32));
        }
        // More than 64 bits of bytes could be asked for; these are counted.
        let most = stream(u32::MAX, &[u32::MAX; 8]);
        assert_eq!(
            buffers(&most, 1 << 30).err().unwrap().kind(),
            ErrorKind::Limit
        );
    }
}
