//! A page that shows a stream while it goes on: its picture, and what is measured of it.
//!
//! A browser pulls: it asks for a picture when it has drawn the last. So nothing is buffered
//! anywhere, and a viewer that is slow or gone costs the stream nothing. A frame is held only
//! while somebody looks.

mod answer;
mod connection;
mod pictures;
mod request;
mod server;
mod viewers;

pub use server::View;
pub use viewers::Shown;
