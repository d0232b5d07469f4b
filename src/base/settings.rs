//! How settings are read out of JSON, where their types alone do not tell.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// What has a name.
pub fn named<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// A time in seconds.
pub fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
}

/// A time in seconds, if there is one.
pub fn perhaps_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let seconds = Option::<f64>::deserialize(from)?;
    let duration = seconds.map(Duration::try_from_secs_f64).transpose();
    duration.map_err(D::Error::custom)
}

/// A path, if there is one.
pub fn path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(Option::<AnyPath>::deserialize(from)?.map(|path| path.0))
}

/// A path of whatever bytes. JSON has characters alone: a byte that is none of UTF-8 is the
/// surrogate U+DC00 and it, as Python has it (PEP 383).
pub struct AnyPath(pub PathBuf);

impl<'de> Deserialize<'de> for AnyPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_bytes(Characters).map(AnyPath)
    }
}

struct Characters;

impl Visitor<'_> for Characters {
    type Value = PathBuf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path")
    }

    fn visit_bytes<E: Error>(self, mut bytes: &[u8]) -> Result<PathBuf, E> {
        let mut path = Vec::with_capacity(bytes.len());
        while let Some((&byte, rest)) = bytes.split_first() {
            // Surrogates come as UTF-8 would have them: U+DC80 to U+DCFF.
            if let [0xED, half @ (0xB2 | 0xB3), last, rest @ ..] = bytes {
                path.push(last | (half & 1) << 6);
                bytes = rest;
            } else {
                path.push(byte);
                bytes = rest;
            }
        }
        Ok(OsString::from_vec(path).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_path_keeps_every_byte() {
        let json = r#"["/tmp/\u00e4 \udc80\udcbf\udcc0\udcff\ud7ff.raw"]"#;
        let [AnyPath(path)]: [AnyPath; 1] = serde_json::from_str(json).unwrap();
        let expected = "/tmp/ä \u{80}".as_bytes();
        let expected = [
            &expected[..8],
            b"\x80\xBF\xC0\xFF",
            "\u{d7ff}.raw".as_bytes(),
        ]
        .concat();
        assert_eq!(path.as_os_str().as_bytes(), expected);
    }
}
