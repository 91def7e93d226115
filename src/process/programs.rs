//! Programs: what a name stands for, as execvp(3) finds it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Where the C library's execvp(3) looks when PATH is not set.
const DEFAULT_PATH: &str = if cfg!(target_env = "musl") {
    "/usr/local/bin:/bin:/usr/bin"
} else if cfg!(target_vendor = "apple") {
    "/usr/bin:/bin"
} else {
    "/bin:/usr/bin"
};

/// Whether there is something that starting `program` could mean. One that may not be looked at counts: it is no
/// knowledge that the program is absent.
pub fn is_installed(program: &OsStr) -> bool {
    let absent = |error: io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    };
    candidates(program)
        .iter()
        .any(|path| !path.symlink_metadata().is_err_and(absent))
}

/// The file that starting `program` would run.
pub fn find_program(program: &OsStr) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    candidates(program).into_iter().find(executable)
}

/// The files that `program` may mean, in order: itself when it has a slash, else one in each directory of PATH.
pub fn candidates(program: &OsStr) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_files_that_may_be_run() {
        assert_eq!(find_program("/bin/sh".as_ref()), Some("/bin/sh".into()));
        assert!(find_program("sh".as_ref()).is_some_and(|path| path.ends_with("sh")));
        for none in ["/etc/passwd", "/etc", "/nowhere/program", "no-such-program"] {
            assert_eq!(find_program(none.as_ref()), None);
        }
    }
}
