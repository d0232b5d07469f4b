//! The addresses of a host's name.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::base::{Blocking, Error, ErrorKind, Result, Run};

/// The addresses of `host`, which may be a literal or a name.
pub(super) fn resolve(run: &mut Run<'_>, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let wanted = host.to_owned();
    let lookup = Blocking::start(format!("getaddrinfo(3) of {host}"), move || {
        (wanted.as_str(), port)
            .to_socket_addrs()
            .map(Vec::from_iter)
    })?;
    match run.result_of(lookup)? {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(resolve_error(host).cause("the name has no address")),
        Err(error) => Err(resolve_error(host).io(&error)),
    }
}

pub(super) fn resolve_error(host: &str) -> Error {
    Error::new(ErrorKind::Address, format!("resolve the address {host:?}"))
        .object(host)
        .next("give an IPv4 or IPv6 address, or a name that resolves here")
}
