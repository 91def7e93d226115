//! What the tests share: an empty home for each, the program run in it, and the real programs.

pub mod bounds;
#[cfg(all(
    target_os = "linux",
    not(mxm_secrets_portable),
    feature = "config",
    feature = "credentials",
    feature = "keyring"
))]
pub mod machine;
#[cfg(all(
    target_os = "linux",
    feature = "age",
    feature = "config",
    feature = "credentials",
    feature = "keyring",
    feature = "vault"
))]
pub mod place;
pub mod rights;
pub mod store;
pub mod terminal;
#[cfg(feature = "vault")]
pub mod vault;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, Once, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// An empty home directory: HOME, a PATH of one empty directory, and nothing else in the environment.
pub struct Home {
    directory: TempDir,
    variables: Vec<(String, OsString)>,
}

/// What a command has done.
#[derive(Debug)]
pub struct Transcript {
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Transcript {
    /// Checks all that a user sees.
    #[track_caller]
    pub fn is(&self, status: i32, stdout: impl AsRef<[u8]>, stderr: &str) {
        let seen = (
            self.status,
            String::from_utf8_lossy(&self.stdout),
            self.stderr.as_str(),
        );
        assert_eq!(
            seen,
            (
                Some(status),
                String::from_utf8_lossy(stdout.as_ref()),
                stderr
            )
        );
        assert_eq!(self.stdout, stdout.as_ref());
    }

    /// Checks status and standard output, and that standard error has each of `words`.
    #[track_caller]
    pub fn has(&self, status: i32, stdout: impl AsRef<[u8]>, words: &[&str]) {
        assert_eq!(
            (self.status, self.stdout.as_slice()),
            (Some(status), stdout.as_ref()),
            "{}",
            self.stderr
        );
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no {word:?} in {:?}",
                self.stderr
            );
        }
    }
}

impl Home {
    pub fn new() -> Home {
        heed_signals();
        let directory = TempDir::with_prefix("mxm").unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        Home {
            directory,
            variables: Vec::new(),
        }
    }

    /// The home directory itself.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Sets a variable for every command.
    pub fn set(&mut self, variable: &str, value: impl AsRef<OsStr>) -> &mut Home {
        self.variables
            .push((variable.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Writes a file below the home directory and gives its path.
    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The same of a key, which nobody else can read.
    #[cfg(feature = "vault")]
    pub fn write_key(&self, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(file, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Puts a program on the PATH, under `name`.
    pub fn install(&self, name: &str, program: &Path) {
        std::os::unix::fs::symlink(program, self.path().join("bin").join(name)).unwrap();
    }

    /// Puts programs of this machine on the PATH.
    pub fn link(&self, names: &[&str]) {
        for name in names {
            self.install(
                name,
                &find(name).unwrap_or_else(|| panic!("{name} is not installed")),
            );
        }
    }

    /// Puts a shell script on the PATH: a fake, for what the real program cannot be made to do. It logs its arguments,
    /// one a line, to the file NAME.log, unless it comes with an interpreter of its own. One of gopass has a store,
    /// which is looked at, and is started by a program: a script may read any store.
    pub fn fake(&self, name: &str, script: &str) {
        let log = self.path().join(format!("{name}.log"));
        let log = log.display();
        let script = match script.starts_with("#!") {
            true => script.to_owned(),
            false => format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >>'{log}'\n{script}\n"),
        };
        if name == "gopass" && script.starts_with("#!/bin/sh\nprintf") {
            copy_program(starters().0, &self.path().join("bin").join(name));
            self.program("gopass.sh", &script);
        } else {
            self.program(name, &script);
        }
        if name == "gopass" {
            self.write(".password-store/.gpg-id", "");
        }
    }

    /// Puts a program on the PATH that becomes the script beside it, under the name that it is started by.
    pub fn start_script(&self, name: &str) {
        copy_program(starters().1, &self.path().join("bin").join(name));
    }

    /// Puts a file with this content on the PATH, and lets it be started.
    pub fn program(&self, name: &str, content: &str) {
        write_program(&self.path().join("bin").join(name), content);
    }

    /// The lines that a fake has logged.
    pub fn log(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path().join(format!("{name}.log")))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// A command in this home's environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", self.path().join("bin"))
            .current_dir(self.path())
            .stdin(Stdio::null());
        // Where a build that counts its covered lines writes them; nothing has it otherwise.
        if let Some(file) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", file);
        }
        command.envs(
            self.variables
                .iter()
                .map(|(variable, value)| (variable, value)),
        );
        command
    }

    /// The program under test.
    pub fn mxm_secrets<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.command(program_under_test());
        command.args(arguments);
        command
    }

    /// Gives all of this home to [`STRANGER`], with a copy of the program under test in it (the checkout may be
    /// private), for what root would not see: root may read everything. Says whether it could; only root can.
    pub fn give_to_stranger(&self) -> bool {
        let program = self.path().join("mxm-secrets");
        copy_program(program_under_test(), &program);
        for entry in fs::read_dir(self.path().join("bin")).unwrap() {
            // A link may lead to where a stranger may not go.
            let path = entry.unwrap().path();
            let target = fs::canonicalize(&path).unwrap();
            if target != path {
                fs::remove_file(&path).unwrap();
                copy_program(&target, &path);
            }
        }
        let owner = format!("{STRANGER}:{STRANGER}");
        Command::new("chown")
            .args(["-R", &owner])
            .arg(self.path())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    /// Runs the program under test.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Transcript {
        transcript(&mut self.mxm_secrets(arguments))
    }
}

/// Takes back what a shell does to a job in its background, or nohup to anything: what the tests start heeds every
/// signal that it is sent.
fn heed_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: plain numbers.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    });
}

