//! Who can change a file: one check, as sshd and sudo make it, for what names programs and for what holds keys.
//!
//! Nobody but root and this user may be able to write the file or any directory on the way to it, those of symbolic
//! links included, and root or this user must own each of them. Access lists count. A group counts as this user if
//! nobody else is in it. In a directory with the sticky bit, the owner of an entry decides. Who owns `/` counts as root: in
//! some user namespaces root has no number. A mount that is read-only here says nothing, since the same files may be
//! written elsewhere; but what mounts a volume of Kubernetes or a secret of a container is trusted.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt};
use std::path::{Path, PathBuf};

use crate::reason::Reason;
use crate::sys::Accounts;
use crate::text::shell;
use crate::{sys, watch};

/// Bits of a file's mode, and of the entries of access lists.
const WRITE: u32 = 0o2;
const READ: u32 = 0o4;
const STICKY: u32 = 0o1000;

/// The largest file that is read here, in bytes.
const LARGEST: u64 = 1 << 20;

/// How many symbolic links a path may lead through, as on Linux.
const LINKS: usize = 40;

/// A file that was opened to be read.
pub struct Opened {
    pub file: File,
    /// Whether no part of its path is a link, and nobody else could change one of its directories when it was opened, so
    /// that it is what its path leads to.
    direct: bool,
}

impl From<File> for Opened {
    fn from(file: File) -> Opened {
        let direct = false;
        Opened { file, direct }
    }
}

/// Checks files; what several have in common is looked at once.
pub struct Trust {
    user: u32,
    /// Who owns `/`, once somebody has asked.
    root: OnceCell<u32>,
    /// Whether a file and its directories may have any owner: the caller has named this file.
    any_owner: bool,
    seen: Vec<PathBuf>,
}

/// Whether nobody but root and this user can change the program at `path`. A program that does not exist is none of
/// this check's concern.
///
/// # Errors
/// The doubt.
pub fn program(path: &Path) -> Result<(), Reason> {
    match Trust::of_root_or_user().walk(path) {
        Err(Stop::Doubt(doubt)) => Err(doubt),
        Err(Stop::Io(error)) if !is_absent(&error) => Err(unknown(path, &error)),
        _ => Ok(()),
    }
}

/// The same for `program` as a command names it: one without a slash is looked for on PATH, which is the caller's choice.
///
/// # Errors
/// The doubt.
pub fn named_program(program: &str) -> Result<(), Reason> {
    match program.contains('/') {
        true => self::program(program.as_ref()),
        false => Ok(()),
    }
}

/// The same for a file that holds a key or a credential and was opened as `file`. What is returned is a warning: others
/// can read it.
///
/// # Errors
/// The doubt.
pub fn key_file(path: &Path, file: &File) -> Result<Option<Reason>, Reason> {
    let mut trust = Trust::of_root_or_user();
    let data = file.metadata().map_err(|error| unknown(path, &error))?;
    match trust.check(path, &data)? {
        Some(path) => Ok(doubt(trust.others(&path, &data, READ)?)),
        None => Ok(None),
    }
}

impl Trust {
    /// For files that root or this user must own.
    pub fn of_root_or_user() -> Trust {
        Trust {
            user: sys::user(),
            root: OnceCell::new(),
            any_owner: false,
            seen: Vec::new(),
        }
    }

    /// For a file that the caller has named, so that its owner is the caller's choice.
    pub fn of_any_owner() -> Trust {
        Trust {
            any_owner: true,
            ..Trust::of_root_or_user()
        }
    }

    /// Looks at `directory` and all above it before files in it are opened, each of which needs one look less then. What
    /// is wrong there is said of the files.
    pub fn enter(&mut self, directory: &Path) {
        if self.walk(directory).is_err() {
            self.seen.clear();
        }
    }

    /// Opens a file to read from without waiting for anyone.
    ///
    /// # Errors
    /// What `open` says.
    pub fn open(&self, path: &Path) -> io::Result<Opened> {
        if path.parent().is_some_and(|parent| self.has_seen(parent))
            && let Ok(file) = sys::open_no_link(path)
        {
            return Ok(Opened { file, direct: true });
        }
        sys::open_to_read(path).map(Opened::from)
    }

