//! The configuration of gopass, read where gopass reads it and by its rules: its environment, the root store, the
//! user's file, the system's. The first that has a key decides.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::backend::Reason;
use crate::deadline::{Deadline, Ended};
use crate::{file, sys};

/// More than any person writes, with all that is included, in bytes.
const LIMIT: usize = 1 << 20;
/// How many files may include each other.
const FILES: usize = 32;

/// A key as gopass spells it (`mounts.team.path`), and its value.
type Setting = (String, String);

/// What counts here of the configuration of gopass.
#[derive(Debug, Default)]
pub struct Settings {
    all: Vec<Setting>,
    /// A file that may say more, and is not read here.
    pub unread: Option<PathBuf>,
}

impl Settings {
    /// Reads all of it.
    ///
    /// # Errors
    /// A file is there and cannot be read. gopass goes on without it.
    pub fn read(deadline: Deadline) -> Result<Settings, Reason> {
        let mut outer = read_file(&user_directory().join("config"), deadline)?;
        if outer.is_none()
            && let Some(other) = variable("GOPASS_CONFIG")
        {
            // Joined, even where it is absolute.
            let below = other.strip_prefix("/").unwrap_or(&other);
            outer = read_file(&home().join(below), deadline)?;
        }
        let unread = if outer.is_none() { old_file() } else { None };
        let mut outer = outer.unwrap_or_default();
        if variable("GOPASS_CONFIG_NOSYSTEM").is_none() {
            outer.extend(read_file(Path::new("/etc/gopass/config"), deadline)?.unwrap_or_default());
        }
        let mut all = given();
        let root = all
            .iter()
            .chain(&outer)
            .find(|(key, _)| key == "mounts.path");
        if let Some(root) = root
            .map(|(_, root)| PathBuf::from(root))
            .filter(|root| root.is_absolute())
        {
            for name in ["config.worktree", "config"] {
                all.extend(read_file(&root.join(name), deadline)?.unwrap_or_default());
            }
        }
        all.append(&mut outer);
        Ok(Settings { all, unread })
    }

    /// The value of `key`; an empty one counts as not given.
    pub fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.all.iter().find(|(given, _)| given == key)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// Where a store is mounted that has `path`: the longest alias, and the directory.
    pub fn mount_of(&self, path: &str) -> Option<(&str, &str)> {
        let below = |alias: &str| {
            let rest = path.strip_prefix(alias);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.all
            .iter()
            .filter_map(|(key, _)| {
                let raw = key.strip_prefix("mounts.")?.strip_suffix(".path")?;
                let alias = raw.trim_matches(['/', '\\']);
                (!alias.is_empty() && below(alias))
                    .then(|| (alias, self.get(key).unwrap_or_default()))
            })
            .max_by_key(|(alias, _)| alias.len())
    }
}

/// A configuration in the form that gopass had before 1.15, which names stores. When gopass starts and finds none of
/// the new form, it reads this one, and writes the new one.
fn old_file() -> Option<PathBuf> {
    let mut places = vec![
        variable("GOPASS_CONFIG").unwrap_or_default(),
        user_directory().join("config.yml"),
        home().join(".config/gopass/config.yml"),
        home().join(".gopass.yml"),
    ];
    // Two are the same without XDG_CONFIG_HOME.
    places.dedup();
    places.retain(|place| place != Path::new(""));
    let is_there = |place: &PathBuf| !matches!(file::is_absent(place), Ok(true));
    match variable("GOPASS_CONFIG_NO_MIGRATE") {
        Some(_) => None,
        None => places.into_iter().find(is_there),
    }
}

/// The settings in the environment. One that is missing makes all of them void.
pub fn given() -> Vec<Setting> {
    let text =
        |name: String| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let count = text("GOPASS_CONFIG_COUNT".to_owned()).and_then(|count| count.parse::<i64>().ok());
    let setting = |n| {
        let key = text(format!("GOPASS_CONFIG_KEY_{n}")).filter(|key| !key.is_empty())?;
        Some((key, text(format!("GOPASS_CONFIG_VALUE_{n}"))?))
    };
    (0..count.unwrap_or(0))
        .map(setting)
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// The home directory, for gopass.
pub fn home() -> PathBuf {
    variable("GOPASS_HOMEDIR").unwrap_or_else(sys::home_or_root)
}

/// The directory below which gopass makes stores.
pub fn data_directory() -> PathBuf {
    directory("XDG_DATA_HOME", ".local/share")
}

fn user_directory() -> PathBuf {
    directory("XDG_CONFIG_HOME", ".config")
}

fn directory(given: &str, below: &str) -> PathBuf {
    let given = variable(given).filter(|_| variable("GOPASS_HOMEDIR").is_none());
    given.unwrap_or_else(|| home().join(below)).join("gopass")
}

pub fn variable(name: &str) -> Option<PathBuf> {
    sys::variable(name).map(PathBuf::from)
}

/// The settings in the file at `path` and in those that it includes; `None`: there is no such file.
fn read_file(path: &Path, deadline: Deadline) -> Result<Option<Vec<Setting>>, Reason> {
    if file::look(path)?.is_none() {
        return Ok(None);
    }
    let mut all = Vec::new();
    let mut files = VecDeque::from([path.to_owned()]);
    let mut read: Vec<PathBuf> = Vec::new();
    let mut size = 0;
    while let Some(path) = files.pop_front() {
        let start = format!("the configuration of gopass, {},", path.display());
        let wrong = |what: Reason| what.after(&start);
        if read.len() == FILES {
            let what = format!("is the end of a chain of more than {FILES} files");
            return Err(wrong(what.into()));
        }
        let file = sys::open_to_read(&path)
            .map_err(|error| wrong(Reason::of("cannot be read", &error)))?;
        let text = file::read_all(&file, LIMIT, deadline).map_err(wrong)?;
        size += text.len();
        if size > LIMIT {
            return Err(wrong(
                "is, with those that include it, larger than 1 MiB".into(),
            ));
        }
        let settings = parse(&String::from_utf8_lossy(text.expose()), deadline)
            .map_err(|ended| wrong(ended.before_it_was("read")))?;
        read.push(path.clone());
        for (_, other) in settings.iter().filter(|(key, _)| key == "include.path") {
            let other = match other.strip_prefix("~/") {
                Some(below) => sys::home_or_root().join(below),
                None => path.parent().unwrap_or(Path::new("")).join(other),
            };
            // One file too many is enough to say so.
            if files.len() <= FILES && !files.contains(&other) && !read.contains(&other) {
                files.push_back(other);
            }
        }
        all.extend(settings);
    }
    Ok(Some(all))
}

/// The settings of a file of gopass that count here.
///
/// # Errors
/// The deadline has passed, or a signal has come.
fn parse(text: &str, deadline: Deadline) -> Result<Vec<Setting>, Ended> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if number.is_multiple_of(1024) {
            deadline.go_on()?;
        }
        if line.starts_with('[') {
            let header = line.trim_matches(['[', ']']);
            let (name, below) = header.split_once(' ').unwrap_or((header, ""));
            let below = below.replace('\\', "");
            let below = below.strip_prefix('"').unwrap_or(&below);
            let below = below.strip_suffix('"').unwrap_or(below);
            section = name.to_lowercase();
            if !below.is_empty() {
                section = format!("{section}.{below}");
            }
        } else if !line.starts_with(['#', ';']) && !line.is_empty() {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let key = format!("{section}.{}", key.trim().to_lowercase());
            if ["mounts.", "include.", "recipients."]
                .iter()
                .any(|counts| key.starts_with(counts))
            {
                settings.push((key, unquoted(value.trim())));
            }
        }
    }
    Ok(settings)
}