/// Programs that become the script NAME.sh, of the name that they were started by: one that is taken for gopass, by what Go
/// writes into that, and one that is not.
fn starters() -> (&'static Path, &'static Path) {
    const SOURCE: &str = r#"
        #include <stdio.h>
        #include <unistd.h>
        #ifdef GOPASS
        __attribute__((used, aligned(16)))
        const char mark[] = "\xff Go buildinf:\x08\x02                path\tgithub.com/gopasspw/gopass\n";
        #endif
        int main(int count, char **words) {
            char script[4096];
            snprintf(script, sizeof script, "%s.sh", words[0]);
            execvp(script, words);
            return 127;
        }
    "#;
    static MADE: OnceLock<(TempDir, [PathBuf; 2])> = OnceLock::new();
    let (_, [gopass, other]) = MADE.get_or_init(|| {
        let directory = TempDir::with_prefix("mxms").unwrap();
        let source = directory.path().join("starter.c");
        fs::write(&source, SOURCE).unwrap();
        let made = ["-DGOPASS", "-DOTHER"].map(|flag| {
            let path = directory.path().join(flag);
            let mut compiler = Command::new("cc");
            let made = compiler.args([flag, "-o"]).args([&path, &source]).status();
            assert!(made.unwrap().success());
            path
        });
        (directory, made)
    });
    (gopass, other)
}

/// Writes a program; see [`copy_program`].
fn write_program(path: &Path, content: &str) {
    let draft = TempDir::with_prefix("mxmd").unwrap();
    let draft = draft.path().join("draft");
    fs::write(&draft, content).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(&draft, path);
}

/// Copies a program in a process of its own: what another thread starts meanwhile would hold the new file open for
/// writing for a moment, and a file that is written to cannot be run.
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("/bin/cp").arg("-p").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// The user and group of [`Home::give_to_stranger`].
pub const STRANGER: u32 = 65534;

/// The program under test: the one that cargo has built for the tests, or the one that MXM_SECRETS_TEST_PROGRAM names,
/// such as the static release build. MXM_SECRETS_TEST_RUNNER names what must start it, such as qemu-aarch64; a script
/// that does so then stands for the program, so that it can be linked, traced and started like one.
pub fn program_under_test() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = match std::env::var_os("MXM_SECRETS_TEST_PROGRAM") {
            Some(path) => fs::canonicalize(path).unwrap(),
            None => assert_cmd::cargo::cargo_bin!("mxm-secrets").to_owned(),
        };
        let Some(runner) = std::env::var_os("MXM_SECRETS_TEST_RUNNER") else {
            return program;
        };
        let runner = find(runner.to_str().unwrap()).unwrap();
        // Of this process alone: others may be starting theirs.
        let script = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let script = script.join(format!("mxm-secrets-{}", std::process::id()));
        let (runner, program) = (runner.display(), program.display());
        let text = format!("#!/bin/sh\nexec '{runner}' '{program}' \"$@\"\n");
        write_program(&script, &text);
        script
    })
}

