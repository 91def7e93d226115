//! Which program it is that has the name, how it is started, and whether it reads the store that is looked at.
//!
//! A script may name a store of its own. One that only starts another program, with the arguments that it was given and
//! without a word of where stores are, is as good as that program: packages install such scripts. A link to a program
//! that starts others (snap, mise) is like a script that may do anything, and so is every other compiled program: gopass
//! is known by what Go writes into it, whatever its name is.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::settings;
use crate::backend::Context;
use crate::process::{self, Problem};
use crate::sys;

/// How many scripts may start each other.
const SCRIPTS: usize = 8;
/// How much of a script is read, in bytes; pass is much shorter.
const LONGEST: u64 = 64 << 10;

/// The programs that are asked in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// gopass, github.com/gopasspw/gopass.
    Gopass,
    /// The other gopass, whose `show` has no options.
    Plain,
    /// pass.
    Pass,
}

/// What is known of the program before it is started.
#[derive(Clone, Debug)]
pub struct Program {
    pub dialect: Dialect,
    kind: Kind,
    /// Whether it is known, once somebody has asked.
    is_known: OnceCell<bool>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// It reads the store that is looked at.
    Known,
    /// It may read any store.
    Unknown,
    /// Only its file says what it is.
    Compiled(PathBuf),
}

impl Program {
    /// What is called `command`; `None`: there is no such program.
    pub fn find(command: &str) -> Option<Program> {
        let mut path = process::find_program(OsStr::new(command))?;
        let of = |dialect, kind| Some(Program::of(dialect, kind));
        for _ in 0..SCRIPTS {
            let text = beginning(&path);
            if is_pass(&text) {
                return of(Dialect::Pass, Kind::Known);
            }
            if text.len() == 2 && text != b"#!" {
                return of(Dialect::Gopass, Kind::Compiled(path));
            }
            match wrapped(&text) {
                Some(program) => path = program,
                None => break,
            }
        }
        of(Dialect::Gopass, Kind::Unknown)
    }

    /// What a program is that is not there.
    pub fn called(command: &str) -> Program {
        let dialect = match Path::new(command).ends_with("pass") {
            true => Dialect::Pass,
            false => Dialect::Gopass,
        };
        Program::of(dialect, Kind::Known)
    }

    fn of(dialect: Dialect, kind: Kind) -> Program {
        Program {
            dialect,
            kind,
            is_known: OnceCell::new(),
        }
    }

    /// Whether it reads the store that can be looked at beside it. That of a compiled program takes a few milliseconds.
    pub fn is_known(&self) -> bool {
        *self.is_known.get_or_init(|| match &self.kind {
            Kind::Known => true,
            Kind::Unknown => false,
            Kind::Compiled(path) => is_gopass(path),
        })
    }
}

/// A script, and else the first two bytes of a program; less if it cannot be read.
fn beginning(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = sys::open_to_read(path).and_then(|file| {
        let mut file = file.take(2);
        file.read_to_end(&mut text)?;
        file.set_limit(if text == b"#!" { LONGEST } else { 0 });
        file.read_to_end(&mut text)
    });
    text
}

/// Whether a script is pass, and reads the store of pass.
fn is_pass(script: &[u8]) -> bool {
    let Ok(script) = std::str::from_utf8(script) else {
        return false;
    };
    let store = r#"PREFIX="${PASSWORD_STORE_DIR:-$HOME/.password-store}""#;
    let names_a_store = |line: &&str| {
        let words = ["PASSWORD_STORE_DIR", "PREFIX=", "HOME="];
        words.iter().any(|word| line.contains(word)) && !line.contains("GNUPGHOME")
    };
    script.starts_with("#!")
        && script.lines().any(|line| line.starts_with("cmd_show()"))
        && script.lines().filter(names_a_store).eq([store])
}

