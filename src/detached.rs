//! Work that no deadline and no signal ends by itself, done aside: in a thread, which is left alone with it once nobody
//! waits any more.

use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::JoinHandle;

/// Work that is under way.
pub struct Detached<R> {
    done: PipeReader,
    work: JoinHandle<R>,
}

impl<R: Send + 'static> Detached<R> {
    /// Begins `work`.
    ///
    /// # Errors
    /// What the system says that has no thread or descriptor for it.
    pub fn begin(work: impl FnOnce() -> R + Send + 'static) -> io::Result<Detached<R>> {
        let (done, open_until_done) = io::pipe()?;
        // No channel: its thread-local variables would not fit beside the others into what musl has for them from the start.
        let work = std::thread::Builder::new().spawn(move || {
            let result = work();
            drop(open_until_done);
            result
        })?;
        Ok(Detached { done, work })
    }

    /// What can be read, that is: has been hung up, once it is done.
    pub fn done(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// What has come of it; waits for it, if need be.
    ///
    /// # Errors
    /// It has ended without a result.
    pub fn result(self) -> io::Result<R> {
        let none = |_| io::Error::other("the work has ended without a result");
        self.work.join().map_err(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    use crate::watch;

    #[test]
    fn what_is_done_can_be_seen_and_had() {
        let (go, wait) = mpsc::channel::<()>();
        let work = Detached::begin(move || wait.recv().map(|()| 7)).unwrap();
        let moment = Some(Duration::from_millis(1));
        let seen = watch::wait_readable([Some(work.done())], moment).unwrap();
        assert_eq!(seen, [false]);
        go.send(()).unwrap();
        let seen = watch::wait_readable([Some(work.done())], None).unwrap();
        assert_eq!(seen, [true]);
        assert_eq!(work.result().unwrap(), Ok(7));
    }
}
