//! An answer's heading, and what browsers may do with it.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::request::Refusal;

/// What browsers may do with all but the page: nothing.
const NO_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// An answer. What it gives may be in parts.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// As in `200 OK`.
    pub status: &'static str,
    /// The media type.
    pub kind: Option<&'static str>,
    /// The Content-Security-Policy, if it is the page's.
    pub policy: Option<&'a str>,
    /// More fields, a line each.
    pub more: &'a str,
    /// What is given.
    pub body: [&'a [u8]; 2],
}

impl<'a> Answer<'a> {
    /// Something that was asked for.
    pub fn of(kind: &'static str, body: [&'a [u8]; 2]) -> Self {
        Answer {
            status: "200 OK",
            kind: Some(kind),
            policy: None,
            more: "",
            body,
        }
    }

    /// A frame's bytes.
    pub fn bytes(body: [&'a [u8]; 2]) -> Self {
        Answer::of("application/octet-stream", body)
    }

    /// There is none now.
    pub fn none() -> Self {
        Answer {
            status: "204 No Content",
            kind: None,
            policy: None,
            more: "",
            body: [&[], &[]],
        }
    }

    /// It can't be given, in words.
    pub fn failed(status: &'static str, words: &'a str) -> Self {
        Answer {
            status,
            ..Answer::of("text/plain; charset=utf-8", [words.as_bytes(), b"\n"])
        }
    }

    /// It is not given.
    pub fn refused(refusal: Refusal) -> Self {
        let (status, words) = match refusal {
            Refusal::Malformed => ("400 Bad Request", "this is no HTTP"),
            Refusal::NotMeant => ("403 Forbidden", "not by this name"),
            Refusal::NotFound => ("404 Not Found", "there is no such page"),
            Refusal::NotGet => ("405 Method Not Allowed", "GET only"),
            Refusal::TooLong => (
                "431 Request Header Fields Too Large",
                "the request is too long",
            ),
        };
        let more = match refusal {
            Refusal::NotGet => "Allow: GET\r\n",
            _ => "",
        };
        Answer {
            more,
            ..Answer::failed(status, words)
        }
    }

    /// The heading.
    pub fn heading(&self, has_ended: bool, goes_on: bool) -> String {
        let mut heading = format!("HTTP/1.1 {}\r\n", self.status);
        let mut field = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = write!(heading, "{name}: {value}\r\n");
        };
        field("Server", concat!("v4l-dmabuf/", env!("CARGO_PKG_VERSION")));
        field("Date", &httpdate::fmt_http_date(SystemTime::now()));
        if let Some(kind) = self.kind {
            field("Content-Type", kind);
            let length: usize = self.body.iter().map(|part| part.len()).sum();
            field("Content-Length", &length.to_string());
        }
        field("Cache-Control", "no-store");
        field("X-Content-Type-Options", "nosniff");
        field("Cross-Origin-Resource-Policy", "same-origin");
        field("Referrer-Policy", "no-referrer");
        field("X-Stream", if has_ended { "ended" } else { "running" });
        field("Content-Security-Policy", self.policy.unwrap_or(NO_POLICY));
        if !goes_on {
            field("Connection", "close");
        }
        heading.push_str(self.more);
        heading.push_str("\r\n");
        heading
    }
}
