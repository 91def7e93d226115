//! The way out for text: whatever is shown and is no secret's value passes here. What comes from outside (names, paths,
//! configuration, the words of servers and programs) could forge lines, turn text around or hide in it.
//!
//! [`Reason`](crate::schema::Reason), [`UsageError`](crate::schema::UsageError), the tables and the JSON of the command
//! line call it for all that they hold. Who puts a message together calls it for the parts that came from outside:
//!
//! | function | for |
//! | --- | --- |
//! | [`quoted`] | a text between quotes |
//! | [`clipped`] | the same without quotes |
//! | [`list`] | names to choose from |
//! | [`shell`] | a part of a command in a hint; put `--` before a name |
//! | [`repeats`] | whether words of a server hold a credential |

use std::ffi::OsStr;
use std::fmt::Write as _;

/// How much of one text from outside is shown, in characters.
pub const LONGEST: usize = 100;
/// How many names a list shows.
pub const MOST: usize = 20;
/// The longest line of a message, in characters.
const LONGEST_LINE: usize = 4000;
/// How many characters of a credential in a row give it away.
const TELLING: usize = 8;

/// Whether `c` does something other than to be seen: control and line-separating characters, those that turn text around
/// (Trojan Source, CVE-2021-42574), and those of no width: what Unicode calls default ignorable.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || is_bidi_or_separator(c)
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether `c` turns text around or ends a line, though it is no control character.
pub fn is_bidi_or_separator(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with what is hidden in it shown as `\n`, `\u{202e}`.
pub fn escaped(text: &str) -> String {
    // Nearly always.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_hidden(c) => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `text` as one line of a message: escaped and bounded.
pub fn line(text: &str) -> String {
    cut(&escaped(text), LONGEST_LINE)
}

/// The beginning of `text`, at most [`LONGEST`] characters, escaped.
pub fn clipped(text: impl AsRef<OsStr>) -> String {
    escaped(&cut(&text.as_ref().to_string_lossy(), LONGEST))
}

/// The beginning of `text`, at most [`LONGEST`] characters, escaped and between quotes.
pub fn quoted(text: impl AsRef<OsStr>) -> String {
    let text = cut(&text.as_ref().to_string_lossy(), LONGEST);
    let text = text.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{}\"", escaped(&text))
}

/// The names, with commas between them: at most [`MOST`], and how many more there are.
pub fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names
        .by_ref()
        .take(MOST)
        .map(|name| clipped(name.as_ref()))
        .collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A JSON string, in which nothing is hidden.
pub fn json(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    write_json(text, |part| {
        json.push_str(part);
        true
    });
    json.push('"');
    json
}

/// Gives what stands between the quotes of the JSON string for `text`, in which nothing is hidden, to `write`, part by
/// part, until that refuses one; says whether it took them all. It keeps nothing: the text may be a secret.
pub fn write_json(text: &str, mut write: impl FnMut(&str) -> bool) -> bool {
    text.chars().all(|c| match c {
        '"' => write("\\\""),
        '\\' => write("\\\\"),
        c if is_hidden(c) => {
            let mut units = [0; 2];
            c.encode_utf16(&mut units)
                .iter()
                .all(|unit| write(&format!("\\u{unit:04x}")))
        }
        c => write(c.encode_utf8(&mut [0; 4])),
    })
}

/// `word` as a shell must be given it, to be pasted.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._@%+:,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('%') {
        return word.to_owned();
    }
    if !word.contains(is_hidden) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut shell = "$'".to_owned();
    for c in word.chars() {
        match c {
            '\'' | '\\' => shell.extend(['\\', c]),
            c if is_hidden(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(shell, "\\x{byte:02x}");
                }
            }
            c => shell.push(c),
        }
    }
    shell.push('\'');
    shell
}

/// A command to be pasted into a shell.
pub fn command<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| shell(word.as_ref())).collect();
    words.join(" ")
}

