//! What many lookups need at the same time, and one of them finds out.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::backend::Reason;

/// What the first who needs it finds out, while the others wait. It is kept if it was found. A failure is shared with
/// those who ask at the same time, so that a refused login is not repeated for each of a hundred names.
pub struct Shared<T> {
    pub found: OnceLock<T>,
    failure: Mutex<Option<Reason>>,
}

impl<T> Shared<T> {
    pub fn new() -> Shared<T> {
        Shared {
            found: OnceLock::new(),
            failure: Mutex::new(None),
        }
    }

    pub fn get(&self, find: impl FnOnce() -> Result<T, Reason>) -> Result<&T, Reason> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.found.get(), &*failure) {
            (Some(found), _) => Ok(found),
            (None, Some(reason)) => Err(reason.clone()),
            (None, None) => match find() {
                Ok(found) => Ok(self.found.get_or_init(|| found)),
                Err(reason) => Err(failure.insert(reason).clone()),
            },
        }
    }

    pub fn forget_failure(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_that_of_all_who_ask_at_the_same_time() {
        let shared = Shared::new();
        let fails = |reason: &str| {
            shared
                .get(|| Err::<u8, _>(reason.into()))
                .map_err(|it| it.text)
        };
        assert_eq!(fails("one"), Err("one".to_owned()));
        assert_eq!(fails("two"), Err("one".to_owned()));
        shared.forget_failure();
        assert_eq!(fails("three"), Err("three".to_owned()));
        shared.forget_failure();
        assert_eq!(shared.get(|| Ok(7)).copied(), Ok(7));
        assert_eq!(fails("four"), Ok(&7));
    }
}
