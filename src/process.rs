//! Children with deadlines: the only place that starts a program for a backend.
//!
//! A child has null standard input. Its standard output is read into secret memory, up to
//! [`secret::LIMIT`](crate::secret::LIMIT); of its standard error the beginning is kept, to be searched and never to
//! be shown, since it may hold parts of a plaintext. At the deadline, or when a signal ends us, the child and all that
//! it has started are asked to end, and killed if they do not; when we are killed ourselves, the system kills the child.
//! It leads a process group of its own when unattended. In interactive use it has none, since a background group cannot
//! use the terminal.
//!
//! `programs` finds what is to be started, `environment` says what it inherits, `lineage` who has asked for it, `family`
//! ends it with all that it has started; [`Conversation`] is a child that is talked to.

mod conversation;
mod environment;
mod family;
mod lineage;
mod programs;

pub use conversation::Conversation;
pub use environment::{can_be_withheld, is_credential, is_obeyed, is_withheld, let_through};
pub use lineage::handed_on;
pub use programs::{candidates, find_program, is_installed};

use family::{Counted, Family, Which};

/// The variables that tell an mxm-secrets that is started for a backend about those above it.
pub const FROM_ABOVE: [&str; 2] = [lineage::VARIABLE, environment::WITHHELD];

use std::cell::OnceCell;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::deadline::{Deadline, Ended};
use crate::reason::Reason;
use crate::schema::Context;
use crate::secret::{LIMIT, Progress, Secret, SecretBuffer};
use crate::sys;
use crate::watch::{self, Watch};

/// How much of a child's standard error is kept, in bytes.
const STDERR_LIMIT: usize = 64 << 10;

/// How often to look whether a child has ended, where nothing tells.
const POLL: Duration = Duration::from_millis(20);

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
pub(crate) enum Problem {
    /// There is no such program.
    NotInstalled,
    /// It is there, and cannot be started, or its output cannot be read.
    Io(io::Error),
    /// The deadline passed; the child is dead.
    TimedOut,
    /// The deadline passed; the child had ended, but something it started held its standard output open, and could
    /// have written more. What was there of a value may not be all of it.
    Held,
    /// It wrote more than a secret may have; the child is dead.
    TooLarge,
    /// A signal ended us; the child is dead.
    Interrupted,
    /// It was not started: it is being run for the same already, and has led back to us.
    Circular,
    /// It was not started: too many have led back to us.
    TooMany,
}

/// In words that go on after the name of the program.
impl From<Problem> for Reason {
    fn from(problem: Problem) -> Reason {
        let late = matches!(problem, Problem::TimedOut | Problem::Held);
        Reason::from(match problem {
            Problem::NotInstalled => "is not on PATH",
            Problem::Io(error) => return Reason::of("cannot be run", &error),
            Problem::TimedOut => "gave no answer in time and was killed",
            Problem::Held => "ended, but a process it started kept its output open",
            Problem::TooLarge => "wrote more than 16 MiB and was killed",
            Problem::Interrupted => "was interrupted",
            Problem::Circular => "was not started again: its command leads back to it",
            Problem::TooMany => "was not started: too many commands lead back to mxm-secrets",
        })
        .transient(late)
    }
}

impl From<Ended> for Problem {
    fn from(ended: Ended) -> Problem {
        match ended {
            Ended::Interrupted => Problem::Interrupted,
            Ended::TimedOut => Problem::TimedOut,
        }
    }
}

/// Runs `command` to its end and collects its output.
///
/// # Errors
/// The [`Problem`], after which the child is gone.
pub fn run(command: &mut Command, context: &Context) -> Result<Output, Problem> {
    run_up_to(LIMIT, command, context)
}

/// The same for one whose standard output may have `limit` bytes.
///
/// # Errors
/// The same.
pub fn run_up_to(
    limit: usize,
    command: &mut Command,
    context: &Context,
) -> Result<Output, Problem> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Running::start(command, context)?;
    let (stdout, stderr) = child.collect(limit, context.deadline)?;
    let status = child.wait(context.deadline)?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

