//! What is made once and kept, however many ask for it at the same time. A failure is not kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A value that is made by the first who asks for it.
pub struct Once<T, E> {
    value: OnceLock<T>,
    /// How often making it has failed, and how it failed last.
    failures: AtomicUsize,
    last: Mutex<Option<E>>,
}

impl<T, E: Clone> Once<T, E> {
    /// Not yet made.
    pub fn new() -> Once<T, E> {
        Once {
            value: OnceLock::new(),
            failures: AtomicUsize::new(0),
            last: Mutex::new(None),
        }
    }

    /// The value, made by `make` if need be. Who asks while another makes it waits, and shares what comes of that; who
    /// asks after a failure tries again.
    ///
    /// # Errors
    /// What `make` says.
    pub fn get_or_make(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let failures = self.failures.load(Ordering::Acquire);
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        if let Some(error) = &*last
            && self.failures.load(Ordering::Acquire) != failures
        {
            return Err(error.clone());
        }
        match make() {
            Ok(value) => Ok(self.value.get_or_init(|| value)),
            Err(error) => {
                *last = Some(error.clone());
                self.failures.fetch_add(1, Ordering::Release);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failure_is_told_to_all_who_wait_and_tried_again_by_the_next() {
        let once = Once::<usize, usize>::new();
        let (made, ready) = (AtomicUsize::new(0), Barrier::new(8));
        let ask = || {
            ready.wait();
            once.get_or_make(|| {
                std::thread::sleep(Duration::from_millis(200));
                Err(made.fetch_add(1, Ordering::SeqCst))
            })
            .copied()
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Err(0));
            }
        });
        assert_eq!(once.get_or_make(|| Ok(7)), Ok(&7));
        assert_eq!(once.get_or_make(|| Err(1)), Ok(&7));
    }
}
