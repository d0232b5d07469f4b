//! What a program says of a frame that it gives.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// What a program says of a frame that it gives; None: what it is by itself.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub timestamp: Option<u64>,
    pub sequence: Option<u64>,
    /// Of each memory plane.
    pub bytesused: Option<Vec<usize>>,
}

/// Bytes that a program says are used.
#[derive(Debug, Clone, FromPyObject)]
pub enum Used {
    /// Of the only memory plane.
    One(usize),
    /// Of each memory plane.
    Each(Vec<usize>),
}

impl Used {
    /// Of each memory plane, which has so many bytes at most. `ValueError`: that is less, or there
    /// are more planes or fewer.
    pub fn within(self, most: &[usize]) -> PyResult<Vec<usize>> {
        let used = match self {
            Used::One(bytes) => vec![bytes],
            Used::Each(bytes) => bytes,
        };
        if used.len() != most.len() {
            return Err(PyValueError::new_err(format!(
                "bytesused is of {} memory planes, and the frame has {}",
                used.len(),
                most.len()
            )));
        }
        if let Some((used, most)) = used.iter().zip(most).find(|(used, most)| used > most) {
            return Err(PyValueError::new_err(format!(
                "bytesused is {most} at most, not {used}"
            )));
        }
        Ok(used)
    }
}

impl Told {
    /// This, and of the rest what `other` says.
    pub fn or(self, other: Told) -> Told {
        Told {
            timestamp: self.timestamp.or(other.timestamp),
            sequence: self.sequence.or(other.sequence),
            bytesused: self.bytesused.or(other.bytesused),
        }
    }
}
