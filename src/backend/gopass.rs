//! gopass, the other program of that name (Debian's package, 1.5.0), and pass.
//!
//! One process for a hit. Which stores are meant is read where the programs read it, and looked at first: a store that
//! is gone, and one that may not be read, look to them like one that has no such secret. What they print on standard
//! error is searched and never shown, since it may hold parts of a plaintext. What gpg says there of the file
//! (`--status-fd`) decides whether an empty output is an empty secret.
//!
//! The other gopass takes blanks off a secret and has no options for gpg. Where it turns out to be the program, gpg is
//! asked in its place.

mod attachment;
#[cfg(fuzzing)]
pub mod fuzzing;
mod settings;
mod store;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{Answer, Backend, Context, Declaration, LET_THROUGH, NoSecret, NoStore, Reason, Status};
use crate::deadline::Deadline;
use crate::name::Name;
use crate::process::{self, Output, Problem};
use crate::schema::{Key, Kind, Section};
use crate::secret::Secret;
use crate::sys;
use crate::text::shell;
use crate::trust;
use store::{Crypto, Entry as There, Store};

pub const DECLARATION: Declaration = Declaration {
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
        LET_THROUGH,
    ],
    variables: &[
        ("PASSWORD_STORE_DIR", "where the store is"),
        (
            "GOPASS_HOMEDIR",
            "used by gopass instead of the home directory",
        ),
        (
            "GOPASS_CONFIG, GOPASS_CONFIG_COUNT, GOPASS_CONFIG_NOSYSTEM",
            "gopass's own settings, read to find its stores",
        ),
        (
            "GOPASS_GPG_OPTS, PASSWORD_STORE_GPG_OPTS",
            "options for gpg; those of mxm-secrets are put before them",
        ),
        (
            "GOPASS_GPG_BINARY",
            "the gpg to run instead of the one next to gpgconf",
        ),
        (
            "GOPASS_AGE_PASSWORD",
            "opens an age-encrypted gopass store when running unattended",
        ),
    ],
    open: |section| Box::new(Gopass::open(section)),
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
    let_through: Vec<String>,
    /// The dialect that a refusal has told, as its number.
    told: AtomicU8,
}

impl Gopass {
    fn open(section: &Section) -> Gopass {
        Gopass {
            command: section.text("command").unwrap_or("gopass").to_owned(),
            prefix: section
                .text("prefix")
                .unwrap_or_default()
                .trim_matches('/')
                .to_owned(),
            let_through: section.texts(LET_THROUGH.name).unwrap_or_default().to_vec(),
            told: AtomicU8::new(Dialect::Gopass as u8),
        }
    }

    /// What the store calls the secret.
    fn path(&self, name: &Name) -> String {
        match self.prefix.as_str() {
            "" => name.path().to_owned(),
            prefix => format!("{prefix}/{}", name.path()),
        }
    }

    /// The program's text if it is a script, and else its first two bytes; `None`: there is no such program.
    fn text(&self) -> Option<Vec<u8>> {
        let program = process::find_program(OsStr::new(&self.command))?;
        let mut text = Vec::new();
        let _ = sys::open_to_read(&program).and_then(|file| {
            let mut file = file.take(2);
            file.read_to_end(&mut text)?;
            file.set_limit(if text == b"#!" { 64 << 10 } else { 0 });
            file.read_to_end(&mut text)
        });
        Some(text)
    }

    /// Which program it is, whatever its name: pass is a script that has these words. Another script may start any.
    fn dialect(&self) -> Dialect {
        match self.told.load(Ordering::Relaxed) {
            1 => return Dialect::Plain,
            2 => return Dialect::Pass,
            _ => {}
        }
        let is_pass = match self.text() {
            None => Path::new(&self.command).ends_with("pass"),
            Some(text) => {
                let has = |word: &str| text.windows(word.len()).any(|part| part == word.as_bytes());
                text.starts_with(b"#!") && has("cmd_show") && has("PASSWORD_STORE_DIR")
            }
        };
        if is_pass {
            Dialect::Pass
        } else {
            Dialect::Gopass
        }
    }