    /// Whether nobody but root and this user can change what was opened and has this `data`. Gives what the path leads to;
    /// `None`: the file has no path, such as a pipe.
    ///
    /// # Errors
    /// The doubt.
    fn check(&mut self, path: &Path, data: &Metadata) -> Result<Option<PathBuf>, Reason> {
        // What has no path, such as a pipe or a file in memory, cannot be changed through one.
        let is_named_pipe = data.file_type().is_fifo() && !is_descriptor(path);
        if !data.is_file() && !is_named_pipe || data.nlink() == 0 {
            return match doubt(self.owner(path, data).into_iter().collect()) {
                Some(doubt) => Err(doubt),
                None => Ok(None),
            };
        }
        match self.walk(path) {
            Ok((path, end)) if (end.dev(), end.ino()) == (data.dev(), data.ino()) => Ok(Some(path)),
            Ok(_) => {
                let error = io::Error::other("it was replaced while it was being read");
                Err(unknown(path, &error))
            }
            Err(Stop::Doubt(doubt)) => Err(doubt),
            Err(Stop::Io(error)) => Err(unknown(path, &error)),
        }
    }

    /// The whole of a regular file that was opened as `file`, if nobody but root and this user can change it; `why` says
    /// why that matters.
    ///
    /// # Errors
    /// What is wrong with it, to be said after its path.
    pub fn read(&mut self, path: &Path, opened: Opened, why: &str) -> Result<Vec<u8>, String> {
        let Opened { mut file, direct } = opened;
        let unreadable = |error: io::Error| format!("cannot be read: {error}");
        let data = file.metadata().map_err(unreadable)?;
        if !data.is_file() {
            return Err("is not a regular file".to_owned());
        }
        let trusted = match direct {
            true => self.one(path, &data),
            false => self.check(path, &data).map(|_| ()),
        };
        trusted.map_err(|doubt| {
            let fix = doubt.hint.map(|fix| format!("; fix it with: {fix}"));
            let fix = fix.unwrap_or_default();
            format!("is not read, since {why}: {}{fix}", doubt.text)
        })?;
        if data.len() > LARGEST {
            return Err("is larger than 1 MiB".to_owned());
        }
        // One byte more than there should be, so that one call reads all and says that it is all.
        let mut text = vec![0; usize::try_from(data.len()).unwrap_or(0) + 1];
        let mut filled = 0;
        while let Some(room) = text.get_mut(filled..).filter(|room| room.len() > 1) {
            match watch::uninterrupted(|| file.read(room)).map_err(unreadable)? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == text.len() {
            return Err("changed while it was being read".to_owned());
        }
        text.truncate(filled);
        Ok(text)
    }

    /// Whether nobody but root and this user can change what was opened and has this `data`, all above it being good.
    fn one(&self, path: &Path, data: &Metadata) -> Result<(), Reason> {
        let mut faults = Vec::from_iter(self.owner(path, data));
        faults.extend(self.others(path, data, WRITE)?);
        doubt(faults).map_or(Ok(()), Err)
    }

    /// Goes from `/` to what `path` leads to, and checks everything on the way.
    fn walk(&mut self, path: &Path) -> Result<(PathBuf, Metadata), Stop> {
        let path = std::path::absolute(path)?;
        let parts = |path: &Path| -> Vec<OsString> {
            let parts = path.iter().rev().filter(|part| *part != ".");
            parts.map(OsString::from).collect()
        };
        // The files of a directory have everything above them in common.
        let known = path.parent().filter(|parent| self.has_seen(parent));
        let (mut here, mut rest) = match known.zip(path.file_name()) {
            Some((known, name)) => (known.to_owned(), vec![name.to_owned()]),
            None => (PathBuf::new(), parts(&path)),
        };
        let mut links = 0;
        let mut faults = Vec::new();
        let end = loop {
            let Some(part) = rest.pop() else {
                break fs::metadata(&here)?;
            };
            if part == ".." {
                here.pop();
                continue;
            }
            here.push(part);
            if !rest.is_empty() && self.has_seen(&here) {
                continue;
            }
            let data = fs::symlink_metadata(&here)?;
            let before = faults.len();
            faults.extend(self.owner(&here, &data));
            if data.is_symlink() {
                links += 1;
                if links > LINKS {
                    return Err(io::Error::other("too many symbolic links").into());
                }
                let target = fs::read_link(&here)?;
                here.pop();
                rest.extend(parts(&target));
                continue;
            }
            if !(data.is_dir() && data.mode() & STICKY != 0) {
                faults.extend(self.others(&here, &data, WRITE)?);
            }
            if data.is_dir() && faults.len() == before {
                self.seen.push(here.clone());
            }
            if rest.is_empty() {
                break data;
            }
        };
        match doubt(faults) {
            Some(doubt) => Err(doubt.into()),
            None => Ok((here, end)),
        }
    }

    /// Whether `directory`, no part of which is a link, was found good.
    fn has_seen(&self, directory: &Path) -> bool {
        let mut seen = self.seen.iter();
        // Their bytes, since comparing paths part by part costs ten times as much.
        seen.any(|seen| seen.as_os_str() == directory.as_os_str())
    }

    /// Whether `user` may do everything to our files anyway.
    fn trusts(&self, user: u32) -> bool {
        let root = || fs::metadata("/").map_or(0, |data| data.uid());
        user == 0 || user == self.user || user == *self.root.get_or_init(root)
    }

    /// Whether nobody else is in `group`, which may write to a file with that `data`.
    fn is_own(&self, group: u32, data: &Metadata, accounts: &Accounts) -> bool {
        let ours = |user: &u32| self.trusts(*user) || self.any_owner && *user == data.uid();
        let members = accounts.members(group);
        match members.is_empty() {
            // In a container, a user that was made up has a group of the same number, and so has the owner of what is
            // mounted there.
            true => {
                group == 0
                    || group == self.user && group == sys::group()
                    || self.any_owner && group == data.uid()
            }
            false => group == 0 || members.iter().all(ours),
        }
    }

    fn owner(&self, path: &Path, data: &Metadata) -> Option<Fault> {
        if self.any_owner || self.trusts(data.uid()) || is_secret_of_container(path) {
            return None;
        }
        let text = format!(
            "{} belongs to {}, who is neither root nor you",
            path.display(),
            Accounts::read().user(data.uid()),
        );
        let change = match data.is_symlink() {
            true => "chown -h",
            false => "chown",
        };
        Some(self.fault(text, &format!("{change} {}", self.user), path, data))
    }

    /// Who else has one of the `rights` to a file, once for each command that is needed to change it.
    fn others(&self, path: &Path, data: &Metadata, rights: u32) -> Result<Vec<Fault>, Reason> {
        let mode = data.mode();
        // With an access list, the group's bits are the most that anyone named in it may do.
        if mode & (rights | rights << 3) == 0 || rights == WRITE && is_volume(path, data) {
            return Ok(Vec::new());
        }
        let mut entries = match sys::access_list(path) {
            Ok(None) => vec![(Who::Group(data.gid()), mode >> 3)],
            Ok(Some(list)) => entries(&list, data.gid()),
            Err(error) => return Err(unknown(path, &error)),
        };
        entries.retain(|(_, may)| may & rights != 0);
        let accounts = Accounts::read();
        let (mut whom, mut classes, mut listed) = (Vec::new(), String::new(), Vec::new());
        if mode & rights != 0 {
            whom.push("everyone".to_owned());
            classes.push('o');
        }
        for (who, _) in entries {
            match who {
                Who::User(user) if !self.trusts(user) => {
                    whom.push(accounts.user(user));
                    listed.push(format!("u:{user}"));
                }
                Who::Group(group) if !self.is_own(group, data, &accounts) => {
                    whom.push(format!("the group {}", accounts.group(group)));
                    match group == data.gid() {
                        true => classes.push('g'),
                        false => listed.push(format!("g:{group}")),
                    }
                }
                _ => {}
            }
        }
        let Some(first) = whom.first() else {
            return Ok(Vec::new());
        };
        let can = if rights == WRITE { "write to" } else { "read" };
        let owner = accounts.user(data.uid());
        let text = format!(
            "{first} can {can} {}, which belongs to {owner}",
            path.display()
        );
        let chmod = format!("chmod {classes}-w");
        let setfacl = format!("setfacl -x {}", listed.join(","));
        let changes = match rights {
            WRITE if listed.is_empty() => vec![chmod],
            WRITE if classes.is_empty() => vec![setfacl],
            WRITE => vec![chmod, setfacl],
            // What root alone may read then would be of no use to us.
            _ if self.user != 0 && data.uid() != self.user => {
                vec![format!("chown {}", self.user), "chmod 600".to_owned()]
            }
            _ => vec!["chmod 600".to_owned()],
        };
        let faults = changes.iter();
        Ok(faults
            .map(|change| self.fault(text.clone(), change, path, data))
            .collect())
    }

    /// What is wrong with one file, and the command that changes it, which only root and its owner can run.
    fn fault(&self, text: String, change: &str, path: &Path, data: &Metadata) -> Fault {
        let sudo = match self.user == 0 || self.user == data.uid() {
            true => "",
            false => "sudo ",
        };
        Fault {
            text,
            change: format!("{sudo}{change}"),
            path: shell(&path.to_string_lossy()),
        }
    }
}

/// What is wrong with one file.
struct Fault {
    text: String,
    /// The command that fixes it, without the path, which is for a shell.
    change: String,
    path: String,
}

/// All that is wrong on one way: which file or directory it is, whose it is, and who else can do what with it. The hint
/// is one command that fixes all of it.
fn doubt(faults: Vec<Fault>) -> Option<Reason> {
    let mut changes: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut all: Vec<&str> = Vec::new();
    for Fault { change, path, .. } in &faults {
        // Links may lead the same way twice.
        if !all.contains(&&**path) {
            all.push(path);
        }
        match changes.iter_mut().find(|(known, _)| known == change) {
            Some((_, paths)) if paths.contains(&&**path) => {}
            Some((_, paths)) => paths.push(path),
            None => changes.push((change, vec![path])),
        }
    }
    let commands = changes.iter();
    let commands: Vec<String> = commands
        .map(|(change, paths)| format!("{change} {}", paths.join(" ")))
        .collect();
    let more = match all.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" ({more} more in the same path must be changed)"),
    };
    let text = format!("{}{more}", faults.first()?.text);
    Some(Reason::from(text).hint(commands.join(" && ")))
}

