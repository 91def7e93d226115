//! What is shown of a command that the configuration names. No rule tells a credential from another word, so `***` takes
//! the place of all but the program, options without a value, and the placeholders for the name.

const PLACEHOLDERS: [&str; 4] = ["{name}", "{field}", "{reference}", "{variable}"];

/// The words of a command as they may be shown.
pub fn masked(words: &[String]) -> Vec<String> {
    let arguments = words.iter().skip(1).map(|word| argument(word));
    words.iter().take(1).cloned().chain(arguments).collect()
}

fn argument(word: &str) -> String {
    if is_option(word) {
        return word.to_owned();
    }
    let mut shown = String::new();
    let mut rest = word;
    loop {
        let found = PLACEHOLDERS
            .iter()
            .filter_map(|placeholder| Some((rest.find(placeholder)?, *placeholder)))
            .min();
        let (at, placeholder) = found.unwrap_or((rest.len(), ""));
        // Between a name and a field, these alone tell nothing.
        let harmless = rest[..at].bytes().all(|byte| b"/#:.".contains(&byte));
        shown.push_str(if harmless { &rest[..at] } else { "***" });
        shown.push_str(placeholder);
        rest = &rest[at + placeholder.len()..];
        if placeholder.is_empty() {
            return shown;
        }
    }
}

/// `-x`, `--` and `--long-option`: what has a digit, a capital or a `=` may be a value.
fn is_option(word: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    match word.strip_prefix("--") {
        Some(long) => long.bytes().all(lower),
        None => word.strip_prefix('-').is_some_and(|short| {
            short.len() <= 1 && short.bytes().all(|b| b.is_ascii_alphabetic())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_program_options_and_placeholders_are_shown() {
        for (word, shown) in [
            ("-phunter2", "***"),
            ("hunter2", "***"),
            ("-p", "-p"),
            ("--", "--"),
            ("--raw", "--raw"),
            ("--api-key", "--api-key"),
            ("--api-key=hunter2", "***"),
            ("--Hunter2", "***"),
            ("//u:p@h/x", "***"),
            ("pw=x", "***"),
            ("user%x", "***"),
            ("https://tok@h/x", "***"),
            ("https://tok@h/{name}", "***{name}"),
            ("https://hooks.slack.com/services/T0/B0/x", "***"),
            ("curl -u u:p https://h/{name}?k=x", "***{name}***"),
            ("op://{name}/{field}", "***{name}/{field}"),
            ("{name}#{field}", "{name}#{field}"),
            ("{reference}", "{reference}"),
            ("{names}", "***"),
            ("é\u{202e}{name}ü", "***{name}***"),
            ("--x={name}", "***{name}"),
            ("${oc.env:X,hunter2}", "***"),
            ("", ""),
        ] {
            let words = ["/bin/tool".to_owned(), word.to_owned()];
            assert_eq!(masked(&words), ["/bin/tool", shown]);
        }
        assert!(masked(&[]).is_empty());
    }
}