/// Whether Go has written into a program that it is gopass, or the other program of that name.
fn is_gopass(path: &Path) -> bool {
    /// What stands before it, since Go 1.18, at a multiple of 16.
    const MARK: &[u8] = b"\xff Go buildinf:";
    const PIECE: usize = 32 << 10;
    const NAMES: [&[u8]; 2] = [
        b"path\tgithub.com/gopasspw/gopass\n",
        b"path\tgithub.com/aviau/gopass/cmd/gopass\n",
    ];
    let Ok(file) = sys::open_to_read(path) else {
        return false;
    };
    let is_named = |place| {
        let mut info = [0; 256];
        let _ = file.read_at(&mut info, place);
        let has = |name: &&[u8]| info.windows(name.len()).any(|part| part == *name);
        NAMES.iter().any(has)
    };
    // It stands near the end. A piece is on the stack: there may be no memory left.
    let mut piece = [0; PIECE];
    let length = file.metadata().map_or(0, |data| data.len());
    let pieces = length.div_ceil(PIECE as u64);
    (0..pieces).rev().any(|number| {
        let start = number * PIECE as u64;
        let count = file.read_at(&mut piece, start).unwrap_or(0);
        let words = piece.get(..count).unwrap_or_default().chunks(16);
        let mut marks = (start..).step_by(16).zip(words);
        marks.any(|(place, word)| word.starts_with(MARK) && is_named(place))
    })
}

/// The program that a script of a shell starts as its last and only command, with all of its own arguments.
fn wrapped(script: &[u8]) -> Option<PathBuf> {
    let (first, script) = std::str::from_utf8(script).ok()?.split_once('\n')?;
    let mut words = first.strip_prefix("#!")?.split_whitespace();
    let mut shell = Path::new(words.next()?);
    if shell.ends_with("env") {
        shell = Path::new(words.next()?);
    }
    let shells = ["sh", "bash", "dash", "ash", "ksh"];
    let is_shell = shells.iter().any(|name| shell.ends_with(name));
    let mut lines = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let last = lines.next_back()?;
    (is_shell && lines.all(is_harmless)).then(|| started(last))?
}

/// Whether a line of a script does not say where a store is.
fn is_harmless(line: &str) -> bool {
    let exported = line.strip_prefix("export ");
    let (variable, value) = match exported.unwrap_or(line).split_once('=') {
        Some(assigned) => assigned,
        None => (exported.unwrap_or_default(), ""),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let says_nothing = ["PATH", "GOPASS_NO_REMINDER"].contains(&variable)
        || !variable.is_empty() && process::can_be_withheld(variable);
    let does_nothing = !value.contains(|c: char| c.is_whitespace() || "`;&|<>()\\".contains(c));
    variable.chars().all(is_name) && says_nothing && does_nothing
        || line.starts_with("set -") && !line.contains([';', '&', '|', '`', '$'])
}

/// The program of a line `exec /its/path "$@"`.
fn started(line: &str) -> Option<PathBuf> {
    let line = line.strip_prefix("exec ").unwrap_or(line).trim_start();
    let line = line.strip_prefix("-a \"$0\"").unwrap_or(line).trim_start();
    let word = line
        .strip_suffix("\"$@\"")?
        .strip_suffix([' ', '\t'])?
        .trim_end();
    let quote = |c| {
        word.strip_prefix(c)
            .and_then(|word: &str| word.strip_suffix(c))
    };
    let path = quote('\'').or(quote('"')).unwrap_or(word);
    let is_plain = |c: char| c.is_alphanumeric() || "/._+-@~".contains(c);
    (path.starts_with('/') && path.chars().all(is_plain)).then(|| path.into())
}

/// Which program `command` is, and its version, as it says itself.
pub fn version(
    command: &str,
    let_through: &[String],
    context: &Context,
) -> Result<(Dialect, String), Problem> {
    let run = |argument| {
        let mut command = prepare(command, let_through, context);
        // gopass writes into its home whatever it is asked: there is none here.
        process::run(
            command.env("GOPASS_HOMEDIR", "/dev/null").arg(argument),
            context,
        )
    };
    let mut output = match Program::find(command) {
        // The other gopass knows only the word.
        Some(Program {
            dialect: Dialect::Pass,
            ..
        }) => run("version")?,
        _ => run("--version")?,
    };
    if !output.status.success() {
        output = run("version")?;
    }
    let text = String::from_utf8_lossy(output.stdout.expose()).into_owned();
    let number = text
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or("of an unknown version");
    let number = number.split(['-', '+']).next().unwrap_or(number);
    let (dialect, name) = match text.split_whitespace().next() {
        Some("gopass") if number == "1.5.0" => (Dialect::Plain, "gopass"),
        Some("gopass") => (Dialect::Gopass, "gopass"),
        _ => (Dialect::Pass, "pass"),
    };
    Ok((dialect, format!("{name} {number}")))
}

/// The name to ask a program for: gopass takes some words for its own, even behind `--`.
pub fn asked(path: &str) -> Cow<'_, str> {
    match path {
        "h" | "help" | "--generate-bash-completion" => format!("/{path}").into(),
        _ => path.into(),
    }
}

