//! Children with deadlines: the only place that starts a program for a backend.
//!
//! A child has null standard input. Its standard output is read into secret memory, up to
//! [`secret::LIMIT`](crate::secret::LIMIT); of its standard error the beginning is kept, to be searched and never to
//! be shown, since it may hold parts of a plaintext. At the deadline, or when a signal ends us, the child is killed:
//! its whole process group when unattended. In interactive use it has none of its own, since a background group
//! cannot use the terminal.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::backend::Context;
use crate::secret::{LIMIT, Progress, Secret, SecretBuffer};
use crate::sys;

/// How much of a child's standard error is kept, in bytes.
const STDERR_LIMIT: usize = 64 << 10;

/// A point in time by which something must be done, or never.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// `duration` from now.
    pub fn after(duration: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(duration))
    }

    /// No deadline.
    pub fn never() -> Deadline {
        Deadline(None)
    }

    /// The time that is left: zero once it has passed, `None` without a deadline.
    pub fn remaining(self) -> Option<Duration> {
        self.0
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }
}

/// Whether a signal has come that ends this program, so that no further work makes sense.
pub fn interrupted() -> bool {
    sys::signalled().is_some()
}

/// What a child has left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Secret,
    /// The beginning of its standard error, to be searched and not to be shown.
    pub stderr: Secret,
}

impl Output {
    /// Whether `text` stands in its standard error.
    pub fn stderr_has(&self, text: &str) -> bool {
        self.stderr
            .expose()
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }

    /// How it ended, for messages: `status 11` or `signal 9`.
    pub fn ending(&self) -> String {
        use std::os::unix::process::ExitStatusExt;
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown status".to_owned(),
        }
    }
}

/// Why there is no output.
#[derive(Debug)]
pub enum Problem {
    /// There is no such program.
    NotInstalled,
    /// It is there, and cannot be started, or its output cannot be read.
    Io(io::Error),
    /// The deadline passed; the child is dead.
    TimedOut,
    /// It wrote more than a secret may have; the child is dead.
    TooLarge,
    /// A signal ended us; the child is dead.
    Interrupted,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::NotInstalled => f.write_str("is not installed"),
            Problem::Io(error) => write!(f, "cannot be run: {error}"),
            Problem::TimedOut => f.write_str("gave no answer in time and was killed"),
            Problem::TooLarge => f.write_str("wrote more than 16 MiB and was killed"),
            Problem::Interrupted => f.write_str("was interrupted"),
        }
    }
}

/// Runs `command` to its end and collects its output.
///
/// # Errors
/// The [`Problem`], after which the child is gone.
pub fn run(command: &mut Command, context: &Context) -> Result<Output, Problem> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Running::start(command, context)?;
    let (stdout, stderr) = child.collect(context.deadline)?;
    let status = child.wait(context.deadline)?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

/// A child that is talked to through its standard input and output; its standard error is thrown away. It does not
/// outlive this value.
pub struct Conversation {
    input: UnixStream,
    output: ChildStdout,
    child: Running,
    deadline: Deadline,
}

impl Conversation {
    /// Starts `command`.
    ///
    /// # Errors
    /// The [`Problem`].
    pub fn start(command: &mut Command, context: &Context) -> Result<Conversation, Problem> {
        // A socket, since writing to one can be given a time limit.
        let (input, theirs) = UnixStream::pair().map_err(Problem::Io)?;
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = Running::start(command, context)?;
        // The command holds its end of the socket open.
        command.stdin(Stdio::null());
        let output = child.child.stdout.take();
        Ok(Conversation {
            input,
            output: output.ok_or_else(|| Problem::Io(io::ErrorKind::BrokenPipe.into()))?,
            child,
            deadline: context.deadline,
        })
    }

