//! What a browser asks for, and whether it is meant to.

use std::net::IpAddr;

use httparse::{EMPTY_HEADER, Header, Status};

/// Bytes of a request. No browser of today has as many for this machine.
const MOST_BYTES: usize = 16_384;

/// Fields of a request.
const MOST_FIELDS: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The page itself.
    Page,
    /// A picture of the newest frame, if its number is another.
    Picture(Option<u64>),
    /// A picture of the newest frame with all its pixels.
    WholePicture,
    /// The newest frame's payload.
    Raw,
    /// The report so far, or the final one.
    Figures,
}

/// Why nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP.
    Malformed,
    /// The page is asked for by a name that is not this machine's, or from elsewhere.
    NotMeant,
    /// There is nothing at the path.
    NotFound,
    /// It is more than a question.
    NotGet,
    /// It is longer than questions are.
    TooLong,
}

/// A request that has come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub asked: Result<Question, Refusal>,
    /// Whether the answer is to have no body.
    pub is_head: bool,
    /// Whether another may follow.
    pub goes_on: bool,
    /// Its bytes.
    pub length: usize,
}

impl Request {
    /// The first request of what was received; None if it has not come whole. `host` is the
    /// name by which the page is listened for.
    pub fn of(received: &[u8], host: &str) -> Option<Self> {
        let refused = |refusal| Request {
            asked: Err(refusal),
            is_head: false,
            goes_on: false,
            length: received.len(),
        };
        let mut fields = [EMPTY_HEADER; MOST_FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        let length = match parsed.parse(received) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) if received.len() < MOST_BYTES => return None,
            Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Some(refused(Refusal::TooLong));
            }
            Err(_) => return Some(refused(Refusal::Malformed)),
        };
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
            return Some(refused(Refusal::Malformed));
        };
        let fields = Fields(parsed.headers);
        let is_meant = fields.is_meant(host);
        let asked = match (method, is_meant) {
            ("GET", true) => question(target),
            ("GET", false) => Err(Refusal::NotMeant),
            _ => Err(Refusal::NotGet),
        };
        // A body that nobody reads would be taken for the next question.
        let has_body = fields.has("Content-Length") || fields.has("Transfer-Encoding");
        let is_closing = parsed.version == Some(0) || fields.is("Connection", "close");
        let is_refused = matches!(asked, Err(Refusal::NotMeant | Refusal::NotGet));
        Some(Request {
            asked,
            is_head: method == "HEAD",
            goes_on: !(has_body || is_closing || is_refused),
            length,
        })
    }
}

/// A request's fields.
struct Fields<'a>(&'a [Header<'a>]);

impl Fields<'_> {
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self
            .0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii())
    }

    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.values(name)
            .any(|it| it.eq_ignore_ascii_case(value.as_bytes()))
    }

    /// Tells whoever means this machine from a page elsewhere that had its name resolved to it.
    /// Such a page has a name of its own in the address: an IP address can't be one.
    fn is_meant(&self, host: &str) -> bool {
        if self.is("Sec-Fetch-Site", "cross-site") {
            return false;
        }
        let mut hosts = self.values("Host");
        let (Some(told), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let Some(told) = std::str::from_utf8(told).ok().and_then(without_port) else {
            return false;
        };
        let is_named = |name: &str| told.eq_ignore_ascii_case(name);
        is_named("localhost") || is_named(host) || told.parse::<IpAddr>().is_ok()
    }
}

/// The host of `host:port`; an IPv6 address without its brackets, and without its zone.
fn without_port(host: &str) -> Option<&str> {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.split('%').next(),
        None => host.split(':').next(),
    }
}

/// What a request's target asks for. Proxies have it with the host before the path.
fn question(target: &str) -> Result<Question, Refusal> {
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let value = |name: &str| {
        let mut fields = query
            .split('&')
            .map(|it| it.split_once('=').unwrap_or((it, "")));
        fields.find_map(|(named, value)| (named == name).then_some(value))
    };
    match path {
        "/" => Ok(Question::Page),
        "/frame" if value("whole").is_some() => Ok(Question::WholePicture),
        // What is no number is no frame's.
        "/frame" => Ok(Question::Picture(
            value("after").and_then(|after| after.parse().ok()),
        )),
        "/frame.raw" => Ok(Question::Raw),
        "/figures" => Ok(Question::Figures),
        _ => Err(Refusal::NotFound),
    }
}

#[cfg(test)]
mod tests;
