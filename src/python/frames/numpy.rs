//! NumPy's views of frames. NumPy is looked for only when one is asked for.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use crate::frame::array::{Array, Item};

/// What is looked up once: each array takes it.
struct Numpy {
    ndarray: Py<PyAny>,
    frombuffer: Py<PyAny>,
    u8: Py<PyAny>,
    u16_little: Py<PyAny>,
    u16_big: Py<PyAny>,
}

static NUMPY: PyOnceLock<Numpy> = PyOnceLock::new();

fn numpy(py: Python<'_>) -> PyResult<&'static Numpy> {
    NUMPY.get_or_try_init(py, || {
        let module = py.import("numpy")?;
        let dtype = |name| Ok::<_, PyErr>(module.getattr("dtype")?.call1((name,))?.unbind());
        Ok(Numpy {
            ndarray: module.getattr("ndarray")?.unbind(),
            frombuffer: module.getattr("frombuffer")?.unbind(),
            u8: dtype("u1")?,
            u16_little: dtype("<u2")?,
            u16_big: dtype(">u2")?,
        })
    })
}

/// An `ndarray` over a plane of `owner`, which is never copied. `ImportError`: there is no NumPy.
pub fn ndarray<'py>(owner: &Bound<'py, PyAny>, array: &Array) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let numpy = numpy(py)?;
    let item = match array.item {
        Item::U8 => &numpy.u8,
        Item::U16Little => &numpy.u16_little,
        Item::U16Big => &numpy.u16_big,
    };
    // `frombuffer` keeps the owner's buffer open for as long as there is an array over it;
    // `ndarray` closes it at once, and keeps the owner alone.
    let bytes = numpy.frombuffer.bind(py).call1((owner, &numpy.u8))?;
    let shape = PyTuple::new(py, &array.shape)?;
    let strides = PyTuple::new(py, &array.strides)?;
    let arguments = (shape, item, bytes, array.offset, strides);
    numpy.ndarray.bind(py).call1(arguments)
}
