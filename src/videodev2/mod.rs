//! V4L2's structures and constants, of the kernel's <linux/videodev2.h>: what is used of it.
//!
//! `tools/bindings` makes `generated.rs` with bindgen, for x86-64 and arm64, and fails if the two differ.
//! What is checked in here spares those who build libclang. That each structure has the layout that
//! the kernel's has is asserted in it, and so wherever it is compiled.

// On others a timestamp, and so each buffer and its ioctls, may have another size.
#[cfg(not(target_pointer_width = "64"))]
compile_error!("V4L2's structures are generated for 64-bit machines alone: see tools/bindings");

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    unsafe_code,
    clippy::all,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks,
    reason = "generated"
)]
#[rustfmt::skip]
mod generated;

pub use generated::*;