/// A child that does not outlive this value, nor the thread that has started it: that is where the system notices that
/// we are gone.
struct Running {
    child: Child,
    family: Family,
    /// Whether it has been reaped.
    over: bool,
    /// What can be read once it has ended, where the system has such a thing; not asked for until it is needed.
    end: OnceCell<Option<OwnedFd>>,
    this_thread: PhantomData<*const ()>,
    _watch: Watch,
}

impl Running {
    fn start(command: &mut Command, context: &Context) -> Result<Running, Problem> {
        if context.deadline.passed() {
            return Err(Problem::TimedOut);
        }
        // Looked for before anything is started: a machine without the program is common, and to look costs less than
        // a child that finds nothing to become.
        if !programs::is_installed(command.get_program()) {
            return Err(Problem::NotInstalled);
        }
        environment::withhold(command, context.withheld);
        let mark = lineage::extend(command)?;
        let watch = Watch::signals();
        if context.unattended {
            command.process_group(0);
        }
        sys::end_with_us(command);
        let counted = Counted::new();
        let child = command.spawn().map_err(Problem::Io)?;
        sys::remember_child(child.id(), context.unattended);
        Ok(Running {
            family: Family {
                child: child.id(),
                group: context.unattended,
                mark,
                _counted: counted,
            },
            child,
            over: false,
            end: OnceCell::new(),
            this_thread: PhantomData,
            _watch: watch,
        })
    }