    /// Says `bytes`. A child that does not listen any more is no error: it shows in what it says.
    ///
    /// # Errors
    /// The [`Problem`], after which there is nothing more to say.
    pub fn say(&mut self, mut bytes: &[u8]) -> Result<(), Problem> {
        while !bytes.is_empty() {
            check(self.deadline)?;
            let moment = Duration::from_millis(200);
            let timeout = self.deadline.remaining().unwrap_or(moment).min(moment);
            self.input
                .set_write_timeout(Some(timeout.max(Duration::from_millis(1))))
                .map_err(Problem::Io)?;
            match sys::send(self.input.as_fd(), bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => return Ok(()),
                    _ => return Err(Problem::Io(error)),
                },
            }
        }
        Ok(())
    }

    /// Hears what comes next, into `heard`; whether that was the end.
    ///
    /// # Errors
    /// The [`Problem`], after which there is nothing more to hear.
    pub fn hear(&mut self, heard: &mut SecretBuffer) -> Result<bool, Problem> {
        loop {
            let [ready] =
                sys::wait_readable([Some(self.output.as_fd())], self.deadline.remaining())
                    .map_err(Problem::Io)?;
            check(self.deadline)?;
            if ready {
                return match read_once(|| heard.read_from(&mut self.output)).map_err(Problem::Io)? {
                    Progress::More => Ok(false),
                    Progress::End => Ok(true),
                    Progress::TooLarge => Err(Problem::TooLarge),
                };
            }
        }
    }

    /// Hangs up, and gives the child a moment to end by itself.
    pub fn end(mut self) {
        drop((self.input, self.output));
        let moment = Deadline::after(Duration::from_secs(1));
        let deadline = match (self.deadline.remaining(), moment.remaining()) {
            (Some(left), Some(moment)) if left < moment => self.deadline,
            _ => moment,
        };
        // One that goes on is killed.
        let _ = self.child.wait(deadline);
    }
}

/// A child that does not outlive this value.
struct Running {
    child: Child,
    /// Whether it leads a process group of its own.
    group: bool,
    /// Whether it has been reaped.
    over: bool,
}

impl Running {
    fn start(command: &mut Command, context: &Context) -> Result<Running, Problem> {
        if context.deadline.passed() {
            return Err(Problem::TimedOut);
        }
        // Looked for before anything is started: a machine without the program is common, and to look costs less than
        // a child that finds nothing to become.
        if !is_installed(command.get_program()) {
            return Err(Problem::NotInstalled);
        }
        sys::watch_signals();
        if context.unattended {
            command.process_group(0);
        }
        let child = command.spawn().map_err(Problem::Io)?;
        sys::remember_child(child.id(), context.unattended);
        Ok(Running {
            child,
            group: context.unattended,
            over: false,
        })
    }

