//! Damage of every kind to a store of gopass and of pass: the right value, failed, or, only where the store has lost
//! the secret, missing.
//!
//! What gopass's configuration says is left as it is: one without a mount is as good as one that never had it.
//! MXM_SECRETS_TEST_DAMAGES says how many damages each program gets.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::rights::bound;
use crate::support::store::Store;
use crate::support::{program, transcript};

/// The secrets, each with the file that it has below the home.
const SECRETS: [(&str, &str); 4] = [
    ("a", "store/a.gpg"),
    ("prod/b", "store/prod/b.gpg"),
    ("prod/c", "store/prod/c.gpg"),
    ("team/d", "team/d.gpg"),
];

/// Numbers without an order, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % end
    }
}

/// A home whose stores can be made whole again.
struct Whole {
    store: Store,
    files: Vec<(PathBuf, Vec<u8>)>,
    /// How many of the secrets it has.
    secrets: usize,
}

impl Whole {
    fn new(pass: bool) -> Option<Whole> {
        let mut store = Store::new("1.16.1")?;
        if pass {
            store = store.read_by(&program("pass")?, "pass");
        } else {
            store.mount("team", "team");
        }
        let home = store.home.path().to_owned();
        let secrets = if pass { 3 } else { 4 };
        for (name, file) in &SECRETS[..secrets] {
            let path = home.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let in_root = format!("../../../../../{}", file.strip_suffix(".gpg").unwrap());
            store.encrypt(&in_root, format!("value of {name}\n").as_bytes());
        }
        fs::copy(store.root().join(".gpg-id"), home.join("store/.gpg-id")).unwrap();
        store.home.set("PASSWORD_STORE_DIR", home.join("store"));
        let mut files = Vec::new();
        let directories = if pass {
            &["store"][..]
        } else {
            &["store", "team"]
        };
        for directory in directories {
            for path in super::files(&home.join(directory))
                .into_iter()
                .filter(|path| path.is_file())
            {
                files.push((path.clone(), fs::read(path).unwrap()));
            }
        }
        Some(Whole {
            store,
            files,
            secrets,
        })
    }

    fn home(&self) -> &Path {
        self.store.home.path()
    }

    fn mend(&self) {
        for directory in ["store", "team"] {
            let path = self.home().join(directory);
            let _ = fs::remove_file(&path);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            }
        }
        for (path, content) in &self.files {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    /// Does some damage; gives what each secret then is.
    fn damage(&self, numbers: &mut Numbers) -> (String, [Option<String>; 4]) {
        let mut values = SECRETS.map(|(name, _)| Some(format!("value of {name}\n")));
        let (one, other) = (numbers.below(self.secrets), numbers.below(self.secrets));
        let files = SECRETS.map(|(_, file)| self.home().join(file));
        let path = match numbers.below(3) {
            0 => self.files[numbers.below(self.files.len())].0.clone(),
            _ => files[one].clone(),
        };
        let directory = match numbers.below(3) {
            0 => self.home().join("store"),
            _ => files[one].parent().unwrap().to_owned(),
        };
        let content = fs::read(&path).unwrap();
        let what = match numbers.below(13) {
            0 | 1 => {
                let length = numbers.below(content.len());
                fs::write(&path, &content[..length]).unwrap();
                format!("{} cut to {length}", path.display())
            }
            2..5 => {
                let (place, bit) = (numbers.below(content.len()), numbers.below(8));
                let mut content = content;
                content[place] ^= 1 << bit;
                fs::write(&path, content).unwrap();
                format!("{} flipped at {place}, {bit}", path.display())
            }
            5 => {
                fs::rename(&files[one], self.home().join("between")).unwrap();
                if one != other {
                    fs::rename(&files[other], &files[one]).unwrap();
                }
                fs::rename(self.home().join("between"), &files[other]).unwrap();
                values.swap(one, other);
                format!("{one} and {other} swapped")
            }
            6 => {
                fs::remove_file(&path).unwrap();
                symlink("/no/where", &path).unwrap();
                format!("{} is a link to nothing", path.display())
            }
            7 => {
                fs::rename(&directory, self.home().join("away")).unwrap();
                symlink(self.home().join("nowhere"), &directory).unwrap();
                fs::remove_dir_all(self.home().join("away")).unwrap();
                format!("{} is a link to nothing", directory.display())
            }
            8 => {
                let bad = if numbers.below(2) == 0 {
                    &path
                } else {
                    &directory
                };
                fs::set_permissions(bad, fs::Permissions::from_mode(0o000)).unwrap();
                format!("{} without modes", bad.display())
            }
            9 => {
                let root = self.home().join(if one == 3 { "team" } else { "store" });
                fs::remove_dir_all(&root).unwrap();
                if numbers.below(2) == 0 {
                    fs::create_dir(&root).unwrap();
                }
                format!("{} gone or hollow", root.display())
            }
            10 => {
                fs::remove_file(&files[one]).unwrap();
                values[one] = None;
                format!("{one} removed")
            }
            11 => {
                fs::remove_dir_all(&directory).unwrap();
                fs::create_dir(&directory).unwrap();
                format!("nothing is mounted at {}", directory.display())
            }
            _ => {
                let length = numbers.below(2000);
                let noise: Vec<u8> = (0..length)
                    .map(|_| numbers.below(256).to_le_bytes()[0])
                    .collect();
                fs::write(&path, noise).unwrap();
                format!("{length} bytes of noise in {}", path.display())
            }
        };
        (what, values)
    }

    /// Does some damage and asks for a secret; gives the status.
    fn check(&self, numbers: &mut Numbers) -> i32 {
        self.mend();
        let (what, values) = self.damage(numbers);
        let asked = numbers.below(self.secrets);
        let (name, value) = (SECRETS[asked].0, &values[asked]);
        let command = self
            .store
            .home
            .mxm_secrets(["get", "--backend", "gopass", name]);
        let seen = transcript(&mut bound(&command));
        for directory in ["store", "team", "store/prod"] {
            let path = self.home().join(directory);
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        }
        let right = match (seen.status, value) {
            (Some(0), Some(value)) => seen.stdout == value.as_bytes(),
            (Some(1), None) | (Some(4), _) => seen.stdout.is_empty(),
            _ => false,
        };
        assert!(
            right,
            "{name}: {what}: {:?} {:?} {}",
            seen.status, seen.stdout, seen.stderr
        );
        seen.status.unwrap()
    }
}

fn damages(pass: bool) {
    let count =
        std::env::var("MXM_SECRETS_TEST_DAMAGES").map_or(50, |count| count.parse().unwrap());
    let seen: [AtomicUsize; 5] = Default::default();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let seen = &seen;
            scope.spawn(move || {
                let Some(whole) = Whole::new(pass) else {
                    return;
                };
                let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 + thread);
                for _ in 0..count / 2 {
                    let status = whole.check(&mut numbers);
                    seen[usize::try_from(status).unwrap()].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let seen = seen.map(AtomicUsize::into_inner);
    let _ = writeln!(
        std::io::stderr(),
        "found {}, missing {}, failed {}",
        seen[0],
        seen[1],
        seen[4]
    );
    assert!(seen == [0; 5] || seen[0] > 0 && seen[4] > 0, "{seen:?}");
}

#[test]
fn a_damaged_store_of_gopass_never_looks_like_one_that_has_no_such_secret() {
    damages(false);
}

#[test]
fn a_damaged_store_of_pass_never_looks_like_one_that_has_no_such_secret() {
    damages(true);
}
