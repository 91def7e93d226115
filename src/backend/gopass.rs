//! gopass, the other program of that name (Debian's package, 1.5.0), and pass.
//!
//! One process for a hit. Which of the three programs it is shows when it refuses the first one's options; it is then
//! asked again its own way. What they print on standard error is only searched for what we know, never passed on,
//! since it may hold parts of a plaintext.

#[cfg(fuzzing)]
pub mod fuzzing;
mod store;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{Answer, Backend, Context, Entry, NoSecret, NoStore, Reason, Status};
use crate::name::Name;
use crate::process::{self, Output, Problem};
use crate::schema::{Key, Kind, Section};
use crate::secret::Secret;
use crate::sys;

pub const ENTRY: Entry = Entry {
    name: "gopass",
    about: "the gopass on PATH, or pass where command says so: gopass show prod/api-key",
    keys: &[
        Key {
            name: "command",
            kind: Kind::Program,
            default: "gopass",
            variable: None,
            about: "the program: gopass or pass, a name on PATH or a path",
        },
        Key {
            name: "prefix",
            kind: Kind::Text,
            default: "",
            variable: None,
            about: "put before the name, with a slash between them",
        },
    ],
    variables: &[
        ("PASSWORD_STORE_DIR", "where the store is"),
        (
            "GOPASS_HOMEDIR",
            "in place of the home directory, for the configuration of gopass",
        ),
        (
            "GOPASS_GPG_OPTS, PASSWORD_STORE_GPG_OPTS",
            "options for gpg; ours are put before them",
        ),
        (
            "GOPASS_GPG_BINARY",
            "the gpg that gopass starts, in place of the one beside gpgconf",
        ),
        (
            "GOPASS_AGE_PASSWORD",
            "opens an age-encrypted gopass store when no person is there",
        ),
    ],
    open: Some(|section| Box::new(Gopass::open(section))),
};

/// The programs that are asked in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// gopass, github.com/gopasspw/gopass.
    Gopass,
    /// The other gopass, whose `show` has no options.
    Plain,
    /// pass.
    Pass,
}

struct Gopass {
    command: String,
    prefix: String,
    /// The dialect found out so far, as its number.
    dialect: AtomicU8,
}

impl Gopass {
    fn open(section: &Section) -> Gopass {
        let command = section.text("command").unwrap_or("gopass").to_owned();
        let dialect = match Path::new(&command).file_name() {
            Some(name) if name == "pass" => Dialect::Pass,
            _ => Dialect::Gopass,
        };
        let prefix = section
            .text("prefix")
            .unwrap_or_default()
            .trim_matches('/')
            .to_owned();
        Gopass {
            command,
            prefix,
            dialect: AtomicU8::new(dialect as u8),
        }
    }

    /// What the store calls the secret.
    fn path(&self, name: &Name) -> String {
        match self.prefix.as_str() {
            "" => name.path().to_owned(),
            prefix => format!("{prefix}/{}", name.path()),
        }
    }

    fn dialect(&self) -> Dialect {
        match self.dialect.load(Ordering::Relaxed) {
            1 => Dialect::Plain,
            2 => Dialect::Pass,
            _ => Dialect::Gopass,
        }
    }

    /// Runs `show`, a second time when the program turns out to be another one.
    fn show(&self, path: &str, context: &Context) -> Result<(Dialect, Output), Problem> {
        let show = |dialect| {
            let mut command = self.prepare(context);
            command.arg("show");
            if dialect == Dialect::Gopass {
                // The whole content as it is, with no YAML re-encoded and no first line hidden.
                command.arg("-n");
            }
            process::run(command.arg("--").arg(path), context)
        };
        let dialect = self.dialect();
        let output = show(dialect)?;
        if dialect != Dialect::Gopass || output.status.code() != Some(1) {
            return Ok((dialect, output));
        }
        let dialect = if output.stderr_has("flag provided but not defined") {
            Dialect::Plain
        } else if output.stderr_has("[--clip[=line-number]") {
            Dialect::Pass
        } else {
            return Ok((dialect, output));
        };
        self.dialect.store(dialect as u8, Ordering::Relaxed);
        Ok((dialect, show(dialect)?))
    }

