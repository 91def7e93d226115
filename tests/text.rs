//! The way out for text: what is no secret's value is one record a line, and nothing in it is hidden.

use crate::support::{Home, Transcript};

/// A name whose text is turned around, one that would be two lines, and one of no width.
const TRICKS: [&str; 8] = [
    "a\u{202e}b",
    "a\u{2066}b",
    "a\u{200f}b",
    "a\u{61c}b",
    "a\u{2028}b",
    "a\u{2029}b",
    "a\u{85}b",
    "a\nb",
];

/// What a terminal, a log or a splitter of lines would take for something else than a character.
fn is_hidden(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// All that was written, after a check that nothing in it is hidden.
fn shown(seen: &Transcript) -> String {
    let all = format!("{}{}", String::from_utf8_lossy(&seen.stdout), seen.stderr);
    assert!(!all.contains(is_hidden), "{all:?}");
    all
}

#[test]
fn a_name_that_would_be_shown_as_another_is_refused() {
    let home = Home::new();
    for name in TRICKS {
        for command in ["get", "resolve"] {
            let seen = home.run([command, "--backend", "env", "--", name]);
            assert_eq!(seen.status, Some(2), "{name:?}");
            let shown = shown(&seen);
            assert!(shown.starts_with("mxm-secrets: bad name \"a\\") && shown.lines().count() == 1);
        }
        let seen = home.run(["exec", "--secret", &format!("V={name}"), "--", "true"]);
        assert_eq!(seen.status, Some(125), "{name:?}");
        shown(&seen);
    }
}

#[test]
fn what_has_no_width_is_shown() {
    let mut home = Home::new();
    home.set("A__B", "value");
    let name = "a\u{200b}\u{feff}b";
    let seen = home.run(["resolve", "--backend", "env", name]);
    assert_eq!(shown(&seen), "a\\u{200b}\\u{feff}b\tenv\t$A__B\n");
    let seen = home.run(["resolve", "--json", "--backend", "env", name]);
    assert!(shown(&seen).contains(r#""name":"a\u200b\ufeffb""#));
    let seen = home.run(["get", "-v", "--backend", "env", "x\u{ad}\u{200d}y"]);
    assert_eq!(seen.status, Some(1));
    assert!(shown(&seen).contains("x\\u{ad}\\u{200d}y: missing"));
}

#[test]
#[cfg(feature = "config")]
fn a_path_is_one_line() {
    let mut home = Home::new();
    for (number, trick) in [
        "a\nmxm-secrets: forged",
        "b\u{2028}c",
        "\u{202e}lmay.d",
        "e\u{1b}[2K",
    ]
    .into_iter()
    .enumerate()
    {
        let file = home.write(
            &format!("{number}{trick}/config.yaml"),
            "mxm_secrets: {backends: [env]}\n",
        );
        let seen = home.run(["config", "--check", "--config", file.to_str().unwrap()]);
        assert_eq!((seen.status, shown(&seen).lines().count()), (Some(0), 1));
        let seen = home.run(["config", "--json", "--config", file.to_str().unwrap()]);
        assert!(
            shown(&seen)
                .lines()
                .all(|line| line.starts_with("{\"schema\":1,") && line.ends_with('}'))
        );
        home.write(
            &format!("{number}{trick}/config.yaml"),
            "mxm_secrets: {backend: [env]}\n",
        );
        home.set("MXM_SECRETS_CONFIG", &file);
        let seen = home.run(["get", "a"]);
        assert_eq!((seen.status, shown(&seen).lines().count()), (Some(2), 1));
        home.set("MXM_SECRETS_CONFIG", "");
    }
}

#[test]
fn what_is_quoted_is_short() {
    let home = Home::new();
    let long = "x\u{e9}".repeat(2000);
    for arguments in [
        &["get", &long][..],
        &[&long],
        &["get", "a", "--timeout", &long],
        &["get", "a", "--backend", &long],
        &["get", "a", "--on-error", &long],
        &["exec", "--clean-env", "--keep", &long, "--", "true"],
    ] {
        let seen = home.run(arguments);
        let shown = shown(&seen);
        assert!(
            matches!(seen.status, Some(2 | 125)) && shown.chars().count() < 400,
            "{shown}"
        );
    }
    let list: Vec<String> = (0..1000).map(|number| format!("b{number}")).collect();
    let seen = home.run(["get", "a", "--backend", &list.join(",")]);
    assert_eq!((seen.status, shown(&seen).len() < 400), (Some(2), true));
}
