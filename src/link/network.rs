//! What the kernel tells of a connection.

use std::net::IpAddr;

/// A TCP connection. Source: tcp(7), TCP_INFO, and <linux/tcp.h>.
#[derive(Debug, Clone)]
pub struct Network {
    /// This side's address, which tells the interface.
    pub local: IpAddr,
    /// The other side's.
    pub peer: IpAddr,
    /// What TCP_INFO has, by its fields' names: times in microseconds, sizes in bytes.
    pub tcp: Vec<(&'static str, u64)>,
}
