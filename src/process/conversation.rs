//! A child that is talked to: what is said goes through its standard input, what is heard comes from its standard output.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use super::{Problem, Running};
use crate::deadline::Deadline;
use crate::schema::Context;
use crate::secret::{Progress, SecretBuffer};
use crate::watch;

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
        // A socket, since one that is written to in vain raises no signal.
        let (input, theirs) = UnixStream::pair().map_err(Problem::Io)?;
        input.set_nonblocking(true).map_err(Problem::Io)?;
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
            self.deadline.go_on()?;
            match watch::send(self.input.as_fd(), bytes, self.deadline.remaining()) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => match error.kind() {
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
                watch::wait_readable([Some(self.output.as_fd())], self.deadline.remaining())
                    .map_err(Problem::Io)?;
            self.deadline.go_on()?;
            if ready {
                return match watch::uninterrupted(|| heard.read_from(&mut self.output))
                    .map_err(Problem::Io)?
                {
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
        // One that goes on is killed.
        let _ = self.child.wait(self.deadline.or(moment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    use crate::process::tests::{LONG, by, shell};

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
        assert!(matches!(slow, Problem::TimedOut), "{slow:?}");
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
