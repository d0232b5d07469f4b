//! What the receiver says of a stream when it begins.

use std::path::Path;

use crate::receiver::ffmpeg::FfmpegOptions;
use crate::sink::dump::DumpTarget;
use crate::wire::{Description, Version};

/// Says what is coming, and how to look at it.
pub(super) fn announce(description: &Description, version: Version, output: Option<&DumpTarget>) {
    let (width, height) = (description.width, description.height);
    let pixel_format = description.pixel_format;
    let bytes = description.frame_bytes();
    let each = if description.alternates() {
        "field"
    } else {
        "frame"
    };
    log::info!(
        "stream of {width}x{height} {pixel_format}, up to {bytes} bytes a {each} (wire version {})",
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
    match FfmpegOptions::new(description) {
        Ok(options) => {
            let (input, filter) = (options.input, options.filter);
            let condition = options
                .condition
                .map_or(String::new(), |it| format!(", {it}"));
            log::info!("to watch{condition}: ffplay {input} -i {path}{filter}");
            log::info!("to convert{condition}: ffmpeg {input} -i {path}{filter} OUTPUT.mkv");
        }
        Err(why) => log::info!("{why}"),
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
