//! gopass, the other program of that name (Debian's package, 1.5.0), and pass.
//!
//! | file | owns |
//! | --- | --- |
//! | `program` | which program it is, and how it is started |
//! | `settings` | the configuration of gopass |
//! | `store` | the store that is meant, and what is there for a secret |
//! | `mime` | what gopass has stored in the form of a mail |
//!
//! One process for a hit. Which stores are meant is read where the programs read it, and looked at first: a store that
//! is gone, and one that may not be read, look to them like one that has no such secret. What they print on standard
//! error is searched and never shown, since it may hold parts of a plaintext. What gpg says there of the file
//! (`--status-fd`) decides whether an empty output is an empty secret.
//!
//! The other gopass takes blanks off a secret and has no options for gpg. Where it turns out to be the program, gpg is
//! asked in its place.

#[cfg(fuzzing)]
pub mod fuzzing;
mod mime;
mod program;
mod settings;
mod store;

use std::ffi::OsStr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{
    Answer, Backend, Context, Declaration, LET_THROUGH, NoSecret, NoStore, Reason, Status,
};
use crate::deadline::Deadline;
use crate::field;
use crate::name::Name;
use crate::process::{self, Output, Problem};
use crate::schema::{Key, Kind, Section};
use crate::secret::{LIMIT, Secret, SecretBuffer};
use crate::sys;
use crate::text::shell;
use crate::trust;
use program::{Dialect, Program, asked};
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
            "GOPASS_CONFIG, GOPASS_CONFIG_COUNT, GOPASS_CONFIG_NOSYSTEM, GOPASS_CONFIG_NO_MIGRATE",
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

    /// Which program it is. A refusal says more than its file.
    fn program(&self) -> Option<Program> {
        let mut program = Program::find(&self.command)?;
        program.dialect = match self.told.load(Ordering::Relaxed) {
            1 => Dialect::Plain,
            2 => Dialect::Pass,
            _ => program.dialect,
        };
        Some(program)
    }

    fn prepare(&self, context: &Context) -> Command {
        program::prepare(&self.command, &self.let_through, context)
    }

    fn version(&self, context: &Context) -> Result<(Dialect, String), Problem> {
        program::version(&self.command, &self.let_through, context)
    }

    /// What is there for the secret, in the store that the program reads. Where it finds something, it is not yet known
    /// whether it is the program that reads this store: a hit needs no more.
    fn there(&self, program: &Program, path: &str, context: &Context) -> Result<There, Reason> {
        let seen =
            store(program.dialect, path, context).and_then(|store| store.entry(context.deadline));
        let may_be_shown = program.dialect != Dialect::Plain
            && matches!(seen, Ok(There::File(..) | There::Hidden));
        match may_be_shown || program.is_known() {
            true => seen,
            false => Ok(self.elsewhere()),
        }
    }

    /// What is there for a program that may read any store.
    fn elsewhere(&self) -> There {
        let reason = Reason::from(format!(
            "{} is neither gopass nor pass itself, and may read any store",
            self.command
        ));
        There::Elsewhere(reason.hint("set gopass.command to the program that it starts"))
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
            return process::run(&mut program::gpg(file, &self.let_through, context), context);
        }
        let mut command = self.prepare(context);
        command.arg("show");
        if dialect == Dialect::Gopass {
            // The whole content as it is, with no YAML re-encoded and no first line hidden.
            command.arg("-n");
        }
        process::run(command.args(["--", &asked(path)]), context)
    }

    fn answer(&self, name: &Name, path: &str, context: &Context) -> Result<Answer, Problem> {
        let found = self.program();
        let is_here = found.is_some();
        let program = found.unwrap_or_else(|| Program::called(&self.command));
        let dialect = program.dialect;
        if !is_here {
            if !process::is_installed(OsStr::new(&self.command)) {
                return Err(Problem::NotInstalled);
            }
            // Starting it says why it cannot be; the stores are looked at only once.
            self.show(dialect, path, &There::Absent, context)?;
        }
        let there = match self.there(&program, path, context) {
            Ok(there) => there,
            Err(reason) => {
                return Ok(Answer::Failed(reason.after(format_args!("{name}:"))));
            }
        };
        match (dialect, &there) {
            (Dialect::Plain, There::File(..)) => {}
            (Dialect::Plain, _) | (Dialect::Pass, There::NoStore) => {
                return Ok(self.absent(dialect, name, there));
            }
            // gopass would make a store.
            (Dialect::Gopass, There::NoStore) => {
                // It may be the store of another program under this name.
                let told = match Store::of_pass(path).entry(context.deadline) {
                    Ok(There::NoStore) => Dialect::Gopass,
                    _ => self.version(context)?.0,
                };
                if told == Dialect::Gopass {
                    return Ok(self.uninitialized());
                }
                self.told.store(told as u8, Ordering::Relaxed);
                return self.answer(name, path, context);
            }
            _ => {}
        }
        let mut output = self.show(dialect, path, &there, context)?;
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
        if dialect == Dialect::Gopass && is_value(&output) && is_part_of_mail(name, &output.stdout)
        {
            match self.with_password(path, output.stdout, context)? {
                Some(text) => output.stdout = text,
                None => {
                    let lost = format!(
                        "{name}: {} cannot say which line is its password",
                        self.command
                    );
                    return Ok(self.failed(path, lost));
                }
            }
        }
        let there = match is_value(&output) || program.is_known() {
            true => there,
            false => self.elsewhere(),
        };
        self.judge(dialect, name, path, output, there, context)
    }

    /// The secret `text`, with its password as the first line. In one that gopass 1.10 or 1.11 has made, the password is a
    /// header; `show -n` leaves out by what such a secret is known. `None`: gopass cannot say.
    fn with_password(
        &self,
        path: &str,
        text: Secret,
        context: &Context,
    ) -> Result<Option<Secret>, Problem> {
        let mut command = self.prepare(context);
        let shown = process::run(command.args(["show", "-o", "--", &asked(path)]), context)?;
        let password = match shown.status.success() {
            true => field::first_line(&shown.stdout),
            false if shown.stderr_has("no password to display") => Secret::copy_of(b""),
            false => return Ok(None),
        };
        if password.expose() == field::first_line(&text).expose() {
            return Ok(Some(text));
        }
        let mut whole = SecretBuffer::new(LIMIT);
        let parts = [password.expose(), b"\n", text.expose()];
        let fits = parts.iter().all(|part| whole.extend(part));
        Ok(fits.then(|| whole.finish()))
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
        let mut command = self.prepare(context);
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
        let empty = is_empty(&output.stdout);
        let whole = match &there {
            There::Folder if !vouched => return is_folder(name),
            // gpg may end well with a file that it has not decrypted.
            _ if output.stderr_has("[GNUPG:] ") => vouched,
            There::File(_, Crypto::Gpg, _) => !empty,
            // gopass ends every file with a newline, so one of no bytes was cut.
            There::File(_, Crypto::Plain, size) => !empty || *size == 1,
            // gopass decrypts these itself, and ends badly when it cannot.
            There::File(_, Crypto::Age, _) | There::Hidden => true,
            There::NoStore | There::Absent | There::Folder | There::Elsewhere(_) => {
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
        match mime::decode(&text) {
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
            There::Elsewhere(reason) => {
                let start = format!("{name} is not known to be missing:");
                return Answer::Failed(reason.after(start));
            }
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
                Reason::from(format!(
                    "{name} cannot be decrypted: its key is locked, or not here"
                ))
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
        match self.there(&Program::called(&self.command), path, context) {
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
        let (Some(path), Some(program)) = (
            process::find_program(OsStr::new(&self.command)),
            self.program(),
        ) else {
            return Status::of("", self.no_program("", context));
        };
        let shown = path.display();
        let (dialect, version) = match asked.then(|| self.version(context)) {
            None => (program.dialect, self.command.clone()),
            Some(Ok(found)) => found,
            Some(Err(problem)) => {
                let reason = Reason::from(problem).after(&self.command);
                return Status::failed(shown.to_string(), reason);
            }
        };
        let uses = format!("{version} ({shown})");
        let unknown = format!("{uses}, a store that only it knows; no key tried");
        if !program.is_known() {
            return Status::ready(unknown);
        }
        let store = match store(dialect, "", context) {
            Ok(store) => store,
            Err(reason) => return Status::failed(uses, reason),
        };
        match store.entry(context.deadline) {
            Ok(There::Elsewhere(_)) => Status::ready(unknown),
            Err(reason) => Status::failed(uses, reason),
            Ok(There::NoStore) => Status::of(uses, self.uninitialized()),
            Ok(_) => Status::ready(format!(
                "{uses}, store {}; no key tried",
                store.root.display()
            )),
        }
    }
}

impl Backend for Gopass {
    fn locator(&self, name: &Name) -> String {
        self.locator_of(&self.path(name))
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        if let Err(reason) = trust::named_program(&self.command) {
            return Answer::Failed(reason);
        }
        let path = self.path(name);
        match self.answer(name, &path, context) {
            Ok(answer) => answer,
            Err(Problem::NotInstalled) => self.no_program(&path, context),
            Err(problem) => {
                let reason = Reason::from(problem);
                let text = format!("{} {reason}, asked for {name}", self.command);
                Answer::Failed(Reason { text, ..reason })
            }
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

/// gopass says so, and goes on without the names of a store that hides them.
const LOST_NAMES: &str = "Failed to load mappings";

fn store(dialect: Dialect, path: &str, context: &Context) -> Result<Store, Reason> {
    match dialect {
        Dialect::Gopass => Store::of_gopass(path, context.deadline),
        Dialect::Plain | Dialect::Pass => Ok(Store::of_pass(path)),
    }
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

/// Whether the program has shown what can only be a value.
fn is_value(output: &Output) -> bool {
    let looks_good = match output.stderr_has("[GNUPG:] ") {
        true => vouched(output),
        false => !is_empty(&output.stdout) && !looks_like_tree(&output.stdout),
    };
    output.status.success() && looks_good
}

/// Whether a part of a secret is asked for that is another one if `text` is in the form of a mail.
fn is_part_of_mail(name: &Name, text: &Secret) -> bool {
    let first = field::first_line(text);
    let Some(key) = mime::key(first.expose()) else {
        return false;
    };
    let is_other = |field: &str| {
        key == field.as_bytes() || field::pick(text, field, Deadline::never()).is_none()
    };
    name.is_first_line() || name.field().is_some_and(is_other)
}

/// Whether it is an empty secret: gopass ends one with a newline, too.
fn is_empty(text: &Secret) -> bool {
    matches!(text.expose(), b"" | b"\n")
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
