//! A terminal for a command: a pty, driven as a person would.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use mxm_secrets::sys::wait_readable;

/// Long enough for the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command whose standard streams and controlling terminal are a pty.
pub struct Terminal {
    master: File,
    child: Child,
    /// All that has been shown so far.
    shown: Vec<u8>,
}

impl Terminal {
    /// Starts `command` as the leader of a session of its own.
    pub fn start(mut command: Command) -> Terminal {
        let (mut master, mut slave) = (-1, -1);
        let none = std::ptr::null_mut();
        // SAFETY: the descriptors are written by openpty, and owned by the files made of them.
        let (master, slave) = unsafe {
            assert_eq!(
                libc::openpty(&mut master, &mut slave, none, none.cast(), none.cast()),
                0
            );
            libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC);
            (File::from_raw_fd(master), File::from_raw_fd(slave))
        };
        command
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave);
        // SAFETY: both calls are allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY as _, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        Terminal {
            master,
            child,
            shown: Vec::new(),
        }
    }

    /// Types `text`.
    pub fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until `text` has been shown.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.screen().contains(text) {
            assert!(Instant::now() < end, "no {text:?} in {:?}", self.screen());
            assert!(
                self.read(),
                "no {text:?} in {:?}, and it has ended",
                self.screen()
            );
        }
    }

    /// Waits for the end; what it was, and all that was shown.
    pub fn ends(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + PATIENCE;
        while self.read() {
            assert!(Instant::now() < end, "no end after {:?}", self.screen());
        }
        let status = self.child.wait().unwrap();
        (status, self.screen())
    }

    /// All that has been shown so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.shown).replace("\r\n", "\n")
    }

    /// Reads what is there within a moment; whether there may be more.
    fn read(&mut self) -> bool {
        let moment = Duration::from_millis(200);
        let [ready] = wait_readable([Some(self.master.as_fd())], Some(moment)).unwrap();
        if !ready {
            return true;
        }
        let mut buffer = [0; 4096];
        // The end of a pty reads as EIO.
        let count = self.master.read(&mut buffer).unwrap_or(0);
        self.shown.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