    /// Reads standard output to its end, whoever holds it: only then is a value whole. Of standard error, which others
    /// may hold for ever, it reads what is there once the child has ended.
    fn collect(&mut self, limit: usize, deadline: Deadline) -> Result<(Secret, Secret), Problem> {
        let (mut stdout, mut stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (mut value, mut messages) = (SecretBuffer::new(limit), SecretBuffer::new(STDERR_LIMIT));
        while stdout.is_some() || stderr.is_some() {
            let over = stdout.is_none() && self.has_ended()?;
            let (end, timeout) = match (&stdout, over) {
                (Some(_), _) => (None, deadline.remaining()),
                (None, false) => self.end_within(POLL, deadline),
                (None, true) => (None, Some(Duration::ZERO)),
            };
            let fds = [
                stdout.as_ref().map(AsFd::as_fd),
                stderr.as_ref().map(AsFd::as_fd),
                end,
            ];
            let [stdout_ready, stderr_ready, _] =
                watch::wait_readable(fds, timeout).map_err(Problem::Io)?;
            if over && (!stderr_ready || messages.expose().len() >= STDERR_LIMIT) {
                break;
            }
            deadline.go_on().map_err(|ended| match ended {
                Ended::TimedOut if self.has_ended().is_ok_and(|ended| ended) => Problem::Held,
                ended => ended.into(),
            })?;
            if let Some(pipe) = stdout.as_mut().filter(|_| stdout_ready) {
                match watch::uninterrupted(|| value.read_from(pipe)).map_err(Problem::Io)? {
                    Progress::More => {}
                    Progress::End => stdout = None,
                    Progress::TooLarge => return Err(Problem::TooLarge),
                }
            }
            if let Some(pipe) = stderr.as_mut().filter(|_| stderr_ready) {
                if messages.expose().len() >= STDERR_LIMIT {
                    // The rest is read, so that the child does not block, and thrown away.
                    let rest =
                        watch::uninterrupted(|| SecretBuffer::new(STDERR_LIMIT).read_from(pipe));
                    if rest.map_err(Problem::Io)? == Progress::End {
                        stderr = None;
                    }
                } else if watch::uninterrupted(|| messages.read_from(pipe)).map_err(Problem::Io)?
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
        loop {
            if self.has_ended()? {
                // In this order: once it is reaped, its number may be that of a process which is none of ours. What is
                // left in the group keeps it from that.
                if self.family.group {
                    sys::ask_group_to_end(self.child.id());
                }
                sys::forget_child(self.child.id());
                self.over = true;
                let status = self.child.wait().map_err(Problem::Io)?;
                if status.code().is_none() {
                    self.family.end(Which::All);
                } else if !self.family.group || sys::group_is_there(self.child.id()) {
                    self.family.end(Which::InGroup);
                }
                return Ok(status);
            }
            deadline.go_on()?;
            let (end, timeout) = self.end_within(pause, deadline);
            watch::wait_readable([end], timeout).map_err(Problem::Io)?;
            pause = (pause * 2).min(POLL);
        }
    }

    fn has_ended(&self) -> Result<bool, Problem> {
        sys::has_ended(self.child.id()).map_err(Problem::Io)
    }

    /// What can be read once it has ended, and how long to wait for that: only for `pause` where there is no such thing.
    fn end_within(
        &self,
        pause: Duration,
        deadline: Deadline,
    ) -> (Option<BorrowedFd<'_>>, Option<Duration>) {
        let end = self.end.get_or_init(|| sys::end_of(self.child.id()));
        let pause = Deadline::after(pause);
        match end {
            Some(end) => (Some(end.as_fd()), deadline.remaining()),
            None => (None, deadline.or(pause).remaining()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over {
            self.family.end(Which::All);
            sys::forget_child(self.child.id());
            // One that the kernel cannot end, since a disk does not answer, is not waited for.
            let patience = Deadline::after(Duration::from_secs(1));
            while self.has_ended().is_ok_and(|ended| !ended) && !patience.passed() {
                watch::pause(Duration::from_millis(1));
            }
            let _ = self.child.try_wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub const LONG: Duration = Duration::from_secs(1000);

    pub fn by(deadline: Deadline) -> Context<'static> {
        Context {
            deadline,
            unattended: true,
            login: false,
            withheld: &[],
            warn: &|_| {},
        }
    }

    pub fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn ran(script: &str) -> Output {
        run(&mut shell(script), &by(Deadline::after(LONG))).unwrap()
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
        let said = |problem: Problem| Reason::from(problem).text;
        let soon = by(Deadline::after(Duration::from_millis(50)));
        let slow = run(&mut shell("exec sleep 5"), &soon).unwrap_err();
        assert!(matches!(slow, Problem::TimedOut), "{slow:?}");
        assert_eq!(said(slow), "gave no answer in time and was killed");
        let context = by(Deadline::never());
        let absent = run(&mut Command::new("/nowhere/program"), &context).unwrap_err();
        assert!(matches!(absent, Problem::NotInstalled), "{absent:?}");
        assert_eq!(said(absent), "is not on PATH");
        let other = run(&mut Command::new("/etc/passwd"), &context).unwrap_err();
        assert!(said(other).starts_with("cannot be run: "));
        assert_eq!(
            said(Problem::TooLarge),
            "wrote more than 16 MiB and was killed"
        );
        assert_eq!(said(Problem::Interrupted), "was interrupted");
    }

    #[test]
    fn what_has_ended_with_its_value_is_not_waited_for() {
        let soon = || by(Deadline::after(Duration::from_secs(20)));
        // Something in the background holds its standard error, and may even write there.
        for background in ["exec sleep 1000 >&-", "exec >&-; exec yes >&2"] {
            let script = format!("echo told >&2; ({background}) & printf value; exit 3");
            let output = run(&mut shell(&script), &soon()).unwrap();
            assert_eq!(output.stdout.expose(), b"value");
            assert_eq!(output.status.code(), Some(3));
            assert!(output.stderr_has("told"));
        }
        // Its standard output: what comes later belongs to the value, and what may still come makes it no value.
        let output = run(&mut shell("(sleep 0.3; printf ue) & printf val"), &soon()).unwrap();
        assert_eq!(output.stdout.expose(), b"value");
        let moment = by(Deadline::after(Duration::from_millis(500)));
        let held = run(&mut shell("sleep 1000 & printf value"), &moment).unwrap_err();
        assert_eq!(
            Reason::from(held).text,
            "ended, but a process it started kept its output open"
        );
    }
}