/// Whether the program is started through a runner that cannot do what a test is about; says so, with the reason.
pub fn emulated(why: &str) -> bool {
    let emulated = std::env::var_os("MXM_SECRETS_TEST_RUNNER").is_some();
    if emulated {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ = writeln!(
            std::io::stderr(),
            "\nNOT RUN: {test}: through a runner, {why}\n"
        );
    }
    emulated
}

/// Runs a command.
pub fn transcript(command: &mut Command) -> Transcript {
    let output = command.output().unwrap();
    Transcript {
        status: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The program of that name on this machine's PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// A real program that a test needs: one on PATH, or (`gopass-…`, `vault`) one that tests/programs/build makes. Where
/// it cannot be had, this says so on the terminal; with CI=true that is a failure.
pub fn program(name: &str) -> Option<PathBuf> {
    static BUILT: Mutex<Vec<(String, Option<PathBuf>)>> = Mutex::new(Vec::new());
    let module = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/programs")
        .join(name);
    let path = if module.is_dir() || name == "gopass-debian" {
        let mut built = BUILT.lock().unwrap();
        let known = built
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, path)| path.clone());
        known.unwrap_or_else(|| {
            let output = Command::new(module.with_file_name("build"))
                .arg(name)
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            let path = output
                .status
                .success()
                .then(|| String::from_utf8(output.stdout).unwrap().trim_end().into());
            built.push((name.to_owned(), path.clone()));
            path
        })
    } else {
        find(name)
    };
    if path.is_none() {
        not_run(&format!("{name} is not here"));
    }
    path
}

/// Python itself, not a script that finds it: a home has no PATH for that.
pub fn python() -> Option<PathBuf> {
    let script = program("python3")?;
    let says = Command::new(script)
        .args(["-c", "import sys; print(sys.executable)"])
        .output();
    Some(
        String::from_utf8(says.unwrap().stdout)
            .unwrap()
            .trim_end()
            .into(),
    )
}

/// A pipe that takes no more, and that nobody reads; with these flags on its other end.
pub fn full_pipe(flags: libc::c_int) -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let set = |flags: libc::c_int| {
        // SAFETY: the descriptor is open.
        let set = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags) };
        assert_eq!(set, 0);
    };
    set(libc::O_NONBLOCK);
    while (&writer).write(&[b'.'; 512]).is_ok() {}
    set(flags);
    (reader, writer)
}

/// Whether the process ends within a time that even a busy machine needs not, if only to be a zombie that nobody has
/// reaped yet: a kill is not awaited for a child's children.
pub fn is_gone(pid: u32) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while state(pid).is_some_and(|state| state != 'Z') {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The letter for what a process is doing; `None`: it is gone.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim().chars().next()
}

/// The processes that were started in this home and are still there, but for the agent that gpg starts for itself.
pub fn left_by(home: &Home) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let left = started_in(home);
        if left.is_empty() || Instant::now() > until {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes that were started in this home, but for the agent that gpg starts for itself.
pub fn started_in(home: &Home) -> Vec<String> {
    let processes = processes_in(home).into_iter();
    processes.map(|(_, line)| line).collect()
}

/// The same, with their numbers.
pub fn processes_in(home: &Home) -> Vec<(i32, String)> {
    let marker = format!("HOME={}\0", home.path().display()).into_bytes();
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.windows(marker.len()).any(|text| text == marker) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if !line.contains("gpg-agent") && !line.is_empty() {
                let pid = entry.file_name().to_string_lossy().parse().unwrap();
                left.push((pid, line));
            }
        }
    }
    left
}

/// Says that a test cannot be run, past the test runner's capture.
pub fn say_not_run(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "\nNOT RUN: {test}: {why}\n");
}

/// The same for what CI can have, where it is a failure.
#[track_caller]
pub fn not_run(why: &str) {
    say_not_run(why);
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "in CI every test runs: {why}"
    );
}