const AUTOCLIP: &str = "show.autoclip";

/// Names the gpg that gopass starts.
const GPG_BINARY: &str = "GOPASS_GPG_BINARY";

/// What shows the secret in `file`, past the program.
pub fn gpg(file: &Path, let_through: &[String], context: &Context) -> Command {
    let gpg = sys::variable(GPG_BINARY).or_else(|| Some(gpg_of_gpgconf()?.into()));
    let mut command = prepare(gpg.unwrap_or_else(|| "gpg".into()), let_through, context);
    command
        .args(gpg_options(context))
        .args(["--quiet", "--yes", "-d", "--"])
        .arg(file);
    command
}

/// The program, in an environment in which it reads the store that is looked at, shows no more than it is asked for,
/// and, when unattended, cannot wait for a person.
pub fn prepare(program: impl AsRef<OsStr>, let_through: &[String], context: &Context) -> Command {
    let mut command = Command::new(program);
    process::let_through(&mut command, &["GOPASS_AGE_PASSWORD"]);
    process::let_through(&mut command, let_through);
    command.env("HOME", sys::home_or_root());
    // show.autoclip would print "Copied …" before the secret and leave it on the clipboard. Of several the first counts.
    let given = settings::given();
    for (n, (key, _)) in given.iter().enumerate() {
        if key == AUTOCLIP {
            command.env(format!("GOPASS_CONFIG_VALUE_{n}"), "false");
        }
    }
    let count = given.len();
    command
        .env(format!("GOPASS_CONFIG_KEY_{count}"), AUTOCLIP)
        .env(format!("GOPASS_CONFIG_VALUE_{count}"), "false")
        .env("GOPASS_CONFIG_COUNT", (count + 1).to_string())
        .env("GOPASS_NO_REMINDER", "true")
        .env_remove("GOPASS_DEBUG_LOG_SECRETS");
    // Untold, gopass starts gpgconf to be told where gpg is: a process more than the lookup needs.
    if sys::variable(GPG_BINARY).is_none()
        && let Some(gpg) = gpg_of_gpgconf()
    {
        command.env(GPG_BINARY, gpg);
    }
    // Both programs pass on the first of these that is not empty.
    let options = ["GOPASS_GPG_OPTS", "PASSWORD_STORE_GPG_OPTS"];
    let given = options
        .into_iter()
        .find(|name| sys::variable(name).is_some());
    for variable in given.map_or(options.to_vec(), |given| vec![given]) {
        let mut value = OsString::from(gpg_options(context).join(" "));
        value.push(" ");
        value.push(sys::variable(variable).unwrap_or_default());
        command.env(variable, value);
    }
    if context.unattended {
        command
            .env("LC_ALL", "C")
            .env("GPG_TTY", "not a tty")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
    } else {
        // Messages in English, so that they can be recognized; the pinentry keeps its locale.
        command.env("LANGUAGE", "C");
        if std::env::var_os("GPG_TTY").is_none()
            && let Some(terminal) = sys::terminal_path(sys::stderr())
        {
            command.env("GPG_TTY", terminal);
        }
    }
    command
}

