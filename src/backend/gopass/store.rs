//! Where the password stores are: only to tell a secret that is not there from one that may not be read, which the
//! programs report alike.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::sys;

/// The root of the store that exists, for gopass or for the others.
pub fn root(gopass: bool) -> Option<PathBuf> {
    let roots = if gopass {
        gopass_roots("")
    } else {
        pass_root().into_iter().collect()
    };
    roots
        .into_iter()
        .map(|(_, root)| root)
        .find(|root| initialized(root))
}

/// Whether the store of pass and of the other gopass is there.
pub fn pass_root_is_there() -> bool {
    // One that may not be looked into is there: only "not found" is knowledge.
    pass_root().is_some_and(
        |(_, root)| !matches!(root.metadata(), Err(error) if error.kind() == ErrorKind::NotFound),
    )
}

/// The file in which pass has the secret.
pub fn pass_file(path: &str) -> Option<PathBuf> {
    pass_root().map(|(_, root)| root.join(format!("{path}.gpg")))
}

/// The file of the secret, if it may not be read.
pub fn unreadable(gopass: bool, path: &str) -> Option<PathBuf> {
    let roots = if gopass {
        gopass_roots(path)
    } else {
        pass_root().into_iter().collect()
    };
    let files = roots.iter().flat_map(|(alias, root)| {
        let below = path
            .strip_prefix(alias.as_str())
            .unwrap_or(path)
            .trim_start_matches('/');
        ["gpg", "age"].map(|extension| root.join(format!("{below}.{extension}")))
    });
    files.into_iter().find(|file| {
        sys::open_to_read(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    })
}

/// Where the store of gopass that is mounted for `path` should be, and is not.
pub fn absent_mount(path: &str) -> Option<(String, PathBuf)> {
    gopass_roots(path)
        .into_iter()
        .find(|(alias, root)| !alias.is_empty() && !initialized(root))
}

fn initialized(root: &Path) -> bool {
    [".gpg-id", ".age-recipients", ".plain-id"]
        .iter()
        .any(|file| root.join(file).exists())
}

fn home() -> Option<PathBuf> {
    variable("HOME")
}

fn variable(name: &str) -> Option<PathBuf> {
    sys::variable(name).map(PathBuf::from)
}

fn pass_root() -> Option<(String, PathBuf)> {
    let root = variable("PASSWORD_STORE_DIR").or_else(|| Some(home()?.join(".password-store")))?;
    Some((String::new(), root))
}

/// The roots that gopass may take for `path`, each with the alias under which it is mounted: the longest alias that
/// fits, or else the root store.
fn gopass_roots(path: &str) -> Vec<(String, PathBuf)> {
    let configuration = variable("GOPASS_HOMEDIR")
        .map(|home| home.join(".config"))
        .or_else(|| variable("XDG_CONFIG_HOME"))
        .or_else(|| Some(home()?.join(".config")))
        .and_then(|directory| sys::open_to_read(&directory.join("gopass/config")).ok())
        .and_then(|file| io::read_to_string(file).ok())
        .unwrap_or_default();
    let mounts = mounts(&configuration);
    let below = |alias: &str| {
        path.strip_prefix(alias)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mount = mounts
        .iter()
        .filter(|(alias, _)| !alias.is_empty() && below(alias))
        .max_by_key(|(alias, _)| alias.len());
    if let Some(mount) = mount {
        return vec![mount.clone()];
    }
    let root = |path| (String::new(), path);
    if let Some(given) = variable("PASSWORD_STORE_DIR") {
        return vec![root(given)];
    }
    if let Some(configured) = mounts.into_iter().find(|(alias, _)| alias.is_empty()) {
        return vec![configured];
    }
    let data = variable("XDG_DATA_HOME").or_else(|| Some(home()?.join(".local/share")));
    let data = data.map(|data| data.join("gopass/stores/root"));
    home()
        .map(|home| home.join(".password-store"))
        .into_iter()
        .chain(data)
        .map(root)
        .collect()
}

/// The stores of a gopass configuration, each with its alias (the root store's is empty).
fn mounts(configuration: &str) -> Vec<(String, PathBuf)> {
    let mut alias: Option<String> = None;
    let mut mounts = Vec::new();
    for line in configuration.lines().map(str::trim) {
        if let Some(header) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            alias = match header.strip_prefix("mounts").map(str::trim) {
                Some("") => Some(String::new()),
                Some(quoted) => quoted
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'))
                    .map(str::to_owned),
                None => None,
            };
        } else if let (Some(alias), Some((key, value))) = (&alias, line.split_once('='))
            && key.trim().eq_ignore_ascii_case("path")
        {
            let value = value.trim();
            let path = match (value.strip_prefix("~/"), home()) {
                (Some(below), Some(home)) => home.join(below),
                _ => PathBuf::from(
                    value
                        .strip_prefix('"')
                        .and_then(|rest| rest.strip_suffix('"'))
                        .unwrap_or(value),
                ),
            };
            mounts.push((alias.clone(), path));
        }
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_its_stores() {
        let text = "[core]\n\tpath = /no\n[mounts]\n\tpath = /root store\n[recipients \"x\"]\n\tpath=/no\n\
            [mounts \"team/x\"]\n\tPath = \"/team\"\n[mounts \"bad]\n";
        let expected = [("", "/root store"), ("team/x", "/team")];
        assert_eq!(
            mounts(text),
            expected.map(|(alias, path)| (alias.to_owned(), PathBuf::from(path)))
        );
    }
}
