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
    pub(super) fn allocate(
        self,
        description: &Description,
        count: NonZeroU32,
        limit: u64,
    ) -> Result<Buffers> {
        let mut failure = match allocate_from(&self.first, description, count, limit) {
            // Another heap has as little room below the limit.
            Err(error) if error.kind() != ErrorKind::Limit => error,
            result => return result,
        };
        for name in &self.others {
            log::warn!("heap auto: trying {name}: {failure}");
            let heap = Heap::open(name);
            match heap.and_then(|heap| allocate_from(&heap, description, count, limit)) {
                Ok(buffers) => return Ok(buffers),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn allocate_from(
    heap: &Heap,
    description: &Description,
    count: NonZeroU32,
    limit: u64,
) -> Result<Buffers> {
    let (pages, bytes) = pages_within(limit, heap, description, count)?;
    let buffer = |index| {
        let sizes = description.planes.iter().map(|it| it.sizeimage.get());
        let planes = sizes
            .map(|size| heap.allocate_in(size as usize, pages))
            .collect::<Result<Vec<_>>>()?;
        Ok(Free::new(index, planes))
    };
    let free = (0..count.get()).map(buffer).collect::<Result<_>>()?;
    log::info!(
        "memory: {count} x {} bytes from {}, {bytes} bytes in whole pages at most",
        description.frame_bytes(),
        heap.name()
    );
    Ok(Buffers {
        free,
        count,
        memory: heap.memory_used(),
        heap: heap.name().clone(),
    })
}

/// The largest pages that `count` buffers may be made of within the limit, and the bytes
/// that they then take at most. Huge pages take more, and are worth having only within it.
fn pages_within(
    limit: u64,
    heap: &Heap,
    description: &Description,
    count: NonZeroU32,
) -> Result<(Pages, u64)> {
    let takes = |pages| footprint(heap, description, count, pages);
    [Pages::Huge, Pages::Usual]
        .into_iter()
        .filter_map(|pages| Some((pages, takes(pages)?)))
        .find(|(_, bytes)| *bytes <= limit)
        .ok_or_else(|| over_the_limit(description, count, takes(Pages::Usual), limit))
}

/// Bytes that `count` buffers take from a heap; None if they are more than can be counted.
fn footprint(
    heap: &Heap,
    description: &Description,
    count: NonZeroU32,
    pages: Pages,
) -> Option<u64> {
    let sizes = description.planes.iter().map(|it| it.sizeimage.get());
    sizes
        .map(|size| heap.footprint(usize::try_from(size).ok()?, pages))
        .try_fold(0_u64, |sum, bytes| sum.checked_add(bytes? as u64))?
        .checked_mul(count.get().into())
}

fn over_the_limit(
    description: &Description,
    count: NonZeroU32,
    bytes: Option<u64>,
    limit: u64,
) -> Error {
    let bytes = bytes.map_or("too many".to_owned(), |bytes| bytes.to_string());
    Error::new(ErrorKind::Limit, "take the stream")
        .cause(format!(
            "its frames have {} bytes, {count} buffers of them take {bytes} bytes, and the limit \
             is {limit}",
            description.frame_bytes(),
        ))
        .next("raise --max-memory if you trust the sender")
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

    fn buffers(description: &Description, limit: u64) -> Result<Buffers> {
        let memfd = HeapChoice::Named(HeapName::Memfd);
        let count = description.buffers.min(MAX_BUFFERS);
        Heaps::open(&memfd)?.allocate(description, count, limit)
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
        let within = |limit| pages_within(limit, &udmabuf, &small, MAX_BUFFERS).ok();
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
