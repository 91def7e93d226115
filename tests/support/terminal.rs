//! A terminal for a command: a pty, driven as a person would.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
        let (master, slave) = pair();
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

    /// Sends a signal to the command alone.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: plain numbers; the child has not been reaped.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// The number of the command.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
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
        const MOMENT: libc::c_int = 200;
        let mut poll = libc::pollfd {
            fd: self.master.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: there is one of it.
        if unsafe { libc::poll(&raw mut poll, 1, MOMENT) } < 1 {
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

/// Both ends of a pty. Each is closed on exec from its first moment: a child that another thread starts meanwhile would
/// keep this terminal open.
fn pair() -> (File, File) {
    /// The name is in memory that the next call writes to.
    static NAMING: Mutex<()> = Mutex::new(());
    // SAFETY: plain numbers; the descriptor is owned by the file made of it.
    let master = unsafe {
        let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(master >= 0, "{}", std::io::Error::last_os_error());
        assert_eq!(libc::grantpt(master), 0);
        assert_eq!(libc::unlockpt(master), 0);
        File::from_raw_fd(master)
    };
    let naming = NAMING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the name ends in NUL, and is there until the next call.
    let name = unsafe { CStr::from_ptr(libc::ptsname(master.as_raw_fd())) };
    let name = name.to_str().unwrap().to_owned();
    drop(naming);
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(name);
    (master, slave.unwrap())
}