    /// The program, in an environment in which it shows no more than it is asked for, and, when unattended, cannot
    /// wait for a person.
    fn prepare(&self, program: impl AsRef<OsStr>, context: &Context) -> Command {
        let mut command = Command::new(program);
        process::let_through(&mut command, &["GOPASS_AGE_PASSWORD"]);
        process::let_through(&mut command, &self.let_through);
        // show.autoclip would print "Copied …" before the secret and leave it on the clipboard. Of several the first
        // counts.
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

    /// Runs what shows the secret that is `there`.
    fn show(
        &self,
        dialect: Dialect,
        path: &str,
        there: &There,
        context: &Context,
    ) -> Result<Output, Problem> {
        if dialect == Dialect::Plain
            && let There::File(file, ..) = there
        {
            let gpg = sys::variable(GPG_BINARY).or_else(|| Some(gpg_of_gpgconf()?.into()));
            let mut command = self.prepare(gpg.unwrap_or_else(|| "gpg".into()), context);
            command
                .args(gpg_options(context))
                .args(["--quiet", "--yes", "-d", "--"]);
            return process::run(command.arg(file), context);
        }
        let mut command = self.prepare(&self.command, context);
        command.arg("show");
        if dialect == Dialect::Gopass {
            // The whole content as it is, with no YAML re-encoded and no first line hidden.
            command.arg("-n");
        }
        process::run(command.args(["--", &asked(path)]), context)
    }

    fn answer(&self, name: &Name, path: &str, context: &Context) -> Result<Answer, Problem> {
        let dialect = self.dialect();
        let there = match there(dialect, path, context) {
            Ok(there) => there,
            Err(reason) => {
                let text = format!("{name}: {}", reason.text);
                return Ok(Answer::Failed(Reason { text, ..reason }));
            }
        };
        let nowhere = there == There::NoStore;
        if dialect == Dialect::Plain && !matches!(there, There::File(..))
            || dialect == Dialect::Pass && nowhere && self.text().is_some()
        {
            return Ok(self.absent(dialect, name, there));
        }
        // gopass would make a store. A script may know of one that is elsewhere, and a configuration of before, too.
        let may_make = |text: Vec<u8>| text.len() == 2 && text != b"#!" && !settings::is_old();
        if nowhere && self.text().is_some_and(may_make) {
            return match Store::of_pass(path).entry() {
                Ok(There::NoStore) => Ok(self.uninitialized()),
                // It may be the store of another program under this name.
                _ => match self.version(context)?.0 {
                    Dialect::Gopass => Ok(self.uninitialized()),
                    told => {
                        self.told.store(told as u8, Ordering::Relaxed);
                        self.answer(name, path, context)
                    }
                },
            };
        }
        let output = self.show(dialect, path, &there, context)?;
        if dialect == Dialect::Gopass && output.status.code() == Some(1) {
            let told = match () {
                () if output.stderr_has("flag provided but not defined") => Dialect::Plain,
                () if output.stderr_has("[--clip[=line-number]") => Dialect::Pass,
                () => dialect,
            };
            if told != dialect {
                self.told.store(told as u8, Ordering::Relaxed);
                return self.answer(name, path, context);
            }
        }
        self.judge(dialect, name, path, output, there, context)
    }

    /// What the answer of the program means, with what is there.
    fn judge(
        &self,
        dialect: Dialect,
        name: &Name,
        path: &str,
        output: Output,
        there: There,
        context: &Context,
    ) -> Result<Answer, Problem> {
        if let Some(alias) = lost_mount(path, &output) {
            let lost = format!(
                "{name}: {} cannot use the store mounted at {alias}",
                self.command
            );
            return Ok(self.failed(path, lost));
        }
        let (ended_well, absent) = (output.status.success(), is_absent(&output));
        let listing = ended_well && !vouched(&output) && looks_like_tree(&output.stdout);
        if there == There::Hidden && (absent || listing || output.stderr_has(LOST_NAMES)) {
            return self.judge_by_list(name, path, output, context);
        }
        Ok(match ended_well {
            true => self.shown(name, path, output, there, context.deadline),
            false if absent => self.absent(dialect, name, there),
            false => self.refusal(dialect, name, path, &output, there),
        })
    }

    /// The same where only gopass knows the names.
    fn judge_by_list(
        &self,
        name: &Name,
        path: &str,
        output: Output,
        context: &Context,
    ) -> Result<Answer, Problem> {
        let mut command = self.prepare(&self.command, context);
        let list = process::run(command.args(["ls", "--flat"]), context)?;
        let below = format!("{path}/");
        let listed = lines(&list.stdout).any(|name| name == path.as_bytes());
        let folder = lines(&list.stdout).any(|name| name.starts_with(below.as_bytes()));
        let whole = list.status.success() && !list.stderr_has(LOST_NAMES);
        Ok(match (output.status.success(), listed) {
            _ if !whole => self.failed(
                path,
                format!("{name}: {} cannot list its secrets", self.command),
            ),
            (true, true) => self.found(name, path, output.stdout, context.deadline),
            (false, true) => self.failed(path, format!("{name} is listed, but cannot be read")),
            (_, false) if folder => is_folder(name),
            (false, false) => is_not_there(name),
            (true, false) => self.failed(path, format!("{name} is shown, but not listed")),
        })
    }

    /// The answer when the program has ended well.
    fn shown(
        &self,
        name: &Name,
        path: &str,
        output: Output,
        there: There,
        deadline: Deadline,
    ) -> Answer {
        let vouched = vouched(&output);
        // gopass ends an empty secret with a newline, too.
        let empty = matches!(output.stdout.expose(), b"" | b"\n");
        let whole = match &there {
            There::Folder if !vouched => return is_folder(name),
            // gpg may end well with a file that it has not decrypted.
            _ if output.stderr_has("[GNUPG:] ") => vouched,
            There::File(_, Crypto::Gpg, _) => !empty,
            There::File(_, Crypto::Plain, size) => !empty || *size <= 1,
            // gopass decrypts these itself, and ends badly when it cannot.
            There::File(_, Crypto::Age, _) | There::Hidden => true,
            There::NoStore | There::Absent | There::Folder => {
                !empty && !looks_like_tree(&output.stdout)
            }
        };
        if whole {
            return self.found(name, path, output.stdout, deadline);
        }
        let command = &self.command;
        let text = match there {
            There::File(file, ..) => {
                format!("{name} cannot be decrypted: {} is damaged", file.display())
            }
            _ => format!("{command} show printed no secret for {name}, but ended with status 0"),
        };
        self.failed(path, text)
    }

    /// The answer when the program has shown the secret.
    fn found(&self, name: &Name, path: &str, text: Secret, deadline: Deadline) -> Answer {
        let locator = self.locator_of(path);
        if text.expose() == b"\n" {
            return Answer::text(Secret::copy_of(b""), name, locator, deadline);
        }
        match attachment::decode(&text) {
            None => Answer::text(text, name, locator, deadline),
            Some(Some(bytes)) => Answer::text(bytes, name, locator, deadline),
            Some(None) => Answer::failed(format!(
                "{name} is an attachment whose base64 is damaged: {locator}"
            )),
        }
    }

    /// The answer when the program says that there is no such secret.
    fn absent(&self, dialect: Dialect, name: &Name, there: There) -> Answer {
        let command = &self.command;
        Answer::failed(match there {
            There::Absent => return is_not_there(name),
            There::Folder => return is_folder(name),
            There::NoStore if dialect != Dialect::Gopass => return self.uninitialized(),
            There::NoStore => format!("{name}: cannot tell which store {command} has searched"),
            There::File(file, ..) => {
                format!(
                    "{name}: {command} cannot find it, although {} exists",
                    file.display()
                )
            }
            There::Hidden => format!("{name}: only gopass can read the names of this store"),
        })
    }

    /// What any other status than 0 means.
    fn refusal(
        &self,
        dialect: Dialect,
        name: &Name,
        path: &str,
        output: &Output,
        there: There,
    ) -> Answer {
        let has = |words: &[&str]| words.iter().any(|word| output.stderr_has(word));
        if has(&["No secret key", "No pinentry", "Operation cancelled"]) {
            return Answer::Failed(
                Reason::from(format!("{name} cannot be decrypted: its key is locked, or not here"))
                    .hint(format!("unlock it in a terminal: {}", self.by_hand(path))),
            );
        }
        let status = output.status.code();
        let text = if has(&["failed to decrypt", "Decryption failed"])
            || dialect != Dialect::Gopass && status == Some(2)
        {
            format!("{name} cannot be decrypted: locked or wrong key, or a damaged file")
        } else if there == There::NoStore
            && (status == Some(6) || has(&["password-store is not initialized"]))
        {
            return self.uninitialized();
        } else {
            format!(
                "{} show ended with {} for {name}",
                self.command,
                output.ending()
            )
        };
        self.failed(path, text)
    }

    fn uninitialized(&self) -> Answer {
        Answer::unavailable(
            NoStore::NoTrace,
            Reason::from("the password store is not initialized")
                .hint(format!("set it up: {} init", shell(&self.command))),
        )
    }

    /// The answer when there is no such program: a store without one cannot say what it has.
    fn no_program(&self, path: &str, context: &Context) -> Answer {
        if self.command.contains('/') {
            let reason = Reason::from(format!("{} does not exist", self.command));
            return Answer::Failed(reason.hint("install it, or fix gopass.command"));
        }
        let text = format!("{} is not on PATH", self.command);
        match there(self.dialect(), path, context) {
            Ok(There::NoStore) => Answer::unavailable(NoStore::NoTrace, text),
            Ok(_) => {
                let path = sys::variable("PATH").unwrap_or_else(|| "not set".into());
                Answer::Failed(
                    Reason::from(format!("there is a password store, but {text}")).hint(format!(
                        "install it, or add its directory to PATH, which is {}",
                        path.display()
                    )),
                )
            }
            Err(reason) => Answer::Failed(reason),
        }
    }

    /// A failure that the program can tell more of.
    fn failed(&self, path: &str, text: String) -> Answer {
        let hint = format!("to see its error output, run: {}", self.by_hand(path));
        Answer::Failed(Reason::from(text).hint(hint))
    }

    /// What a person types to see the secret.
    fn by_hand(&self, path: &str) -> String {
        format!("{} show -- {}", shell(&self.command), shell(&asked(path)))
    }

    fn locator_of(&self, path: &str) -> String {
        format!("{} show {}", shell(&self.command), shell(path))
    }

    /// What can be said without a secret; what has to be asked of the program only when it is `asked`.
    fn check(&self, asked: bool, context: &Context) -> Status {
        let Some(program) = process::find_program(OsStr::new(&self.command)) else {
            return Status::of("", self.no_program("", context));
        };
        let shown = program.display();
        let (dialect, version) = match asked.then(|| self.version(context)) {
            None => (self.dialect(), self.command.clone()),
            Some(Ok(found)) => found,
            Some(Err(problem)) => {
                return Status::failed(shown.to_string(), format!("{} {problem}", self.command));
            }
        };
        let uses = format!("{version} ({shown})");
        let store = match store(dialect, "", context) {
            Ok(store) => store,
            Err(reason) => return Status::failed(uses, reason),
        };
        match store.entry() {
            Err(reason) => Status::failed(uses, reason),
            Ok(There::NoStore) => Status::of(uses, self.uninitialized()),
            Ok(_) => Status::ready(format!(
                "{uses}, store {}; no key tried",
                store.root.display()
            )),
        }
    }

    /// Which program it is, with its version.
    fn version(&self, context: &Context) -> Result<(Dialect, String), Problem> {
        let run = |argument| {
            let mut command = self.prepare(&self.command, context);
            // gopass writes into its home whatever it is asked: there is none here.
            process::run(
                command.env("GOPASS_HOMEDIR", "/dev/null").arg(argument),
                context,
            )
        };
        let mut output = match self.dialect() {
            // The other gopass knows only the word.
            Dialect::Pass => run("version")?,
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
}

impl Backend for Gopass {
    fn locator(&self, name: &Name) -> String {
        self.locator_of(&self.path(name))
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        if let Err(reason) = trust::named_program(&self.command) {
            return Answer::Failed(reason.into());
        }
        let path = self.path(name);
        match self.answer(name, &path, context) {
            Ok(answer) => answer,
            Err(Problem::NotInstalled) => self.no_program(&path, context),
            Err(problem) => Answer::failed(format!("{} {problem}, asked for {name}", self.command)),
        }
    }

    fn status(&self, context: &Context) -> Status {
        if let Err(reason) = trust::named_program(&self.command) {
            return Status::failed(&self.command, reason);
        }
        self.check(true, context)
    }

    fn glance(&self, context: &Context) -> Status {
        self.check(false, context)
    }

    fn may_prompt(&self) -> bool {
        true
    }
}

const AUTOCLIP: &str = "show.autoclip";

/// gopass says so, and goes on without the names of a store that hides them.
const LOST_NAMES: &str = "Failed to load mappings";

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

/// Options for gpg: it says what it has done, and, unattended, fails at once where it or its agent would ask; a
/// passphrase that is cached still works.
fn gpg_options(context: &Context) -> &'static [&'static str] {
    let all = &["--status-fd", "2", "--batch", "--pinentry-mode", "error"];
    if context.unattended { all } else { &all[..2] }
}

/// The name to ask a program for: gopass takes some words for its own, even behind `--`.
fn asked(path: &str) -> Cow<'_, str> {
    match path {
        "h" | "help" | "--generate-bash-completion" => format!("/{path}").into(),
        _ => path.into(),
    }
}

fn store(dialect: Dialect, path: &str, context: &Context) -> Result<Store, Reason> {
    match dialect {
        Dialect::Gopass => Store::of_gopass(path, context.deadline),
        Dialect::Plain | Dialect::Pass => Ok(Store::of_pass(path)),
    }
}

fn there(dialect: Dialect, path: &str, context: &Context) -> Result<There, Reason> {
    store(dialect, path, context)?.entry()
}

fn is_folder(name: &Name) -> Answer {
    Answer::miss(
        NoSecret::Folder,
        format!("{name} is a folder in the password store"),
    )
}

fn is_not_there(name: &Name) -> Answer {
    Answer::miss(
        NoSecret::Said,
        format!("{name} is not in the password store"),
    )
}

/// Whether the program says that there is no such secret. The end of the line counts, since the name stands before it.
fn is_absent(output: &Output) -> bool {
    let said = lines(&output.stderr).any(|line| {
        line.ends_with(b"entry is not in the password store")
            || line.ends_with(b" is not in the password store.")
            // Of a folder with nothing in it.
            || line.starts_with(b"Error: Entry \"") && line.ends_with(b"\" not found")
    });
    said && !output.status.success()
}

/// Whether gpg says that it has decrypted a file.
fn vouched(output: &Output) -> bool {
    lines(&output.stderr).any(|line| line == b"[GNUPG:] DECRYPTION_OKAY")
}

/// The alias of a store that `path` is in and that gopass goes on without.
fn lost_mount<'a>(path: &'a str, output: &Output) -> Option<&'a str> {
    let ends = path.match_indices('/').map(|(end, _)| end);
    ends.chain([path.len()])
        .map(|end| &path[..end])
        .find(|alias| output.stderr_has(&format!("Failed to initialize mount {alias} (")))
}

fn lines(text: &Secret) -> impl Iterator<Item = &[u8]> {
    text.expose()
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
}

/// Whether a line after the first looks like a branch of the tree that `show` prints of a folder.
fn looks_like_tree(text: &Secret) -> bool {
    text.expose()
        .split(|&byte| byte == b'\n')
        .skip(1)
        .any(|line| line.starts_with("├── ".as_bytes()) || line.starts_with("└── ".as_bytes()))
}