    /// The program, in an environment in which it shows no more than it is asked for, and, when unattended, cannot
    /// wait for a person.
    fn prepare(&self, context: &Context) -> Command {
        let mut command = Command::new(&self.command);
        let number = |variable| {
            std::env::var(variable)
                .ok()
                .and_then(|text| text.parse().ok())
        };
        let count: u32 = number("GOPASS_CONFIG_COUNT").unwrap_or(0);
        command
            // show.autoclip would print "Copied …" before the secret and leave it on the clipboard.
            .env(format!("GOPASS_CONFIG_KEY_{count}"), "show.autoclip")
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
        if context.unattended {
            // gpg and its agent then fail at once where they would ask; a passphrase that is cached still works.
            let options = ["GOPASS_GPG_OPTS", "PASSWORD_STORE_GPG_OPTS"];
            let variable = options
                .into_iter()
                .find(|variable| sys::variable(variable).is_some());
            for variable in variable.map_or(options.to_vec(), |variable| vec![variable]) {
                let mut value = OsString::from("--batch --pinentry-mode error ");
                value.push(sys::variable(variable).unwrap_or_default());
                command.env(variable, value);
            }
            command
                .env("LC_ALL", "C")
                .env("GPG_TTY", "not a tty")
                .env_remove("DISPLAY")
                .env_remove("WAYLAND_DISPLAY");
        } else {
            // Messages in English, so that they can be recognised; the pinentry keeps its locale.
            command.env("LANGUAGE", "C");
            if std::env::var_os("GPG_TTY").is_none()
                && let Some(terminal) = sys::terminal_path(sys::STDERR)
            {
                command.env("GPG_TTY", terminal);
            }
        }
        command
    }

    /// Whether `output`, which `show` gave for `path` with status 0, is the listing of a folder.
    fn is_folder(
        &self,
        dialect: Dialect,
        path: &str,
        output: &Output,
        context: &Context,
    ) -> Result<bool, Problem> {
        match dialect {
            Dialect::Plain => Ok(false),
            Dialect::Pass => Ok(!store::pass_file(path).is_some_and(|file| file.is_file())),
            Dialect::Gopass if !looks_like_tree(&output.stdout) => Ok(false),
            // A secret may look like a tree, too. Then it is one of those that gopass lists.
            Dialect::Gopass => {
                let mut command = self.prepare(context);
                let list = process::run(command.args(["ls", "--flat"]), context)?;
                let mut names = list.stdout.expose().split(|&byte| byte == b'\n');
                Ok(list.status.success() && !names.any(|name| name == path.as_bytes()))
            }
        }
    }

    fn answer(&self, name: &Name, path: &str, context: &Context) -> Result<Answer, Problem> {
        let (dialect, output) = self.show(path, context)?;
        if !output.status.success() {
            return Ok(self.refusal(dialect, name, path, &output));
        }
        if self.is_folder(dialect, path, &output, context)? {
            return Ok(Answer::miss(
                NoSecret::Folder,
                format!("{name} is a folder in the password store"),
            ));
        }
        Ok(self.found(name, path, output.stdout))
    }

    /// The answer when `show` has printed `text`.
    fn found(&self, name: &Name, path: &str, text: Secret) -> Answer {
        // They end a value with a newline, so an empty one comes as a newline alone.
        let whole = if text.expose() == b"\n" {
            Secret::copy_of(b"")
        } else {
            text
        };
        Answer::text(whole, name, self.locator_of(path))
    }

    /// What a status other than 0 means.
    fn refusal(&self, dialect: Dialect, name: &Name, path: &str, output: &Output) -> Answer {
        let command = &self.command;
        let (absent, undecrypted, uninitialized) = match dialect {
            Dialect::Gopass => (
                has_line_ending(output, "entry is not in the password store"),
                output.stderr_has("failed to decrypt") || output.stderr_has("Decryption failed"),
                output.status.code() == Some(6)
                    || output.stderr_has("password-store is not initialized"),
            ),
            Dialect::Plain => {
                let absent = output.stderr_has("could not find password");
                (
                    absent,
                    output.stderr_has("exit status 2"),
                    absent && !store::pass_root_is_there(),
                )
            }
            Dialect::Pass => {
                let absent = has_line_ending(output, "is not in the password store.");
                (
                    absent,
                    output.status.code() == Some(2),
                    absent && !store::pass_root_is_there(),
                )
            }
        };
        if output.stderr_has("No secret key")
            || output.stderr_has("No pinentry")
            || output.stderr_has("Operation cancelled")
        {
            return Answer::Failed(
                Reason::from(format!("the key for {name} is locked, or not here"))
                    .hint(format!("unlock it in a terminal: {command} show {path}")),
            );
        }
        if undecrypted {
            return Answer::Failed(
                Reason::from(format!(
                    "{name} cannot be decrypted: locked or wrong key, or a corrupt file"
                ))
                .hint(format!(
                    "see what it says in a terminal: {command} show {path}"
                )),
            );
        }
        if absent || uninitialized {
            // They say the same of a store that they may not read.
            if let Some(file) = store::unreadable(dialect == Dialect::Gopass, path) {
                return Answer::failed(format!("{name}: permission denied: {}", file.display()));
            }
            // What is mounted is set up; where it is gone, nobody knows what it has. gopass says that it has nothing.
            if dialect == Dialect::Gopass
                && let Some((alias, root)) = store::absent_mount(path)
            {
                return Answer::Failed(
                    Reason::from(format!(
                        "{name}: the store mounted at {alias} is not there: {}",
                        root.display()
                    ))
                    .hint(format!("see what it says in a terminal: {command} mounts")),
                );
            }
            return match uninitialized {
                true => Answer::unavailable(
                    NoStore::Said,
                    Reason::from("the password store is not initialized")
                        .hint(format!("set it up: {command} init")),
                ),
                false => Answer::miss(
                    NoSecret::Said,
                    format!("{name} is not in the password store"),
                ),
            };
        }
        Answer::Failed(
            Reason::from(format!(
                "{command} show ended with {} for {name}",
                output.ending()
            ))
            .hint(format!(
                "see what it says in a terminal: {command} show {path}"
            )),
        )
    }

