//! Which rows of a picture a buffer has: V4L2's field order.
//!
//! Source: the kernel's "Field Order". Where fields alternate, each buffer has one of a
//! frame's two, the format's height and rows are a field's, and both fields of a frame
//! have the same sequence number.

use crate::videodev2 as sys;

/// `V4L2_FIELD_ANY`: a driver that tells nothing.
pub const UNKNOWN: u32 = sys::V4L2_FIELD_ANY;

/// `V4L2_FIELD_NONE`: all rows at once.
pub const NONE: u32 = sys::V4L2_FIELD_NONE;

/// `V4L2_FIELD_ALTERNATE`: a format whose buffers have one field each, in turn.
pub const ALTERNATE: u32 = sys::V4L2_FIELD_ALTERNATE;

/// The names of `enum v4l2_field`, as V4L2's tools write them.
const NAMES: [&str; 10] = [
    "any",
    "none",
    "top",
    "bottom",
    "interlaced",
    "seq-tb",
    "seq-bt",
    "alternate",
    "interlaced-tb",
    "interlaced-bt",
];

/// What a field order is called; its number if nobody knows it.
pub fn name(field: u32) -> String {
    let name = NAMES.get(field as usize);
    name.map_or_else(|| field.to_string(), |name| (*name).to_owned())
}

/// Which of a frame's two fields a buffer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// Its first row is the frame's.
    Top,
    /// Its first row is the frame's second.
    Bottom,
}

impl Parity {
    /// From `v4l2_buffer.field`; None if that is no single field.
    pub fn of(field: u32) -> Option<Self> {
        match field {
            sys::V4L2_FIELD_TOP => Some(Parity::Top),
            sys::V4L2_FIELD_BOTTOM => Some(Parity::Bottom),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_numbers() {
        let numbers = [
            (sys::V4L2_FIELD_NONE, "none"),
            (sys::V4L2_FIELD_INTERLACED, "interlaced"),
            (ALTERNATE, "alternate"),
            (sys::V4L2_FIELD_INTERLACED_BT, "interlaced-bt"),
            (77, "77"),
        ];
        for (number, expected) in numbers {
            assert_eq!(name(number), expected);
        }
    }
}
