//! Texts that others wrote, as a terminal may have them.

use std::borrow::Cow;

/// Whether a terminal does something else with it than show it: it controls, or it turns
/// the direction or the line of what follows.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

/// The text with every character escaped that a terminal does not just show, as in Rust and
/// Python: `\u{1b}` is `\x1b`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut told = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match (is_active(character), u32::from(character)) {
            (false, _) => told.push(character),
            (true, code @ ..0x100) => told.push_str(&format!("\\x{code:02x}")),
            (true, code) => told.push_str(&format!("\\u{code:04x}")),
        }
    }
    Cow::Owned(told)
}

/// The text that bytes of others are meant to be, escaped.
pub fn of_bytes(bytes: &[u8]) -> String {
    escaped(&String::from_utf8_lossy(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            escaped("\u{1b}[2J\u{9b}A\r\n\u{202e}"),
            "\\x1b[2J\\x9bA\\x0d\\x0a\\u202e"
        );
        assert_eq!(of_bytes(b"a\x1b\xff"), "a\\x1b\u{fffd}");
    }

    #[test]
    fn what_it_shows_stays() {
        let text = "Kamera „Süd“ 前 \\x1b 🎥";
        assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
    }
}