/// `template` with what `value` gives for each placeholder `{word}` in its place; what is put in is not searched again.
pub fn fill(template: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let found = after.split_once('}');
        match found.and_then(|(word, after)| Some((value(word)?, after))) {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// Whether `text`, of what is shown, gives `secret` away: [`TELLING`] characters of it in a row, in any case, whatever
/// stands between its letters and digits. All of a shorter one counts, and the shortest only as a word.
pub fn repeats(text: &str, secret: &[u8]) -> bool {
    let counts = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let bare = |bytes: &[u8]| -> Vec<u8> {
        let bytes = bytes.iter().copied().filter(counts);
        bytes.map(|byte| byte.to_ascii_lowercase()).collect()
    };
    let secret = bare(secret);
    match secret.len().min(TELLING) {
        0 => false,
        1..4 => text
            .as_bytes()
            .split(|byte| !counts(byte))
            .any(|word| word.eq_ignore_ascii_case(&secret)),
        length => {
            let text = bare(text.as_bytes());
            let mut parts = secret.windows(length);
            parts.any(|part| text.windows(length).any(|at| at == part))
        }
    }
}

/// The beginning of `text`, at most `most` characters.
fn cut(text: &str, most: usize) -> String {
    // It has no more characters than bytes.
    let long = (text.len() > most).then(|| text.char_indices().nth(most));
    match long.flatten() {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: &str = "\n\u{85}\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{feff}\u{2028}\u{e0041}\u{34f}\u{3164}\u{fe0f}\u{e0100}";

    #[test]
    fn what_is_hidden_is_seen() {
        assert!(HIDDEN.chars().all(is_hidden));
        assert!(!"aé日\u{1f600}\u{300} ".contains(is_hidden));
        assert_eq!(escaped("a\n\u{202e}b\\"), r"a\n\u{202e}b\");
        for shown in [
            escaped(HIDDEN),
            quoted(HIDDEN),
            json(HIDDEN),
            shell(HIDDEN),
            list([HIDDEN]),
        ] {
            assert!(!shown.contains(is_hidden), "{shown:?}");
        }
        let bidi: Vec<char> = HIDDEN
            .chars()
            .filter(|&c| is_bidi_or_separator(c))
            .collect();
        let expected = ['\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}', '\u{2028}'];
        assert_eq!(bidi, expected);
    }

    #[test]
    fn texts_are_quoted_and_bounded() {
        assert_eq!(quoted("a\"b\\c\td"), r#""a\"b\\c\td""#);
        let long = "é".repeat(LONGEST + 1);
        assert_eq!(quoted(&long).chars().count(), LONGEST + 3);
        assert_eq!(quoted(&long[..2 * LONGEST]).chars().count(), LONGEST + 2);
        assert!(clipped(&long).ends_with("é…"));
        assert!(line(&"x".repeat(1 << 20)).len() < 5000);
        let names: Vec<String> = (0..25).map(|number| number.to_string()).collect();
        assert!(list(&names).ends_with(", 18, 19 and 5 more"));
        assert_eq!(list(["a", "b"]), "a, b");
    }

    #[test]
    fn json_strings_are_quoted() {
        assert_eq!(
            json("a\"b\\c\n\u{85}é\u{202e}\u{e0041}"),
            r#""a\"b\\c\u000a\u0085é\u202e\udb40\udc41""#
        );
    }

    #[test]
    fn commands_can_be_pasted() {
        let words = ["gopass", "show", "--", "prod/db"];
        assert_eq!(command(words), "gopass show -- prod/db");
        for (word, quoted) in [
            ("", "''"),
            ("x; curl evil|sh", "'x; curl evil|sh'"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
            ("%self", "'%self'"),
            ("=ls", "'=ls'"),
            ("a'\n\u{202e}", r"$'a\'\x0a\xe2\x80\xae'"),
        ] {
            assert_eq!(shell(word), quoted);
        }
    }

    #[test]
    fn a_credential_is_known_in_any_dress() {
        let secret = b"s.Abc-defg-hijk-lmno\n";
        for text in [
            "s.Abc-defg-hijk-lmno",
            "S.ABC DEFG",
            "it is s . A b c d e f g h i j k l m n",
            "xHIJKLMNOx",
        ] {
            assert!(repeats(text, secret), "{text}");
        }
        assert!(!repeats("permission denied, hijk", secret));
        assert!(repeats("the PIN 12-3x4 is wrong", b"123x4") && repeats("pin 123.", b"123"));
        assert!(!repeats("1234", b"123") && !repeats("any", b"") && !repeats("any", b"-- "));
    }
}
