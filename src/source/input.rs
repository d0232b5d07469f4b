//! What a source is named by.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::base::{Result, Run, settings};
use crate::source::{
    Source, camera::Camera, camera::Capture, feed::Feed, test::Picture, test::TestSource,
};

/// What to capture from.
#[derive(Debug, Clone)]
pub enum Input {
    /// A V4L2 device.
    Device(PathBuf),
    /// The built-in source.
    Test(Picture),
    /// A program.
    Feed(Feed),
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let settings::AnyPath(path) = Deserialize::deserialize(from)?;
        Ok(match path.to_str() {
            Some("test") => Input::Test(Picture::Moving),
            Some("test:still") => Input::Test(Picture::Still),
            _ => Input::Device(path),
        })
    }
}

impl Input {
    /// Opens it.
    pub fn open(&self, capture: &Capture, run: &mut Run<'_>) -> Result<Box<dyn Source>> {
        match self {
            Input::Device(path) => Camera::open_beside(path, capture.clone(), run),
            Input::Test(picture) => Ok(Box::new(TestSource::new(capture, *picture)?)),
            Input::Feed(feed) => Ok(Box::new(feed.open(capture, run)?)),
        }
    }
}