    fn locator_of(&self, path: &str) -> String {
        format!("{} show {path}", self.command)
    }
}

impl Backend for Gopass {
    fn locator(&self, name: &Name) -> String {
        self.locator_of(&self.path(name))
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        match self.answer(name, &self.path(name), context) {
            Ok(answer) => answer,
            Err(Problem::NotInstalled) => {
                Answer::unavailable(NoStore::NoTrace, not_installed(&self.command))
            }
            Err(problem) => Answer::failed(format!("{} {problem}, asked for {name}", self.command)),
        }
    }

    fn status(&self, context: &Context) -> Status {
        let Some(program) = process::find_program(OsStr::new(&self.command)) else {
            return Status::unavailable("", not_installed(&self.command));
        };
        let (dialect, version) = match self.version(context) {
            Ok(found) => found,
            Err(problem) => {
                return Status::unavailable(
                    program.display().to_string(),
                    format!("{} {problem}", self.command),
                );
            }
        };
        let store = store::root(dialect == Dialect::Gopass);
        let uses = match &store {
            Some(store) => format!(
                "{version} ({}), store {}",
                program.display(),
                store.display()
            ),
            None => format!("{version} ({})", program.display()),
        };
        match store {
            Some(_) => Status::ready(uses),
            None => Status::unavailable(
                uses,
                Reason::from("the password store is not initialized")
                    .hint(format!("set it up: {} init", self.command)),
            ),
        }
    }

    fn may_prompt(&self) -> bool {
        true
    }
}

impl Gopass {
    /// Which program it is, with its version.
    fn version(&self, context: &Context) -> Result<(Dialect, String), Problem> {
        let run = |argument| process::run(self.prepare(context).arg(argument), context);
        let output = match self.dialect() {
            // The other gopass knows only the word.
            Dialect::Gopass => Some(run("--version")?).filter(|output| output.status.success()),
            _ => None,
        };
        let output = match output {
            Some(output) => output,
            None => run("version")?,
        };
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
}

/// Names the gpg that gopass starts.
const GPG_BINARY: &str = "GOPASS_GPG_BINARY";

/// The gpg that gpgconf would name: they are installed side by side. `None` where that is not sure: without a gpgconf,
/// or where its gpg may be called gpg2, as on systems that have a gpg of version 1, too.
fn gpg_of_gpgconf() -> Option<PathBuf> {
    let gpgconf = process::find_program(OsStr::new("gpgconf"))?;
    let gpg = gpgconf.canonicalize().ok()?.with_file_name("gpg");
    let program = process::find_program(gpg.as_os_str())?;
    let only = program.with_file_name("gpg2").symlink_metadata().is_err();
    only.then_some(program)
}

fn not_installed(command: &str) -> Reason {
    Reason::from(format!("{command} is not installed"))
}

/// Whether a line of standard error ends with `text`. The end counts, since the name stands earlier in the line.
fn has_line_ending(output: &Output, text: &str) -> bool {
    output
        .stderr
        .expose()
        .split(|&byte| byte == b'\n')
        .any(|line| line.trim_ascii_end().ends_with(text.as_bytes()))
}

/// Whether a line after the first looks like a branch of the tree that `show` prints of a folder.
fn looks_like_tree(text: &Secret) -> bool {
    text.expose()
        .split(|&byte| byte == b'\n')
        .skip(1)
        .any(|line| line.starts_with("├── ".as_bytes()) || line.starts_with("└── ".as_bytes()))
}
