//! What an output device is to show: its format, and all of each frame.

use nix::errno::Errno;

use super::Device;
use crate::base::{Error, ErrorKind, Result};
use crate::frame::field;
use crate::v4l2::Format;
use crate::v4l2::selection::{Rectangle, Target};

impl Device {
    /// Sets the format of an output device: an error if it grants another, since the frames are
    /// what they are.
    pub fn set_output(&self, wanted: &Format) -> Result<Format> {
        let what = format!(
            "set {}x{} {} on {}",
            wanted.width,
            wanted.height,
            wanted.pixel_format,
            self.path()
        );
        let granted = self.set_format(wanted);
        let granted = granted.map_err(|errno| self.error(&what, errno))?;
        let lacks = lacks(wanted, &granted);
        if lacks.is_empty() {
            return Ok(granted);
        }
        Err(Error::new(ErrorKind::Format, what)
            .object(self.path())
            .errno(Errno::EINVAL)
            .cause(format!("the driver takes {} instead", lacks.join(", ")))
            .next(self.offered()))
    }

    /// Has the device show all of each frame: what was set by a program before stays set. An
    /// error if it will not.
    pub fn show_all(&self, format: &Format) -> Result<()> {
        let whole = Rectangle {
            left: 0,
            top: 0,
            width: format.width,
            height: format.height,
        };
        if let Ok(place) = self.get_selection(Target::ComposeDefault) {
            // Whichever comes first may be bounded by the other.
            let _ = self.set_selection(Target::Compose, place);
        }
        let _ = self.set_selection(Target::Crop, whole);
        let _ = self.set_selection(Target::Compose, whole);
        match self.get_selection(Target::Crop) {
            Ok(shown) if shown != whole => Err(Error::about(
                ErrorKind::Format,
                "show whole frames on",
                self.path(),
            )
            .errno(Errno::EINVAL)
            .cause(format!(
                "the driver shows {}x{} at {},{} of {}x{}",
                shown.width, shown.height, shown.left, shown.top, whole.width, whole.height
            ))
            .next(format!(
                "set its display to the frames' size: v4l2-ctl -d {} --set-dv-bt-timings, or \
                 --set-selection-output",
                self.path()
            ))),
            // A driver without selections shows all of each frame.
            _ => Ok(()),
        }
    }
}

/// What was granted other than wanted, in words.
fn lacks(wanted: &Format, granted: &Format) -> Vec<String> {
    let mut lacks = Vec::new();
    let size = |it: &Format| format!("{}x{}", it.width, it.height);
    if size(wanted) != size(granted) {
        lacks.push(size(granted));
    }
    if wanted.pixel_format != granted.pixel_format {
        lacks.push(granted.pixel_format.to_string());
    }
    if wanted.planes.len() != granted.planes.len() {
        lacks.push(format!("{} memory planes", granted.planes.len()));
    }
    for (number, (wanted, granted)) in wanted.planes.iter().zip(&granted.planes).enumerate() {
        if wanted.bytesperline != granted.bytesperline {
            lacks.push(format!(
                "rows of {} bytes in plane {number} (bytesperline; the frames have {})",
                granted.bytesperline, wanted.bytesperline
            ));
        }
    }
    let (wanted, own) = (wanted.appearance, granted.appearance);
    if wanted.field != own.field {
        lacks.push(format!("fields \"{}\"", field::name(own.field)));
    }
    let (wanted, own) = (wanted.colours, own.colours);
    let colours = [
        ("colorspace", wanted.colorspace, own.colorspace),
        ("transfer function", wanted.transfer, own.transfer),
        ("Y'CbCr encoding", wanted.encoding, own.encoding),
        ("quantization", wanted.quantization, own.quantization),
    ];
    for (what, wanted, granted) in colours {
        // 0 is whatever the driver has.
        if wanted != 0 && wanted != granted {
            lacks.push(format!("{what} {granted} (the frames have {wanted})"));
        }
    }
    lacks
}