/// Why a walk has ended before its end.
enum Stop {
    Doubt(Reason),
    Io(io::Error),
}

impl From<Reason> for Stop {
    fn from(doubt: Reason) -> Stop {
        Stop::Doubt(doubt)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
    }
}

/// Whether `path` is that of a descriptor, which the caller has opened: `/proc/PID/fd/N` or another name of it. What else
/// is in /proc leads everywhere.
fn is_descriptor(path: &Path) -> bool {
    let of_process = |directory: &Path| {
        let mut above = directory.ancestors().skip(2);
        directory.ends_with("fd") && above.next() == Some(Path::new("/proc"))
    };
    path == Path::new("/dev/stdin")
        || path
            .parent()
            .is_some_and(|directory| directory == Path::new("/dev/fd") || of_process(directory))
}

/// Whether it is mounted into a container, as Docker, Podman and Compose do with secrets: it has the owner that it has
/// outside. Nobody but root can put one there.
fn is_secret_of_container(path: &Path) -> bool {
    path.parent() == Some(Path::new("/run/secrets"))
}

/// Whether the directory is a volume that the kubelet has filled and mounted (its AtomicWriter, which makes it with mode
/// 777): read-only here, and elsewhere where no other user gets.
fn is_volume(path: &Path, data: &Metadata) -> bool {
    let of_root = |link: Metadata| link.is_symlink() && link.uid() == 0;
    data.is_dir()
        && data.uid() == 0
        && path.join("..data").symlink_metadata().is_ok_and(of_root)
        && sys::is_read_only(path)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The doubt about a file of which it is not known who can change it.
fn unknown(path: &Path, error: &io::Error) -> Reason {
    let path = path.display();
    Reason::of(format_args!("cannot tell who can write to {path}"), error)
}

/// Who is named by an entry of an access list.
enum Who {
    User(u32),
    Group(u32),
}

/// What an access list of a file of `group` lets whom do. Its layout is that of linux/posix_acl_xattr.h: four bytes of
/// version, then two of kind, two of rights and four of a number for each entry.
fn entries(list: &[u8], group: u32) -> Vec<(Who, u32)> {
    const USER: u16 = 0x02;
    const OUR_GROUP: u16 = 0x04;
    const GROUP: u16 = 0x08;
    const MASK: u16 = 0x10;
    let parsed = || {
        list.get(4..)
            .unwrap_or_default()
            .chunks_exact(8)
            .map(|entry| {
                let short = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
                let number = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
                (short(0), u32::from(short(2)), number)
            })
    };
    let mask = parsed()
        .find(|(kind, ..)| *kind == MASK)
        .map_or(0o7, |(_, rights, _)| rights);
    parsed()
        .filter_map(|(kind, rights, number)| match kind {
            USER => Some((Who::User(number), rights & mask)),
            OUR_GROUP => Some((Who::Group(group), rights & mask)),
            GROUP => Some((Who::Group(number), rights & mask)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_pipe_can_be_changed_through_its_name() {
        let directory = std::env::temp_dir().join(format!("mxm-trust-{}", std::process::id()));
        let pipe = directory.join("pipe");
        let shell = format!(
            "mkdir -m 700 {0} && mkfifo -m 600 {0}/pipe",
            shell(&directory.to_string_lossy())
        );
        let made = std::process::Command::new("sh")
            .args(["-c", &shell])
            .status();
        assert!(made.unwrap().success());
        // Opened for both, it waits for nobody.
        let file = File::options().read(true).write(true).open(&pipe).unwrap();
        let check = || key_file(&pipe, &file);
        let mode = |path: &Path, mode| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        assert_eq!(check(), Ok(None));
        mode(&pipe, 0o666);
        assert!(check().is_err_and(|doubt| doubt.text.contains("everyone can write to ")));
        mode(&pipe, 0o600);
        mode(&directory, 0o777);
        assert!(check().is_err_and(|doubt| doubt.text.contains("everyone can write to ")));
        fs::remove_dir_all(&directory).unwrap();
        let (unnamed, _end) = io::pipe().unwrap();
        let unnamed = File::from(std::os::fd::OwnedFd::from(unnamed));
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&unnamed));
        assert_eq!(key_file(path.as_ref(), &unnamed), Ok(None));
        // In there, everybody can make one.
        for path in [
            "/dev/shm/pipe",
            "/dev/fd/../shm/pipe",
            "/proc/self/cwd/pipe",
            "/proc/1/root/fd/pipe",
            "/proc/self/cwd/fd/pipe",
        ] {
            assert!(!is_descriptor(path.as_ref()), "{path}");
        }
        for path in ["/dev/stdin", "/dev/fd/3", "/proc/self/fd/3", "/proc/1/fd/3"] {
            assert!(is_descriptor(path.as_ref()), "{path}");
        }
    }

    #[test]
    fn an_access_list_lets_those_it_names_do_what_its_mask_lets_them() {
        let entry = |kind: u8, rights: u8, number: u8| [kind, 0, rights, 0, number, 0, 0, 0];
        let list = |mask| {
            let mut list = vec![2, 0, 0, 0];
            for entry in [
                entry(0x01, 7, 255),
                entry(0x02, 6, 9),
                entry(0x04, 4, 255),
                entry(0x08, 2, 8),
                entry(0x10, mask, 255),
                entry(0x20, 4, 255),
            ] {
                list.extend(entry);
            }
            list
        };
        let seen = |mask| -> Vec<(String, u32)> {
            let show = |(who, rights)| match who {
                Who::User(user) => (format!("u{user}"), rights),
                Who::Group(group) => (format!("g{group}"), rights),
            };
            entries(&list(mask), 5).into_iter().map(show).collect()
        };
        let expected = |rights: [u32; 3]| -> Vec<(String, u32)> {
            ["u9", "g5", "g8"]
                .map(str::to_owned)
                .into_iter()
                .zip(rights)
                .collect()
        };
        assert_eq!(seen(7), expected([6, 4, 2]));
        assert_eq!(seen(4), expected([4, 4, 0]));
        // What is cut short has fewer entries.
        assert_eq!(entries(&list(7)[..15], 5).len(), 0);
        assert_eq!(entries(&[], 5).len(), 0);
    }
}
