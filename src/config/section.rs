//! What is configured for one backend.

use std::path::{Path, PathBuf};

use super::{Source, Value};

/// What is configured for one backend. Every value has the type of its key, so that the accessors cannot fail; they
/// give `None` for a key that is not given.
#[derive(Debug, Default)]
pub struct Section {
    /// The backend's name.
    pub name: String,
    pub(super) values: Vec<Given>,
}

/// One key that is given.
#[derive(Clone, Debug)]
pub struct Given {
    pub key: &'static str,
    pub value: Value,
    pub source: Source,
}

macro_rules! accessor {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty, $via:expr) => {
        $(#[$doc])*
        pub fn $name(&self, key: &str) -> Option<$type> {
            match self.value(key)? {
                Value::$variant(value) => Some($via(value)),
                _ => None,
            }
        }
    };
}

impl Section {
    accessor!(/// A text.
        text, Text, &str, String::as_str);
    accessor!(/// A list of texts.
        texts, Texts, &[String], Vec::as_slice);
    accessor!(/// A path, absolute.
        path, Path, &Path, PathBuf::as_path);
    accessor!(/// A list of paths, absolute.
        paths, Paths, &[PathBuf], Vec::as_slice);
    accessor!(/// Yes or no.
        flag, Bool, bool, |value: &bool| *value);
    accessor!(/// A list of exit statuses.
        statuses, Statuses, &[u8], Vec::as_slice);

    fn value(&self, key: &str) -> Option<&Value> {
        self.given(key).map(|given| &given.value)
    }

    pub(super) fn given(&self, key: &str) -> Option<&Given> {
        self.values.iter().find(|given| given.key == key)
    }
}
