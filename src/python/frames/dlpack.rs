//! Frames as DLPack tensors: views that are read-only, and hold the frame until their consumer is
//! done, on whatever thread and without the interpreter.
//!
//! Source: DLPack's C ABI, version 1.0 (`dlpack.h`), and the array API's "Data interchange
//! mechanisms".

#![allow(unsafe_code)]

use std::ffi::{CStr, c_void};
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::pixels::{Open, Pixels};
use crate::frame::array::{Array, Item};

/// A capsule's name until its consumer takes it.
const NAME: &CStr = c"dltensor_versioned";

/// `kDLCPU`, and its only device.
pub const DEVICE: (i32, i32) = (1, 0);

/// `kDLUInt`
const UNSIGNED: u8 = 1;

const READ_ONLY: u64 = 1;
const IS_COPIED: u64 = 2;

#[repr(C)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device: (i32, i32),
    ndim: i32,
    dtype: DataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensorVersioned`
#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    /// The `Managed` that this is in.
    manager_ctx: *mut c_void,
    deleter: unsafe extern "C" fn(*mut Versioned),
    flags: u64,
    tensor: Tensor,
}

/// A tensor, and what it points to.
struct Managed {
    versioned: Versioned,
    shape: Vec<i64>,
    strides: Vec<i64>,
    open: Open,
}

/// What a consumer asks for.
#[derive(Clone, Copy)]
pub struct Asked {
    /// The latest version that it knows, major and minor.
    pub max_version: Option<(u32, u32)>,
    /// Where it wants the data.
    pub device: Option<(i32, i32)>,
    /// Whether it wants them copied.
    pub copy: bool,
    /// Whether it names a stream, which is another device's.
    pub has_stream: bool,
}

impl Asked {
    /// By the arguments of `__dlpack__`.
    pub fn new(
        has_stream: bool,
        max_version: Option<(u32, u32)>,
        device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> Self {
        Asked {
            max_version,
            device,
            copy: copy.unwrap_or(false),
            has_stream,
        }
    }

    /// `BufferError`: it can't be had.
    pub fn check(self) -> PyResult<()> {
        if self.max_version.is_none_or(|(major, _)| major < 1) {
            return Err(PyBufferError::new_err(
                "a frame is read-only, which DLPack tells from version 1 on: the consumer does not \
                 know that one",
            ));
        }
        if self.has_stream || self.device.is_some_and(|device| device != DEVICE) {
            return Err(PyBufferError::new_err("a frame is in the CPU's memory"));
        }
        Ok(())
    }
}

/// A capsule of a plane's elements. `BufferError`: DLPack can't tell of them.
pub fn capsule<'py>(
    py: Python<'py>,
    pixels: Arc<Pixels>,
    array: &Array,
    is_copied: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let bytes = array.item.bytes();
    if array.item == Item::U16Big {
        return Err(PyBufferError::new_err(
            "DLPack has no words whose higher byte comes first",
        ));
    }
    let number = |count: &usize| {
        i64::try_from(*count).map_err(|_| PyBufferError::new_err("the frame is too large"))
    };
    let stride = |distance: &usize| match distance % bytes {
        0 => number(&(distance / bytes)),
        _ => Err(PyBufferError::new_err(
            "rows begin inside an element, which DLPack can't tell",
        )),
    };
    let shape = array.shape.iter().map(number).collect::<PyResult<_>>()?;
    let strides = array.strides.iter().map(stride).collect::<PyResult<_>>()?;
    let open = Open::begin(py, pixels)?;
    let Some(range) = open.range(array.plane) else {
        return Err(PyBufferError::new_err("the frame has no such memory plane"));
    };
    let managed = Box::new(Managed {
        versioned: Versioned {
            major: 1,
            minor: 0,
            manager_ctx: std::ptr::null_mut(),
            deleter: delete,
            flags: READ_ONLY | if is_copied { IS_COPIED } else { 0 },
            tensor: Tensor {
                data: range.iov_base,
                device: DEVICE,
                ndim: array.shape.len() as i32,
                dtype: DataType {
                    code: UNSIGNED,
                    bits: (8 * bytes) as u8,
                    lanes: 1,
                },
                shape: std::ptr::null_mut(),
                strides: std::ptr::null_mut(),
                byte_offset: array.offset as u64,
            },
        },
        shape,
        strides,
        open,
    });
    let managed = Box::into_raw(managed);
    // SAFETY: `managed` is a box's, which nobody else has yet; its vectors stay where they are
    // until `delete`. The capsule gets the tensor inside it, and frees it by `forget` or leaves
    // that to its consumer. A null capsule is an error that Python has set.
    unsafe {
        let versioned = &raw mut (*managed).versioned;
        (*versioned).manager_ctx = managed.cast();
        (*versioned).tensor.shape = (*managed).shape.as_mut_ptr();
        (*versioned).tensor.strides = (*managed).strides.as_mut_ptr();
        let capsule = ffi::PyCapsule_New(versioned.cast(), NAME.as_ptr(), Some(forget));
        if capsule.is_null() {
            delete(versioned);
        }
        Bound::from_owned_ptr_or_err(py, capsule)
    }
}

/// A tensor's deleter: whoever has it is done with the frame. Takes no interpreter's lock.
unsafe extern "C" fn delete(versioned: *mut Versioned) {
    // SAFETY: `manager_ctx` is the box that `capsule` made, and a tensor is deleted once.
    let managed = unsafe { Box::from_raw((*versioned).manager_ctx.cast::<Managed>()) };
    drop(managed.open);
}

/// A capsule's destructor: deletes the tensor unless a consumer took it, and with it the name.
unsafe extern "C" fn forget(capsule: *mut ffi::PyObject) {
    // SAFETY: Python gives the capsule that it is about to free. By its name the tensor is still
    // its own.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, NAME.as_ptr()) == 1 {
            let versioned = ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr());
            delete(versioned.cast());
        }
    }
}
