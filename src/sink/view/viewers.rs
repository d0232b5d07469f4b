//! Who looks at the page, and what each is given.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::answer::Answer;
use super::connection::Connection;
use super::pictures::{Drawn, Pictures};
use super::request::Question;
use crate::base::{Bell, Result, lock, spawn};
use crate::sink::latest::{Latest, Look};

/// Connections at a time; whoever is one too many is turned away.
const MOST_CONNECTIONS: usize = 16;

/// What is shown, and how.
pub struct Shown {
    /// The newest frame.
    pub latest: Latest,
    /// The least time from picture to picture.
    pub interval: Duration,
    /// Pixels of a picture's row at most.
    pub width: u32,
    /// The page.
    pub page: Vec<u8>,
    /// What a browser may do for it: Content-Security-Policy.
    pub policy: String,
    /// Tells what is measured so far, as JSON.
    pub figures: Box<dyn Fn() -> Result<String> + Send + Sync>,
}

/// Those who look.
pub(super) struct Viewers {
    host: String,
    shown: Shown,
    /// What they see.
    pub pictures: Pictures,
    connections: AtomicUsize,
    /// What is measured in the end.
    last: OnceLock<String>,
    /// Whether somebody was told that.
    is_told: Mutex<bool>,
    told: Condvar,
    /// Rings from the view's end on.
    pub over: Bell,
}

/// A connection's place among so many.
struct Place(Arc<Viewers>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Viewers {
    /// Nobody looks yet. `host` is the name by which the page is listened for.
    pub fn new(host: &str, shown: Shown) -> Result<Self> {
        Ok(Viewers {
            host: host.to_owned(),
            pictures: Pictures::new(shown.latest.clone(), shown.interval, shown.width)?,
            shown,
            connections: AtomicUsize::new(0),
            last: OnceLock::new(),
            is_told: Mutex::new(false),
            told: Condvar::new(),
            over: Bell::new()?,
        })
    }

    /// Tells those who look the final figures, and waits until one has heard them, so long at
    /// most.
    pub fn tell(&self, last: String, patience: Duration) {
        // The first end is the one that counts.
        let _ = self.last.set(last);
        if self.pictures.is_looked_at() {
            let is_told = lock(&self.is_told);
            let waited = self
                .told
                .wait_timeout_while(is_told, patience, |is_told| !*is_told);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Ends all connections, and holds nothing any more.
    pub fn end(&self) {
        self.over.ring();
        self.pictures.end();
    }

    /// Answers a connection on a thread of its own, if there is room for it.
    pub fn serve(self: &Arc<Self>, stream: TcpStream) {
        let before = self.connections.fetch_add(1, Ordering::SeqCst);
        let place = Place(Arc::clone(self));
        if before >= MOST_CONNECTIONS {
            return;
        }
        let started = spawn("viewer", move || {
            let viewers = &place.0;
            match Connection::new(stream, &viewers.over) {
                Ok(mut connection) => {
                    while viewers.answer(&mut connection).is_some() {}
                    connection.part();
                }
                Err(error) => log::debug!("a connection for the page: {error}"),
            }
        });
        if let Err(error) = started {
            log::warn!("{error}");
        }
    }

    /// Answers the next request; None if the connection is to end.
    fn answer(&self, connection: &mut Connection<'_>) -> Option<()> {
        let request = connection.next(&self.host)?;
        let give = |answer: Answer<'_>| {
            let heading = answer.heading(self.last.get().is_some(), request.goes_on);
            let [first, second] = match request.is_head {
                true => [&[][..]; 2],
                false => answer.body,
            };
            connection.send(&[heading.as_bytes(), first, second])
        };
        match request.asked {
            Ok(question) => self.give(question, give),
            Err(refusal) => give(Answer::refused(refusal)),
        }?;
        request.goes_on.then_some(())
    }

    fn give(&self, question: Question, give: impl Fn(Answer<'_>) -> Option<()>) -> Option<()> {
        let given = match question {
            Question::Page => Ok(give(Answer {
                policy: Some(&self.shown.policy),
                ..Answer::of("text/html; charset=utf-8", [&self.shown.page, &[]])
            })),
            Question::Figures => return self.give_figures(give),
            Question::Picture(after) => {
                let drawn = self.pictures.next(after, &self.over);
                drawn.map(|drawn| give(of_picture(drawn.as_deref())))
            }
            Question::WholePicture => {
                let drawn = self.pictures.whole();
                drawn.map(|drawn| give(of_picture(drawn.as_ref())))
            }
            Question::Raw => match self.pictures.newest() {
                Some(look) => look.lease.copy().map(|planes| {
                    give(Answer {
                        more: &fields_of(&look),
                        ..Answer::bytes([&planes.concat(), &[]])
                    })
                }),
                None => Ok(give(Answer::none())),
            },
        };
        given.unwrap_or_else(|error| {
            give(Answer::failed(
                "415 Unsupported Media Type",
                &error.to_string(),
            ))
        })
    }

    fn give_figures(&self, give: impl Fn(Answer<'_>) -> Option<()>) -> Option<()> {
        let of = |figures: &str| give(Answer::of("application/json", [figures.as_bytes(), &[]]));
        if let Some(last) = self.last.get() {
            of(last)?;
            *lock(&self.is_told) = true;
            self.told.notify_all();
            return Some(());
        }
        match (self.shown.figures)() {
            Ok(figures) => of(&figures),
            Err(error) => {
                log::warn!("{error}");
                give(Answer::failed(
                    "500 Internal Server Error",
                    &error.to_string(),
                ))
            }
        }
    }
}

fn of_picture(drawn: Option<&Drawn>) -> Answer<'_> {
    drawn.map_or(Answer::none(), |drawn| {
        Answer::bytes([&drawn.heading, &drawn.rgb])
    })
}

/// What a frame is, in fields of an answer.
fn fields_of(look: &Look) -> String {
    let (stream, frame) = (&look.common.stream, look.lease.frame());
    let strides: Vec<u32> = stream
        .planes
        .iter()
        .map(|plane| plane.bytesperline.unwrap_or(0))
        .collect();
    let lengths: Vec<usize> = frame.payloads.iter().map(|it| it.length).collect();
    let mut fields = String::new();
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = write!(fields, "X-Frame-{name}: {value}\r\n");
    };
    field("Counter", &look.passage.counter);
    field("Sequence", &frame.sequence);
    field("Timestamp-Ns", &frame.timestamp.nanoseconds());
    field("Width", &stream.width);
    field("Height", &stream.height);
    field("Format", &stream.pixel_format);
    field("Bytesperline", &format!("{strides:?}"));
    field("Bytesused", &format!("{lengths:?}"));
    fields
}
