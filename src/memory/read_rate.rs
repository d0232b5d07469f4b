//! How fast the CPU reads frame memory. Memory that isn't cached is ten times slower
//! than the rest, and explains a slow run.

use std::time::Instant;

use super::Plane;
use crate::base::Result;

/// What is read at a time: it stays in the CPU's caches.
const CHUNK: usize = 256 * 1024;

/// Bytes a second at which the CPU reads the first plane of a buffer, whose others are
/// like it; None if there is none, or it is too little to tell.
pub fn read_rate(planes: &[Plane]) -> Result<Option<f64>> {
    let Some(plane) = planes.first() else {
        return Ok(None);
    };
    let length = plane.length();
    let mut scratch = vec![0; CHUNK];
    let mut best: Option<f64> = None;
    // The first touch of a mapping maps its pages.
    for _ in 0..2 {
        let access = plane.read()?;
        let begun = Instant::now();
        for start in (0..length).step_by(CHUNK) {
            let view = access.view(start, CHUNK.min(length - start))?;
            view.copy_to(&mut scratch);
        }
        let seconds = begun.elapsed().as_secs_f64();
        access.end()?;
        let rate = (length > 0 && seconds > 0.0).then(|| length as f64 / seconds);
        best = best.into_iter().chain(rate).reduce(f64::max);
    }
    Ok(best)
}
