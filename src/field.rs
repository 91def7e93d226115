//! Picks a field, or the first line, out of a text secret.

use crate::deadline::Deadline;
use crate::json;
use crate::secret::Secret;

/// The field called `field` of the secret `whole`: a member if the whole secret is a JSON object, else the value of
/// the first line `FIELD: value` below the first line (the convention of pass). The line's end is not part of the
/// value, nor are the blanks after the colon. After `deadline`, what is found may be wrong: the search ends there.
pub fn pick(whole: &Secret, field: &str, deadline: Deadline) -> Option<Secret> {
    match json::Value::parse(whole.expose(), Some(deadline)).filter(|value| value.is_object()) {
        Some(object) => object.get(field)?.field(),
        None => line(whole.expose(), field.as_bytes(), deadline).map(Secret::copy_of),
    }
}

/// Whether the line that [`pick`] took for `field` only starts a value of YAML, a block or what has nothing after the
/// colon: the value is in the indented lines below it, which are not read.
pub fn is_block(whole: &Secret, field: &str) -> bool {
    let mut lines = whole.expose().split(|&byte| byte == b'\n').skip(1);
    let found = lines.find_map(|line| value(line, field.as_bytes()));
    let begins = match found {
        Some([]) => true,
        Some([b'|' | b'>', marks @ ..]) => {
            let mark = |byte: &u8| matches!(byte, b'+' | b'-' | b'0'..=b'9' | b' ');
            marks.iter().all(mark)
        }
        _ => false,
    };
    begins
        && lines
            .next()
            .is_some_and(|line| line.starts_with(b" ") && !line.trim_ascii().is_empty())
}

/// Whether `whole` begins as a JSON object and is none, such as one that was cut short: what it lacks proves nothing.
pub fn is_broken_object(whole: &Secret, deadline: Deadline) -> bool {
    let text = whole.expose().trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let begins = text
        .strip_prefix(b"{")
        .map(<[u8]>::trim_ascii_start)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"\""));
    begins && json::Value::parse(whole.expose(), Some(deadline)).is_none()
}

/// The first line of `whole` without its end, LF or CRLF.
pub fn first_line(whole: &Secret) -> Secret {
    let text = whole.expose();
    let line = match text.iter().position(|&byte| byte == b'\n') {
        Some(end) => text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]),
        None => text,
    };
    Secret::copy_of(line)
}

fn line<'a>(text: &'a [u8], field: &[u8], deadline: Deadline) -> Option<&'a [u8]> {
    let lines = text.split(|&byte| byte == b'\n').enumerate().skip(1);
    let in_time = |number: usize| !number.is_multiple_of(1024) || deadline.go_on().is_ok();
    lines
        .take_while(|(number, _)| in_time(*number))
        .find_map(|(_, line)| value(line, field))
}

/// The value of a line `FIELD: value`.
fn value<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(field)?.strip_prefix(b":")?;
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    let blanks = value
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    // Without a space after the colon it is something else: https://… is no field "https".
    (blanks > 0 || value.is_empty()).then(|| &value[blanks..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_without_its_end() {
        for (whole, line) in [
            ("pw\nuser: bob\n", "pw"),
            ("pw\r\nuser: bob", "pw"),
            ("pw\n", "pw"),
            // A line that does not end has all its bytes.
            ("pw", "pw"),
            ("pw\r", "pw\r"),
            ("p\rw\r\r\n", "p\rw\r"),
            (" pw \n", " pw "),
            ("\nuser: bob", ""),
            ("\r\n", ""),
            ("", ""),
        ] {
            let first = first_line(&Secret::copy_of(whole.as_bytes()));
            assert_eq!(first.expose(), line.as_bytes(), "{whole:?}");
        }
    }

    #[test]
    fn a_block_of_yaml_is_not_its_mark() {
        for (whole, block) in [
            ("pw\nkey: |\n  aaa\n  bbb\n", true),
            ("pw\nkey: >-\r\n  aaa\r\n", true),
            ("pw\n---\nkey: |2+\n  aaa", true),
            ("pw\nkey:\n  aaa\n", true),
            ("pw\nkey: \r\n  - aaa\n", true),
            ("pw\nkey:\nother: x\n", false),
            ("pw\nkey:\n \nother: x\n", false),
            // A password may be one character.
            ("pw\nkey: |\nother: x\n", false),
            ("pw\nkey: |", false),
            ("pw\nkey: |x\n  aaa", false),
            ("pw\nkey: x\n  aaa", false),
            ("key: |\n  aaa", false),
        ] {
            let whole = Secret::copy_of(whole.as_bytes());
            assert_eq!(is_block(&whole, "key"), block, "{:?}", whole.expose());
        }
    }

    #[test]
    fn what_begins_as_an_object_is_one_or_broken() {
        for (whole, broken) in [
            (r#"{"a":1"#, true),
            ("{\n  ", true),
            (" { \n\"a\": 1,}\n", true),
            ("{\"a\":1}\nuser: bob", true),
            ("\u{feff}{\"a\":1}", true),
            (r#"{"a":1}"#, false),
            ("{}", false),
            ("{pw}\nuser: bob", false),
            ("pw\n{\"a\":1", false),
            ("", false),
        ] {
            let secret = Secret::copy_of(whole.as_bytes());
            assert_eq!(
                is_broken_object(&secret, Deadline::never()),
                broken,
                "{whole:?}"
            );
        }
    }

    #[test]
    fn fields_are_picked() {
        let text = "user: first line\nuser: bob \r\nuser: eve\nurl:\t https://x\nhttps://y\nempty:\n  indented: 1\nlast: z";
        let json = r#"{"user":"ann","n":7,"o":{}}"#;
        for (whole, field, value) in [
            (text, "user", Some("bob ")),
            (text, "url", Some("https://x")),
            (text, "https", None),
            (text, "empty", Some("")),
            (text, "indented", None),
            (text, "last", Some("z")),
            (text, "User", None),
            (json, "user", Some("ann")),
            (json, "n", Some("7")),
            (json, "o", Some("{}")),
            (json, "none", None),
            ("[1]\na: b", "a", Some("b")),
            ("", "a", None),
        ] {
            let picked = pick(&Secret::copy_of(whole.as_bytes()), field, Deadline::never());
            assert_eq!(
                picked.as_ref().map(Secret::expose),
                value.map(str::as_bytes),
                "{field} of {whole:?}"
            );
        }
    }
}