    /// Reads both outputs to their ends, whoever holds them.
    fn collect(&mut self, deadline: Deadline) -> Result<(Secret, Secret), Problem> {
        let (mut stdout, mut stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (mut value, mut messages) = (SecretBuffer::new(LIMIT), SecretBuffer::new(STDERR_LIMIT));
        while stdout.is_some() || stderr.is_some() {
            let fds = [
                stdout.as_ref().map(AsFd::as_fd),
                stderr.as_ref().map(AsFd::as_fd),
            ];
            let [stdout_ready, stderr_ready] =
                sys::wait_readable(fds, deadline.remaining()).map_err(Problem::Io)?;
            check(deadline)?;
            if let Some(pipe) = stdout.as_mut().filter(|_| stdout_ready) {
                match read_once(|| value.read_from(pipe)).map_err(Problem::Io)? {
                    Progress::More => {}
                    Progress::End => stdout = None,
                    Progress::TooLarge => return Err(Problem::TooLarge),
                }
            }
            if let Some(pipe) = stderr.as_mut().filter(|_| stderr_ready) {
                if messages.expose().len() >= STDERR_LIMIT {
                    // The rest is read, so that the child does not block, and thrown away.
                    if read_once(|| pipe.read(&mut [0; 4096])).map_err(Problem::Io)? == 0 {
                        stderr = None;
                    }
                } else if read_once(|| messages.read_from(pipe)).map_err(Problem::Io)?
                    == Progress::End
                {
                    stderr = None;
                }
            }
        }
        Ok((value.finish(), messages.finish()))
    }

    /// Waits for its end. Where there is no call that waits for it with a deadline, this looks again and again, at first
    /// after a tenth of a millisecond: a child that has closed its outputs is usually about to end.
    fn wait(&mut self, deadline: Deadline) -> Result<ExitStatus, Problem> {
        let mut pause = Duration::from_micros(100);
        let mut end = None;
        loop {
            if let Some(status) = self.child.try_wait().map_err(Problem::Io)? {
                self.over = true;
                sys::forget_child(self.child.id());
                return Ok(status);
            }
            check(deadline)?;
            match end.get_or_insert_with(|| sys::end_of(self.child.id())) {
                Some(end) => {
                    sys::wait_readable([Some(end.as_fd())], deadline.remaining())
                        .map_err(Problem::Io)?;
                }
                None => {
                    std::thread::sleep(pause.min(deadline.remaining().unwrap_or(pause)));
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over {
            if self.group {
                sys::kill_group(self.child.id());
            } else {
                let _ = self.child.kill();
            }
            sys::forget_child(self.child.id());
            let _ = self.child.wait();
        }
    }
}

/// Whether the work may go on.
fn check(deadline: Deadline) -> Result<(), Problem> {
    if interrupted() {
        Err(Problem::Interrupted)
    } else if deadline.passed() {
        Err(Problem::TimedOut)
    } else {
        Ok(())
    }
}

fn read_once<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether there is something that starting `program` could mean. One that may not be looked at counts: it is no
/// knowledge that the program is absent.
fn is_installed(program: &OsStr) -> bool {
    let absent = |error: io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    };
    candidates(program)
        .iter()
        .any(|path| !path.symlink_metadata().is_err_and(absent))
}

/// The file that starting `program` would run.
pub fn find_program(program: &OsStr) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    candidates(program).into_iter().find(executable)
}

/// The files that `program` may mean, in order: itself when it has a slash, else one in each directory of PATH.
pub fn candidates(program: &OsStr) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    // The path of a system whose environment says nothing, as the C library has it.
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(1000);

    fn by(deadline: Deadline) -> Context<'static> {
        Context {
            deadline,
            unattended: true,
            warn: &|_| {},
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn ran(script: &str) -> Output {
        run(&mut shell(script), &by(Deadline::after(LONG))).unwrap()
    }

    #[test]
    fn a_deadline_passes_or_does_not() {
        assert!(Deadline::after(Duration::ZERO).passed());
        let far = Deadline::after(LONG);
        assert!(
            !far.passed()
                && far
                    .remaining()
                    .is_some_and(|left| left <= LONG && left > LONG / 2)
        );
        assert!(!Deadline::never().passed() && Deadline::never().remaining().is_none());
    }

    #[test]
    fn an_output_is_all_of_it_and_how_it_ended() {
        let output = ran("echo one >&2; sleep 0.1; echo two >&2; printf v; exit 3");
        assert_eq!(output.stdout.expose(), b"v");
        assert!(output.stderr_has("one") && output.stderr_has("two"));
        assert!(!output.stderr_has("three"));
        assert_eq!(output.ending(), "status 3");
        assert_eq!(ran("kill -9 $$").ending(), "signal 9");
        // One of the two may end long before the other.
        assert!(ran("exec >&-; sleep 0.1; echo late >&2").stderr_has("late"));
        assert_eq!(
            ran("exec 2>&-; sleep 0.1; echo late").stdout.expose(),
            b"late\n"
        );
    }

    #[test]
    fn of_many_messages_the_beginning_is_kept_and_the_child_goes_on() {
        let output = ran("head -c 300000 /dev/zero >&2 && printf done");
        assert_eq!(output.stdout.expose(), b"done");
        assert_eq!(output.stderr.len(), STDERR_LIMIT);
        assert_eq!(STDERR_LIMIT, 65_536);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let soon = by(Deadline::after(Duration::from_millis(50)));
        let slow = run(&mut shell("exec sleep 5"), &soon).unwrap_err();
        assert!(matches!(slow, Problem::TimedOut), "{slow}");
        assert_eq!(slow.to_string(), "gave no answer in time and was killed");
        let context = by(Deadline::never());
        let absent = run(&mut Command::new("/nowhere/program"), &context).unwrap_err();
        assert!(matches!(absent, Problem::NotInstalled), "{absent}");
        assert_eq!(absent.to_string(), "is not installed");
        let other = run(&mut Command::new("/etc/passwd"), &context).unwrap_err();
        assert!(other.to_string().starts_with("cannot be run: "), "{other}");
        assert_eq!(
            Problem::TooLarge.to_string(),
            "wrote more than 16 MiB and was killed"
        );
        assert_eq!(Problem::Interrupted.to_string(), "was interrupted");
    }

    #[test]
    fn programs_are_files_that_may_be_run() {
        assert_eq!(find_program("/bin/sh".as_ref()), Some("/bin/sh".into()));
        assert!(find_program("sh".as_ref()).is_some_and(|path| path.ends_with("sh")));
        for none in ["/etc/passwd", "/etc", "/nowhere/program", "no-such-program"] {
            assert_eq!(find_program(none.as_ref()), None);
        }
    }

    #[test]
    fn an_interrupted_read_is_tried_again_and_a_failed_one_is_not() {
        let results = |first: io::ErrorKind| {
            let mut results = vec![Ok(7), Err(io::Error::from(first))];
            read_once(move || results.pop().unwrap())
        };
        assert_eq!(results(io::ErrorKind::Interrupted).unwrap(), 7);
        assert!(results(io::ErrorKind::BrokenPipe).is_err());
    }

    /// Starts a conversation with a shell, and hears the first line it says: a process id, or anything.
    fn talk(script: &str, deadline: Deadline) -> (Conversation, String) {
        let mut talk = Conversation::start(&mut shell(script), &by(deadline)).unwrap();
        let mut heard = SecretBuffer::new(100);
        while !heard.expose().ends_with(b"\n") {
            assert!(!talk.hear(&mut heard).unwrap(), "it hung up");
        }
        let line = String::from_utf8_lossy(heard.expose()).trim().to_owned();
        (talk, line)
    }

    #[test]
    fn a_child_is_told_and_heard() {
        let mut talk =
            Conversation::start(&mut shell("exec cat"), &by(Deadline::after(LONG))).unwrap();
        talk.say(b"hello").unwrap();
        let mut heard = SecretBuffer::new(100);
        while heard.expose().len() < 5 {
            assert!(!talk.hear(&mut heard).unwrap(), "it hung up");
        }
        assert_eq!(heard.expose(), b"hello");
        let (mut talk, _) = self::talk("echo ready; exit", Deadline::after(LONG));
        assert!(talk.hear(&mut heard).unwrap(), "it goes on");
    }

    #[test]
    fn a_child_that_does_not_listen_is_no_error_and_a_slow_one_is() {
        let (mut talk, _) = talk(
            "exec 0<&-; echo ready; exec sleep 1000",
            Deadline::after(LONG),
        );
        talk.say(b"hello").unwrap();
        let context = by(Deadline::after(Duration::from_millis(900)));
        let mut talk = Conversation::start(&mut shell("exec sleep 1000"), &context).unwrap();
        let slow = talk.say(&vec![0; 8 << 20]).unwrap_err();
        assert!(matches!(slow, Problem::TimedOut), "{slow}");
    }

    #[test]
    fn no_child_outlives_its_conversation() {
        let (talk, child) = talk("echo $$; exec sleep 1000", Deadline::after(LONG));
        talk.end();
        let process = PathBuf::from("/proc").join(child);
        assert!(!process.exists() || !PathBuf::from("/proc/self").exists());
    }

    /// It has a second. A machine that is too slow for that gets another chance, and another.
    #[test]
    fn a_child_may_end_by_itself() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bye");
        let script = format!("echo ready; cat >/dev/null; echo bye >'{}'", file.display());
        let said = (0..10).any(|_| {
            let (talk, _) = talk(&script, Deadline::after(LONG));
            talk.end();
            file.exists()
        });
        assert!(said);
    }
}
