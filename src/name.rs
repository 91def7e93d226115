//! The name of a secret, checked once, before any backend is asked.
//!
//! ```text
//! NAME = SEGMENT *( "/" SEGMENT ) [ "#" [ FIELD ] ]
//! ```
//! An empty FIELD is the first line of what the name without it gives.

use std::ffi::OsStr;
use std::fmt;

use crate::schema::UsageError;
use crate::text;

/// The longest name, in bytes, the field included.
pub const LIMIT: usize = 512;

/// A name that obeys the rules: UTF-8, no control character, no character that changes the direction of a text or ends
/// a line, no empty, `.` or `..` segment, at most [`LIMIT`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    text: String,
    /// Where the path ends: the place of the `#`, or the whole length.
    path_len: usize,
}

impl Name {
    /// Checks `text`.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Name, UsageError> {
        let raw = text.as_ref();
        let bad = |rule| UsageError::new(format!("bad name {}: {rule}", text::quoted(raw)));
        let text = raw
            .to_str()
            .ok_or_else(|| bad("a name must be valid UTF-8"))?;
        if text.len() > LIMIT {
            return Err(bad("a name must not be longer than 512 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(bad("a name must not contain control characters"));
        }
        if text.contains(text::is_bidi_or_separator) {
            return Err(bad(
                "a name must not contain bidirectional controls or line separators",
            ));
        }
        let (path, field) = match text.split_once('#') {
            Some((path, field)) => (path, Some(field)),
            None => (text, None),
        };
        if path.is_empty() {
            return Err(bad("a name must not be empty"));
        }
        for segment in path.split('/') {
            match segment {
                "" => {
                    return Err(bad("a name must not begin or end with '/' or contain '//'"));
                }
                "." | ".." => return Err(bad("'.' and '..' are not allowed as path segments")),
                _ => {}
            }
        }
        if field.is_some_and(|field| field.contains('#')) {
            return Err(bad("a name may contain only one '#'"));
        }
        Ok(Name {
            path_len: path.len(),
            text: text.to_owned(),
        })
    }

    /// The whole name, as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name without its field: what a store calls the secret.
    pub fn path(&self) -> &str {
        &self.text[..self.path_len]
    }

    /// The field that is asked for, if any.
    pub fn field(&self) -> Option<&str> {
        self.text
            .get(self.path_len + 1..)
            .filter(|field| !field.is_empty())
    }

    /// Whether only the first line is asked for: the field is empty.
    pub fn is_first_line(&self) -> bool {
        self.text.ends_with('#')
    }

    /// The environment variable of this name: `prefix`, then the name in upper case with every character other than
    /// A-Z and 0-9 as `_`; a field is one more part. Only ASCII letters have an upper case here.
    pub fn variable(&self, prefix: &str) -> String {
        let name = self.text.strip_suffix('#').unwrap_or(&self.text);
        let mut variable = String::with_capacity(prefix.len() + name.len());
        variable.push_str(prefix);
        variable.extend(name.chars().map(|c| match c.to_ascii_uppercase() {
            c @ ('A'..='Z' | '0'..='9') => c,
            _ => '_',
        }));
        variable
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestCaseResult, TestRunner};

    #[test]
    fn good_names_have_a_path_and_a_field() {
        for (text, path, field) in [
            ("a", "a", None),
            ("prod/api-key", "prod/api-key", None),
            ("prod/db#password", "prod/db", Some("password")),
            ("a#b/c", "a", Some("b/c")),
            ("a#", "a", None),
            ("-dash/...", "-dash/...", None),
            ("schlüssel/日本 x", "schlüssel/日本 x", None),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!(
                (name.path(), name.field(), name.as_str()),
                (path, field, text)
            );
            assert_eq!(name.to_string(), text);
            assert_eq!(name.is_first_line(), text == "a#");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for text in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "../a", "a/..", "#f", "#", "a##",
            "a#b#c", "a\nb", "a\0", "a\u{85}",
        ] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
        for c in [
            '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}',
        ] {
            let shown = Name::parse(format!("a{c}b")).unwrap_err().to_string();
            assert!(
                shown.contains("bidirectional") && shown.is_ascii(),
                "{shown}"
            );
        }
        // Letters of a script that is written from the right, and joiners, are letters.
        assert!(Name::parse("\u{5d0}\u{200d}").is_ok());
        assert_eq!(
            Name::parse("a\n").unwrap_err().to_string(),
            "bad name \"a\\n\": a name must not contain control characters"
        );
        assert!(Name::parse("x".repeat(LIMIT)).is_ok());
        assert!(Name::parse("x".repeat(LIMIT + 1)).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_name_is_utf8() {
        use std::os::unix::ffi::OsStrExt;
        assert!(Name::parse(OsStr::from_bytes(b"a\xff")).is_err());
    }

    #[test]
    fn variables_are_mapped() {
        for (text, variable) in [
            ("prod/api-key", "PROD_API_KEY"),
            ("prod/db#password", "PROD_DB_PASSWORD"),
            ("prod/db#", "PROD_DB"),
            ("9lives", "9LIVES"),
            ("ß/ı", "___"),
            ("a.b c", "A_B_C"),
        ] {
            assert_eq!(Name::parse(text).unwrap().variable(""), variable);
        }
        assert_eq!(Name::parse("a").unwrap().variable("MXM_"), "MXM_A");
    }

    /// Tries `law` on 1000 values of `strategy`; nothing is kept in files.
    fn law<S: Strategy>(strategy: S, law: impl Fn(S::Value) -> TestCaseResult) {
        let config = Config {
            cases: 1000,
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new(config).run(&strategy, law).unwrap();
    }

    /// Texts between slashes, and perhaps a field.
    fn names() -> impl Strategy<Value = String> {
        const REFUSED: &str = "#\\p{Cc}\u{61c}\u{200e}\u{200f}\u{2028}-\u{202e}\u{2066}-\u{2069}";
        let texts = |pattern: String| proptest::string::string_regex(&pattern).unwrap();
        let segment = texts(format!("[^/{REFUSED}]{{1,12}}"))
            .prop_filter("no dots", |text| text != "." && text != "..");
        let path = proptest::collection::vec(segment, 1..5).prop_map(|segments| segments.join("/"));
        let field = proptest::option::of(texts(format!("[^{REFUSED}]{{0,12}}")));
        (path, field).prop_map(|(path, field)| match field {
            Some(field) => format!("{path}#{field}"),
            None => path,
        })
    }

    #[test]
    fn a_name_is_what_it_was_written_as() {
        law(names(), |text| {
            let name = Name::parse(&text).unwrap();
            prop_assert_eq!(name.to_string(), text.as_str());
            let (path, field) = match text.split_once('#') {
                Some((path, field)) => (path, Some(field)),
                None => (text.as_str(), None),
            };
            let first_line = field == Some("");
            prop_assert_eq!(name.is_first_line(), first_line);
            prop_assert_eq!(
                (name.path(), name.field()),
                (path, field.filter(|_| !first_line))
            );
            Ok(())
        });
    }

    #[test]
    fn a_variable_has_letters_digits_and_underscores_and_is_its_own_variable() {
        law((names(), "[A-Z_]{0,5}"), |(text, prefix)| {
            let name = Name::parse(&text).unwrap();
            let variable = name.variable("");
            // The first line is none.
            let text = text.strip_suffix('#').unwrap_or(&text);
            let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            prop_assert!(variable.chars().all(fits));
            prop_assert_eq!(variable.chars().count(), text.chars().count());
            prop_assert_eq!(name.variable(&prefix), format!("{prefix}{variable}"));
            prop_assert_eq!(
                Name::parse(&variable).unwrap().variable(""),
                variable.as_str()
            );
            // A field is one more part of it, as if it stood after a slash.
            let parts = Name::parse(text.replace('#', "/"));
            if let Ok(parts) = parts {
                prop_assert_eq!(parts.variable(""), variable);
            }
            Ok(())
        });
    }

    #[test]
    fn what_is_no_name_is_refused_and_never_shown_as_it_is() {
        let bytes = proptest::collection::vec(any::<u8>(), 0..40);
        law(bytes, |bytes| {
            use std::os::unix::ffi::OsStrExt;
            if let Err(error) = Name::parse(OsStr::from_bytes(&bytes)) {
                prop_assert!(!error.to_string().contains(text::is_hidden));
            }
            Ok(())
        });
    }
}
