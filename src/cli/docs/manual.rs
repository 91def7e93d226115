//! The man page: prose from manual.mdoc, lists from the tables.

use std::fmt::Write as _;

use crate::backend::BACKENDS;
use crate::config::recipes as all_recipes;
use crate::schema::Key;

use super::{COMMANDS, FLAGS, Flag, flags};

pub fn draw() -> String {
    let whole = include_str!("manual.mdoc")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@SYNOPSIS@\n", &synopsis())
        .replace("@COMMANDS@\n", &commands())
        .replace("@OPTIONS@\n", &options())
        .replace("@BACKENDS@\n", &backends())
        .replace("@RECIPES@\n", &recipes())
        .replace("@ENVIRONMENT@\n", &environment())
        .replace("@EXAMPLE@\n", &example());
    let mut literal = false;
    let lines = whole.lines().map(|line| {
        literal = (literal || line.starts_with(".Bd -literal")) && line != ".Ed";
        if literal {
            format!("{line}\n")
        } else {
            fold(line)
        }
    });
    lines.collect()
}

/// The configuration that the README shows, and that a test reads.
fn example() -> String {
    let readme = include_str!("../../../README.md");
    let (_, example) = readme.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    // A line of a configuration has comments on the right; in a manual it is narrower.
    let lines = example.lines().map(|line| match line.split_once(" # ") {
        Some((key, comment)) => format!(
            "{:indent$}# {comment}\n{}\n",
            "",
            key.trim_end(),
            indent = key.len() - key.trim_start().len()
        ),
        None => format!("{line}\n"),
    });
    escape(&lines.collect::<String>()) + "\n"
}

/// A line of text in lines of at most 78 bytes; a line of markup stays whole.
fn fold(line: &str) -> String {
    let mut folded = String::new();
    let mut width = 0;
    for word in line.split(' ') {
        if width > 0 && width + word.len() > 77 && !line.starts_with('.') {
            folded.push('\n');
            width = 0;
        } else if width > 0 {
            folded.push(' ');
        }
        if width == 0 && folded.ends_with('\n') && word.starts_with(['.', '\'']) {
            folded.push_str("\\&");
        }
        folded.push_str(word);
        width += word.len() + 1;
    }
    folded + "\n"
}

fn synopsis() -> String {
    let mut text = String::new();
    for command in COMMANDS {
        let _ = writeln!(text, ".Nm\n.Cm {}", command.name);
        for word in command.usage.split_whitespace() {
            let (word, optional) = match word.trim_end_matches("...") {
                inner if inner.starts_with('[') => (inner.trim_matches(['[', ']']), true),
                inner => (inner, false),
            };
            let dots = if command.usage.contains(&format!("{word}..."))
                || command.usage.contains(&format!("{word}]..."))
            {
                " ..."
            } else {
                ""
            };
            let _ = match (word, optional) {
                ("--", _) => writeln!(text, ".Fl \\&-"),
                (word, true) => writeln!(text, ".Op Ar {}{dots}", word.to_lowercase()),
                (word, false) => writeln!(text, ".Ar {}{dots}", word.to_lowercase()),
            };
        }
    }
    text
}

fn commands() -> String {
    let mut text = String::from(".Bl -tag -width Ds\n");
    for command in COMMANDS {
        let _ = writeln!(
            text,
            ".It Cm {}\n{}",
            command.name,
            sentences(command.description)
        );
        let own = flags(command).filter(|flag| !is_common(flag));
        text += &list(own, ".Bl -tag -width Ds -compact\n");
    }
    text + ".El\n"
}

fn options() -> String {
    list(
        FLAGS.iter().filter(|flag| is_common(flag)),
        ".Bl -tag -width Ds\n",
    )
}

/// Whether a flag stands for all commands that look up, and is explained once. The others are explained with their
/// commands.
fn is_common(flag: &Flag) -> bool {
    ["get", "exec"]
        .iter()
        .all(|name| flag.commands.is_empty() || flag.commands.contains(name))
}

/// The flags with their texts; nothing where there are none.
fn list<'a>(flags: impl Iterator<Item = &'a Flag>, start: &str) -> String {
    let mut text = String::new();
    for flag in flags {
        let said = sentences(&capital(&format!("{}. {}", flag.about, flag.more)));
        let _ = writeln!(text, ".It {}\n{said}", item(flag));
    }
    match text.is_empty() {
        true => text,
        false => format!("{start}{text}.El\n"),
    }
}