/// The gpg that gpgconf would name: they are installed side by side. `None` where that is not sure: without a gpgconf,
/// or where its gpg may be called gpg2, as on systems that have a gpg of version 1, too.
fn gpg_of_gpgconf() -> Option<PathBuf> {
    let gpgconf = process::find_program(OsStr::new("gpgconf"))?;
    let gpg = gpgconf.canonicalize().ok()?.with_file_name("gpg");
    let program = process::find_program(gpg.as_os_str())?;
    let only = program.with_file_name("gpg2").symlink_metadata().is_err();
    only.then_some(program)
}

/// Options for gpg: it says what it has done, and, unattended, fails at once where it or its agent would ask; a
/// passphrase that is cached still works.
fn gpg_options(context: &Context) -> &'static [&'static str] {
    let all = &["--status-fd", "2", "--batch", "--pinentry-mode", "error"];
    if context.unattended { all } else { &all[..2] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_is_a_script_that_reads_the_store_of_pass() {
        let pass = "#!/usr/bin/env bash\nGPG_OPTS=( $PASSWORD_STORE_GPG_OPTS )\n\
            PREFIX=\"${PASSWORD_STORE_DIR:-$HOME/.password-store}\"\ncmd_show() {\n}\n";
        assert!(is_pass(pass.as_bytes()));
        for other in [
            &pass.replace("cmd_show()", "show()"),
            &pass.replace("PREFIX=", "PREFIX=/srv"),
            &pass.replace(".password-store", ".other-store"),
            &pass.replace("\ncmd", "\nPASSWORD_STORE_DIR=/srv\ncmd"),
            &pass.replace("\ncmd", "\nPREFIX=/srv\ncmd"),
            &pass.replace("\ncmd", "\n  export HOME=/srv\ncmd"),
            &pass[2..],
        ] {
            assert!(!is_pass(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_script_is_the_program_that_it_starts_only_if_it_does_nothing_else() {
        let path = |script: &str| wrapped(script.as_bytes());
        let gopass = Some(PathBuf::from("/opt/bin/gopass"));
        for script in [
            "#!/bin/sh\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\n/opt/bin/gopass \"$@\"",
            "#!/usr/bin/env bash\n# ours\nset -eu\n\nexec '/opt/bin/gopass'  \"$@\" \n",
            // As Nix wraps programs.
            "#! /nix/store/x/bin/bash -e\nPATH=${PATH:+':'$PATH':'}\nPATH='/nix/store/x'$PATH\nexport PATH\n\
             export GOPASS_NO_REMINDER='true'\nexec -a \"$0\" \"/opt/bin/gopass\"  \"$@\"\n",
        ] {
            assert_eq!(path(script), gopass, "{script}");
        }
        for script in [
            "",
            "#!/bin/sh\n",
            "#!/bin/sh",
            "#!/usr/bin/python3\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/zsh\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nexec gopass \"$@\"\n",
            "#!/bin/sh\nexec /opt/bin/gopass $@\n",
            "#!/bin/sh\nexec /opt/bin/gopass -c x \"$@\"\n",
            "#!/bin/sh\nexec env HOME=/x /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nexec ssh host /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nHOME=/x exec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nstore\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\n. /etc/store\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\ncd /x\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nset -e; HOME=/x\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nexport PASSWORD_STORE_DIR=/x\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nGOPASS_HOMEDIR=/x\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nexport XDG_DATA_HOME=/x\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nexport X=1 HOME=/x\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nX=$(store)\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nX=`store`\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nX=1;HOME=/x\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nX=\\\nexec /opt/bin/gopass \"$@\"\n",
            "#!/bin/sh\nexec /opt/$X/gopass \"$@\"\n",
            "#!/bin/sh\nexec /opt/bin/gopass \"$@\" | cat\n",
        ] {
            assert_eq!(path(script), None, "{script}");
        }
    }
}
