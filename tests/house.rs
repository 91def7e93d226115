//! The order of the house: a module of src imports only from floors below its own, and one backend knows of no other.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. What stands on one floor does not import from it either.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["lib"],
    &["fuzzing"],
    &["cli"],
    &["config"],
    &["request"],
    &["chain"],
    &["backend"],
    &["compose", "parallel", "process", "report"],
    &["refs"],
    &["field", "file", "name", "nearest"],
    &["schema"],
    &["arena", "deadline", "json", "trust"],
    &["detached", "once", "watch"],
    &["sys", "text"],
    &["secret"],
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below `directory`, with its path in src.
fn files(directory: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(source()).unwrap().to_str().unwrap();
            all.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
    all
}

/// The program's own part of a file: no comments, and none of its tests.
fn product(text: &str) -> String {
    let lines = text.lines().map(|line| match line.find("//") {
        // Not the slashes of an address.
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let tests = [
        "#[cfg(test)]\nmod tests {",
        "#[cfg(test)]\npub(crate) mod tests {",
    ];
    let end = tests.iter().filter_map(|tests| text.find(tests)).min();
    text[..end.unwrap_or(text.len())].to_owned()
}

/// What `text` names right below `crate::`, in `use` lines and elsewhere: `a::b` of `crate::a::b`, `crate::{a::b, c}`.
fn named(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        // Not $crate, and no other crate's name that ends so.
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || "_$".contains(c)) {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        if let Some(inside) = rest.strip_prefix('{') {
            let (mut depth, mut part) = (0, String::new());
            for c in inside.chars() {
                match c {
                    '}' if depth == 0 => break,
                    ',' if depth == 0 => all.push(std::mem::take(&mut part)),
                    _ => {
                        depth += i32::from(c == '{') - i32::from(c == '}');
                        part.push(c);
                    }
                }
            }
            all.push(part);
        } else {
            let path = |c: char| c.is_alphanumeric() || "_:{".contains(c);
            all.push(rest.chars().take_while(|&c| path(c)).collect());
        }
    }
    let names = all.into_iter().map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// What the file `name` of src with this text imports and must not.
fn offences(name: &str, text: &str) -> Vec<String> {
    let path: Vec<&str> = name.trim_end_matches(".rs").split('/').collect();
    // Entry points of the fuzzers stand beside what they need to see.
    let module = if path.last() == Some(&"fuzzing") {
        "fuzzing"
    } else {
        path[0]
    };
    let Some(own) = floor(module) else {
        return vec![format!("{name}: {module} has no floor")];
    };
    let mut wrong = Vec::new();
    for named in named(&product(text)) {
        let other = named.split("::").next().unwrap();
        let other = if other.starts_with(char::is_uppercase) {
            "lib"
        } else {
            other
        };
        let row = named.split("::").nth(1).unwrap_or_default();
        match floor(other) {
            _ if other == module => {
                let is_row = row.starts_with(char::is_lowercase)
                    && source().join(format!("backend/{row}.rs")).exists();
                if module == "backend" && is_row && path.get(1) != Some(&row) {
                    wrong.push(format!("{name}: crate::{named}, another backend"));
                }
            }
            Some(other) if other > own => {}
            _ => wrong.push(format!("{name}: crate::{named}, which is not below")),
        }
    }
    wrong
}

#[test]
fn imports_go_down() {
    let wrong: Vec<String> = files(&source())
        .iter()
        .flat_map(|(name, text)| offences(name, text))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_import_that_goes_up_is_seen() {
    for (name, text) in [
        ("secret.rs", "use crate::sys;"),
        (
            "process.rs",
            "use crate::{\n    deadline,\n    backend::{Context, Reason},\n};",
        ),
        ("process/conversation.rs", "use crate::backend::Context;"),
        ("report.rs", "fn f(_: &crate::chain::Lookup) {}"),
        ("backend/new.rs", "use crate::config::Settings;"),
        ("backend/new.rs", "use crate::backend::vault::Vault;"),
        ("backend/age/x.rs", "use crate::Options;"),
        ("parallel.rs", "use crate::process;"),
        ("strange.rs", ""),
    ] {
        assert_eq!(offences(name, text).len(), 1, "{name}: {text}");
    }
    for (name, text) in [
        (
            "backend/new.rs",
            "use super::Answer;\nuse crate::backend::{Reason};\nuse crate::schema::Key;",
        ),
        ("backend/new/part.rs", "use crate::backend::new::Thing;"),
        (
            "secret.rs",
            "// crate::cli\nfn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n",
        ),
        ("cli/get.rs", "use crate::{chain::Outcome, sys};"),
    ] {
        assert_eq!(offences(name, text), [""; 0], "{name}: {text}");
    }
}

/// What may do anything is little, and where it is looked for.
#[test]
fn little_is_unsafe_and_libc_stands_in_two_places() {
    let mut count = 0;
    for (name, text) in files(&source()) {
        let text = product(&text);
        let words = |text: &str, word: &str| {
            let apart = |c: char| !(c.is_alphanumeric() || c == '_');
            text.split(apart).filter(|part| *part == word).count()
        };
        count += words(&text, "unsafe");
        let may = name.starts_with("watch") || name == "sys/exec.rs";
        assert!(may || words(&text, "libc") == 0, "{name} names libc");
    }
    assert!((1..=20).contains(&count), "{count} times unsafe");
}
