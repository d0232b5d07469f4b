//! What the receiver says of a stream when it begins.

use std::path::Path;

use crate::dump::DumpTarget;
use crate::pixel_format::FfmpegOptions;
use crate::wire::{Description, Version};

/// Says what is coming, and how to look at it.
pub(super) fn announce(description: &Description, version: Version, output: Option<&DumpTarget>) {
    let Description {
        width,
        height,
        pixel_format,
        ..
    } = *description;
    let bytes = description.frame_bytes();
    log::info!(
        "stream of {width}x{height} {pixel_format}, up to {bytes} bytes a frame (wire version {})",
        version.number()
    );
    let expected = pixel_format.frame_size(width, height).map(u64::from);
    if let Some(expected) = expected.filter(|expected| *expected != bytes) {
        log::warn!(
            "frames may have {bytes} bytes where {expected} are expected: rows or planes are \
             likely padded"
        );
    }
    let path = match output {
        None => return,
        Some(DumpTarget::Stdout) => "-".to_owned(),
        Some(DumpTarget::File(path)) => quoted(path),
    };
    let sizeimage = u32::try_from(bytes).unwrap_or(u32::MAX);
    match FfmpegOptions::new(pixel_format, width, height, sizeimage) {
        Some(FfmpegOptions { input, filter }) => {
            log::info!("to watch: ffplay {input} -i {path}{filter}");
            log::info!("to convert: ffmpeg {input} -i {path}{filter} OUTPUT.mkv");
        }
        None => log::info!("ffmpeg knows no way to read {pixel_format}"),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
