use proptest::prelude::*;

use super::*;

fn asked(heading: &str) -> Result<Question, Refusal> {
    request(heading).asked
}

fn request(heading: &str) -> Request {
    let text = format!("{}\r\n\r\n", heading.replace('\n', "\r\n"));
    let request = Request::of(text.as_bytes(), "camera.lab").unwrap();
    assert_eq!(request.length, text.len(), "of {heading:?}");
    request
}

#[test]
fn a_question_is_told_by_path_and_query() {
    let local = "HTTP/1.1\nHost: localhost:8080";
    for (target, question) in [
        ("/", Question::Page),
        ("/figures", Question::Figures),
        ("/frame.raw", Question::Raw),
        ("/frame", Question::Picture(None)),
        ("/frame?after=", Question::Picture(None)),
        ("/frame?after=x", Question::Picture(None)),
        ("/frame?after=18446744073709551616", Question::Picture(None)),
        ("/frame?after=17&more", Question::Picture(Some(17))),
        ("/frame?whole", Question::WholePicture),
        ("http://localhost:8080/figures?x", Question::Figures),
        ("http://localhost:8080", Question::Page),
    ] {
        assert_eq!(
            asked(&format!("GET {target} {local}")),
            Ok(question),
            "{target}"
        );
    }
    assert_eq!(
        asked(&format!("GET /etc/passwd {local}")),
        Err(Refusal::NotFound)
    );
}

#[test]
fn whoever_names_another_host_is_not_meant() {
    for (fields, is_meant) in [
        ("Host: localhost", true),
        ("host: LOCALHOST:1", true),
        ("Host: camera.lab:80", true),
        ("Host: 192.0.2.7:80", true),
        ("Host: [::1]:80", true),
        ("Host: [fe80::1%eth0]:80", true),
        ("Host: example.org", false),
        ("Host: localhost.example.org", false),
        ("Host: evil@localhost", false),
        ("Host: [", false),
        ("Host:", false),
        ("X: y", false),
        ("Host: localhost\nHost: example.org", false),
        ("Host: localhost\nSec-Fetch-Site: cross-site", false),
        ("Host: localhost\nSec-Fetch-Site: same-origin", true),
    ] {
        let asked = asked(&format!("GET /figures HTTP/1.1\n{fields}"));
        let expected = if is_meant {
            Ok(Question::Figures)
        } else {
            Err(Refusal::NotMeant)
        };
        assert_eq!(asked, expected, "{fields:?}");
    }
}

#[test]
fn a_connection_goes_on_after_questions_alone() {
    let local = "Host: localhost";
    for (heading, goes_on) in [
        (format!("GET / HTTP/1.1\n{local}"), true),
        (format!("GET /nothing HTTP/1.1\n{local}"), true),
        (format!("GET / HTTP/1.0\n{local}"), false),
        (format!("GET / HTTP/1.1\n{local}\nConnection: Close"), false),
        (format!("GET / HTTP/1.1\n{local}\nContent-Length: 4"), false),
        (
            format!("GET / HTTP/1.1\n{local}\nTransfer-Encoding: chunked"),
            false,
        ),
        (format!("POST / HTTP/1.1\n{local}"), false),
        ("GET / HTTP/1.1\nHost: example.org".to_owned(), false),
    ] {
        assert_eq!(request(&heading).goes_on, goes_on, "{heading:?}");
    }
}

#[test]
fn what_is_no_question_is_refused() {
    let refused = |text: &[u8]| Request::of(text, "").unwrap().asked;
    assert_eq!(
        asked("BREW / HTTP/1.1\nHost: localhost"),
        Err(Refusal::NotGet)
    );
    assert_eq!(refused(b"\x16\x03\x01\x02\x00"), Err(Refusal::Malformed));
    assert_eq!(refused(b"GET / HTTP/2\r\n\r\n"), Err(Refusal::Malformed));
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(MOST_BYTES));
    assert_eq!(refused(long.as_bytes()), Err(Refusal::TooLong));
    let many = format!(
        "GET / HTTP/1.1\r\n{}\r\n",
        "x: y\r\n".repeat(MOST_FIELDS + 1)
    );
    assert_eq!(refused(many.as_bytes()), Err(Refusal::TooLong));
}

#[test]
fn a_request_is_answered_when_it_has_come_whole() {
    let whole = b"GET /frame?after=3 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for length in 0..whole.len() {
        assert_eq!(Request::of(&whole[..length], ""), None, "{length} bytes");
    }
    let two = [&whole[..], &whole[..]].concat();
    let first = Request::of(&two, "").unwrap();
    assert_eq!(first.length, whole.len());
    assert_eq!(first.asked, Ok(Question::Picture(Some(3))));
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(
        received in proptest::collection::vec(any::<u8>(), 0..512),
        host in ".{0,16}",
    ) {
        if let Some(request) = Request::of(&received, &host) {
            prop_assert!(request.length <= received.len());
        }
    }

    #[test]
    fn no_text_brings_it_down(method in "[A-Z]{1,8}", target in "[!-~]{1,64}", value in "[ -~]{0,64}") {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: {value}\r\n\r\n");
        let request = Request::of(text.as_bytes(), "");
        prop_assert_eq!(request.map(|it| it.length), Some(text.len()));
    }
}