fn item(flag: &Flag) -> String {
    let value = flag
        .takes
        .value()
        .map(|value| format!(" Ar {}", escape(value)))
        .unwrap_or_default();
    let long = format!("Fl \\-{}{value}", flag.long.replace('-', "\\-"));
    match flag.short {
        Some(short) => format!("Fl {short} , {long}"),
        None => long,
    }
}

fn backends() -> String {
    let mut text = String::from(".Bl -tag -width Ds\n");
    for entry in BACKENDS {
        let _ = writeln!(
            text,
            ".It Cm {}\n{}.",
            entry.name,
            escape(&capital(entry.about))
        );
        text += &keys(entry.keys);
    }
    text + ".El\n"
}

fn recipes() -> String {
    let mut text = String::from(".Bl -tag -width Ds\n");
    for recipe in all_recipes() {
        let _ = writeln!(
            text,
            ".It Cm {}\n{} (tried with {}).",
            recipe.name,
            escape(&capital(recipe.reads)),
            recipe.tried_with,
        );
        text += &keys(&recipe.needs);
        text += &keys(&recipe.takes);
    }
    text + ".El\n"
}

fn keys(keys: &[Key]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let mut text = String::from(".Bl -tag -width Ds -compact\n");
    for Key {
        name,
        default,
        about,
        variable,
        ..
    } in keys
    {
        let default = if default.is_empty() {
            String::new()
        } else {
            format!(" (default: {default})")
        };
        let variable = variable
            .map(|variable| format!(", or ${variable}"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            ".It Ic {name}\n{}{variable}{}.",
            escape(&capital(about)),
            escape(&default)
        );
    }
    text + ".El\n"
}

fn environment() -> String {
    let mut text = String::from(".Bl -tag -width Ds\n");
    for flag in FLAGS {
        if let Some(variable) = flag.variable {
            let _ = writeln!(
                text,
                ".It Ev {variable}\nSame as\n.Fl \\-{} .",
                flag.long.replace('-', "\\-")
            );
        }
    }
    for entry in BACKENDS {
        for (variable, about) in entry.variables {
            let names = variable.replace(", ", " , ");
            let _ = writeln!(
                text,
                ".It Ev {names}\n{}: {}.",
                capital(entry.name),
                escape(about)
            );
        }
    }
    for (variable, about) in OTHERS {
        let _ = writeln!(text, ".It Ev {variable}\n{}.", escape(about));
    }
    text + ".El\n"
}

/// The variables that belong to no option and no backend.
const OTHERS: &[(&str, &str)] = &[
    (
        "MXM_CONFIG_STORE",
        "The MXM configuration store, ~/mxm-config-store if not set",
    ),
    (
        "MXM_APP",
        "The application in that store, mxm-secrets if not set",
    ),
    (
        "MXM_ENVIRONMENT",
        "The block of environment.yaml; required if that file exists",
    ),
    (
        "MXM_MACHINE",
        "The block of machine.yaml; the host name up to the first dot if not set",
    ),
    (
        "MXM_SUBSTRATE",
        "The block of substrate.yaml; docker-container if /.dockerenv exists, else local-process",
    ),
    (
        "MXM_ROLE",
        "The block of role.yaml; required if that file exists",
    ),
    (
        "ACTIONS_ID_TOKEN_REQUEST_URL , ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "Where the jwt login of vault gets the token of a GitHub workflow",
    ),
    (
        "MXM_SECRETS_DEPTH",
        "Set for programs of backends, so that a configuration that leads back to itself ends",
    ),
    (
        "MXM_SECRETS_WITHHELD",
        "Set for programs of backends: the variables that they do not get, which an mxm-secrets must not take for unset",
    ),
    (
        "XDG_CONFIG_HOME",
        "The directory of configurations, ~/.config if not set",
    ),
    (
        "XDG_DATA_HOME",
        "The directory of data, where gopass may have its store; ~/.local/share if not set",
    ),
    (
        "HOME",
        "The home directory, for every path that begins with ~/",
    ),
    ("PATH", "Where programs are looked for"),
    (
        "GPG_TTY , TERM",
        "The terminal, for programs that ask a person for a passphrase",
    ),
    ("NO_COLOR", "If set, tables have no color"),
];

/// Each sentence on a line of its own, as mdoc wants it.
fn sentences(text: &str) -> String {
    escape(text.trim()).replace(". ", ".\n")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Protects what roff would take for its own.
fn escape(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace('\\', "\\e");
        if line.starts_with(['.', '\'']) {
            format!("\\&{line}")
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
