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
    &["credential", "request"],
    &["chain"],
    &["backend"],
    &["compose", "parallel", "process", "report"],
    &["refs"],
    &["field", "file", "name", "nearest"],
    &["json", "schema"],
    &["arena", "deadline", "trust"],
    &["detached", "once", "reason", "watch"],
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

/// A wait that is not [`watch`](../src/watch.rs)'s goes on after a signal and after the deadline. Threads that wait for one
/// another are in `parallel`, `once` and `detached`.
#[test]
fn only_watch_waits() {
    for (name, text) in files(&source()) {
        let text = product(&text);
        for way in [
            "sleep(",
            "poll(",
            "set_write_timeout",
            "set_read_timeout",
            "Condvar",
        ] {
            let waits = text.contains(way) && !name.starts_with("watch");
            assert!(!waits, "{name}: {way}");
        }
    }
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

/// The name after `keyword`, if the line begins with it.
fn after<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(keyword)?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
}

/// The lines of the block that each line for which `begins` holds opens.
fn blocks(text: &str, begins: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut all = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if begins(line) && line.ends_with('{') {
            all.extend(lines.by_ref().take_while(|line| *line != "}"));
        }
    }
    all
}

/// What the text of lib.rs shows to others, and what belongs to it in `files`: rustfmt has put each where it can be read.
fn shown(lib: &str, files: &[String]) -> Vec<String> {
    let visible = |line: &&str| line.starts_with("pub ");
    let lib = product(lib);
    let mut all: Vec<String> = Vec::new();
    let mut types: Vec<&str> = Vec::new();
    let mut hidden = false;
    for line in lib.lines() {
        if visible(&line) && !hidden {
            match line
                .strip_prefix("pub use ")
                .and_then(|path| path.rsplit_once("::"))
            {
                Some((_, names)) => types.extend(
                    names
                        .split([',', '{', '}', ';', ' '])
                        .filter(|name| !name.is_empty()),
                ),
                None => {
                    let own = ["pub enum ", "pub struct "].iter();
                    match own.filter_map(|keyword| after(line, keyword)).next() {
                        Some(name) => types.push(name),
                        None => all.push(line.trim_end_matches([' ', '{', ';']).to_owned()),
                    }
                }
            }
        }
        hidden = line.contains("doc(hidden)") || hidden && line.starts_with("#[");
    }
    for name in types {
        for text in files {
            let is = |keyword: &str, line: &str| after(line, keyword) == Some(name);
            let before = all.len();
            for member in blocks(text, |line| is("pub struct ", line)) {
                all.extend(
                    member
                        .strip_prefix("    pub ")
                        .map(|field| format!("{name}.{}", field.trim_end_matches(','))),
                );
            }
            for member in blocks(text, |line| is("pub enum ", line)) {
                let variant = member
                    .strip_prefix("    ")
                    .filter(|variant| variant.starts_with(char::is_uppercase));
                all.extend(variant.map(|variant| {
                    format!("{name}::{}", variant.trim_end_matches([',', ' ', '{']))
                }));
            }
            if all.len() > before
                || text
                    .lines()
                    .any(|line| is("pub struct ", line) || is("pub enum ", line))
            {
                all.push(name.to_owned());
            }
            let mut open: Option<String> = None;
            for member in blocks(text, |line| is("impl ", line) && !line.contains(" for ")) {
                if let Some(signature) = member.strip_prefix("    pub ") {
                    open = Some(format!("{name}::{signature}"));
                } else if let Some(open) = &mut open {
                    let gap = if open.ends_with('(') || member.trim() == ")" {
                        ""
                    } else {
                        " "
                    };
                    open.push_str(gap);
                    open.push_str(member.trim());
                }
                if let Some(end) = open
                    .as_ref()
                    .and_then(|signature| signature.find(['{', ';']))
                {
                    all.extend(
                        open.take()
                            .map(|signature| signature[..end].trim_end().to_owned()),
                    );
                }
            }
        }
    }
    all.sort();
    all
}

#[test]
fn the_library_shows_what_is_listed() {
    let files: Vec<String> = files(&source())
        .into_iter()
        .map(|(_, text)| product(&text))
        .collect();
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let shown = shown(&lib, &files);
    assert!(shown.len() <= 60, "{} items", shown.len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api.txt");
    let shown = shown.join("\n") + "\n";
    if std::env::var_os("MXM_SECRETS_DOCS").is_some_and(|what| what == "write") {
        fs::write(path, shown).unwrap();
    } else {
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            shown,
            "if that is meant: make docs"
        );
    }
}

#[test]
fn what_the_library_shows_is_seen() {
    let lib = "mod a;\npub use a::{One, Two};\npub use b::Three;\n#[doc(hidden)]\npub mod program {\n    pub use c::Four;\n}\n\
               pub mod open;\npub fn get(name: &str) -> u8 {\n}\n";
    let file = "pub struct One {\n    pub a: u8,\n    b: u8,\n}\nimpl One {\n    pub fn new(\n        a: u8,\n    ) -> One {\n    }\n\
                \x20   pub(crate) fn no() {}\n    fn own() {}\n}\npub enum Two {\n    A,\n    B(u8),\n}\nimpl Drop for One {\n    pub fn x() {}\n}\n\
                pub struct Three(u8);\nimpl Three {\n    pub const C: u8 = 1;\n}\npub struct Four {\n    pub z: u8,\n}\n";
    assert_eq!(
        shown(lib, &[file.to_owned()]),
        [
            "One",
            "One.a: u8",
            "One::new(a: u8, ) -> One",
            "Three",
            "Three::C: u8 = 1",
            "Two",
            "Two::A",
            "Two::B(u8)",
            "pub fn get(name: &str) -> u8",
            "pub mod open"
        ]
        .map(|item| item
            .replace("One::new", "One::fn new")
            .replace("Three::C", "Three::const C"))
    );
}