/// A value without its quotes and the comment behind it.
fn unquoted(value: &str) -> String {
    let mut inside = false;
    let end = value.find(|c| {
        inside ^= c == '"' && value.starts_with('"');
        matches!(c, '#' | ';') && !inside
    });
    let value = value[..end.unwrap_or(value.len())].trim().trim_matches('"');
    let pairs = [
        (r"\\", r"\"),
        ("\\\"", "\""),
        (r"\n", "\n"),
        (r"\t", "\t"),
        (r"\b", "\u{8}"),
    ];
    pairs.iter().fold(value.to_owned(), |value, (from, to)| {
        value.replace(from, to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_its_stores() {
        let text = "[core]\n\tpath = /no\n[Mounts]\n\tpath = /root store\n[recipients \"x\"]\n\tpath=/no\n\
            [mounts \"team/x\"]\n\tPath = \"/te#am\" ; the team's\n[mounts bare]\n # path = /no\npath=~/b # c\n\
            [mounts \"q\\\"]\npath = /q\n";
        let settings = Settings {
            all: parse(text, Deadline::never()).unwrap(),
            unread: None,
        };
        assert_eq!(settings.get("mounts.path"), Some("/root store"));
        for (path, mount) in [
            ("team/x", Some(("team/x", "/te#am"))),
            ("team/x/y", Some(("team/x", "/te#am"))),
            ("team/xy", None),
            ("bare/a", Some(("bare", "~/b"))),
            ("q/a", Some(("q", "/q"))),
            ("core", None),
        ] {
            assert_eq!(settings.mount_of(path), mount, "{path}");
        }
    }

    #[test]
    fn the_first_value_counts_and_the_longest_alias() {
        let text = "[mounts \"a\"]\npath = /1\npath = /2\n[mounts \"a/b\"]\npath = /3\n";
        let settings = Settings {
            all: parse(text, Deadline::never()).unwrap(),
            unread: None,
        };
        assert_eq!(settings.mount_of("a/c"), Some(("a", "/1")));
        assert_eq!(settings.mount_of("a/b/c"), Some(("a/b", "/3")));
    }
}
