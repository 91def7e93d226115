//! Generated damage of stores that are files: the answer is the value that is there, failed, or, only where the store
//! truly lacks it, missing. MXM_SECRETS_DAMAGES says how many are tried of each store.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::rights::bound;
use crate::support::{Home, program, transcript};

/// Numbers that look like chance and are the same every time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        for shift in [13, -7, 17_i32] {
            self.0 ^= match shift {
                right @ ..0 => self.0 >> -right,
                left => self.0 << left,
            };
        }
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}

/// The names of the secrets, and their values.
const SECRETS: [(&str, &str); 3] = [
    ("a", "value of a\n"),
    ("team/b", "value of b\n"),
    ("c", "value of c\n"),
];

/// A store whose files were made once.
struct Kind {
    backend: &'static str,
    /// The end of its files' names.
    end: &'static str,
    /// What is in the file of each secret.
    files: [Vec<u8>; 3],
    identities: Vec<u8>,
}

/// Whether the store is there and truly has no file at `entry`, as root sees it, whom no mode keeps out. An empty
/// directory may be where a volume is to be mounted.
fn lacks(store: &Path, entry: &Path) -> bool {
    let mut here = store.to_owned();
    for part in entry.strip_prefix(store).unwrap() {
        let entries = fs::read_dir(&here).map(Iterator::count);
        if entries.is_ok_and(|count| count == 0) || !here.is_dir() {
            return false;
        }
        here.push(part);
        if here.symlink_metadata().is_err() {
            return true;
        }
    }
    here.is_dir()
}

/// A damaged store, and what may be said of it.
struct Damaged {
    home: Home,
    store: PathBuf,
    /// Where the files really are.
    real: PathBuf,
    asked: usize,
    /// Whose content is in the file of the one that is asked for.
    content: usize,
    did: Vec<String>,
}

impl Kind {
    fn credentials() -> Kind {
        Kind {
            backend: "credentials",
            end: "",
            files: SECRETS.map(|(_, value)| value.into()),
            identities: Vec::new(),
        }
    }

    fn age() -> Option<Kind> {
        let (age, keygen) = (program("age")?, program("age-keygen")?);
        let home = Home::new();
        let identities = transcript(&mut home.command(keygen)).stdout;
        home.write("identities", &identities);
        let encrypt = |(name, value): (&str, &str)| {
            let mut command = home.command(&age);
            command.args(["-e", "-i", "identities"]);
            command
                .args((name == "c").then_some("-a"))
                .arg(home.write("plain", value));
            transcript(&mut command).stdout
        };
        Some(Kind {
            backend: "age",
            end: ".age",
            files: SECRETS.map(encrypt),
            identities,
        })
    }

    fn file(&self, directory: &Path, secret: usize) -> PathBuf {
        directory.join(format!("{}{}", SECRETS[secret].0, self.end))
    }

    /// The store, whole: its files in their places, behind links of all kinds, or in a volume of Kubernetes.
    fn store(&self, numbers: &mut Numbers) -> Damaged {
        let mut home = Home::new();
        let root = home.path().to_owned();
        let layout = numbers.below(5);
        let store = root.join("store");
        let real = match layout {
            0 => store.clone(),
            4 => store.join("..1"),
            _ => root.join("real"),
        };
        for (secret, content) in self.files.iter().enumerate() {
            let path = self.file(&real, secret);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        match layout {
            1 => {
                fs::create_dir_all(store.join("team")).unwrap();
                for secret in 0..3 {
                    symlink(self.file(&real, secret), self.file(&store, secret)).unwrap();
                }
            }
            2 | 4 => {
                fs::create_dir_all(&store).unwrap();
                let (to, data) = match layout {
                    4 => (PathBuf::from("..data"), true),
                    _ => (real.clone(), false),
                };
                if data {
                    symlink("..1", store.join("..data")).unwrap();
                }
                for name in ["a", "c"] {
                    let name = format!("{name}{}", self.end);
                    symlink(to.join(&name), store.join(&name)).unwrap();
                }
                symlink(to.join("team"), store.join("team")).unwrap();
            }
            3 => symlink(&real, &store).unwrap(),
            _ => {}
        }
        let identities = home.write("identities", &self.identities);
        fs::set_permissions(identities, fs::Permissions::from_mode(0o600)).unwrap();
        home.set("CREDENTIALS_DIRECTORY", &store)
            .set("PASSAGE_DIR", &store)
            .set("PASSAGE_IDENTITIES_FILE", root.join("identities"))
            .set("A", "of env")
            .set("TEAM_B", "of env");
        let asked = numbers.below(2);
        Damaged {
            home,
            store,
            real,
            asked,
            content: asked,
            did: vec![format!("layout {layout}, asked for {}", SECRETS[asked].0)],
        }
    }

    fn damage(&self, damaged: &mut Damaged, numbers: &mut Numbers) {
        let entry = self.file(&damaged.store, damaged.asked);
        let real = self.file(&damaged.real, damaged.asked);
        let did = match numbers.below(15) {
            0 => {
                let Ok(content) = fs::read(&real) else { return };
                let length = numbers.below(content.len());
                let _ = fs::write(&real, &content[..length]);
                format!("cut to {length}")
            }
            1 => {
                let Ok(mut content) = fs::read(&real) else {
                    return;
                };
                let (place, bit) = (numbers.below(content.len()), numbers.below(8));
                if let Some(byte) = content.get_mut(place) {
                    *byte ^= 1 << bit;
                }
                let _ = fs::write(&real, content);
                format!("bent bit {bit} of byte {place}")
            }
            2 => {
                let other = self.file(&damaged.real, 2);
                if damaged.content == 2 || !other.is_file() || !real.is_file() {
                    return;
                }
                let between = damaged.real.join("between");
                fs::rename(&real, &between).unwrap();
                fs::rename(&other, &real).unwrap();
                fs::rename(&between, &other).unwrap();
                damaged.content = 2;
                "swapped".to_owned()
            }
            3 | 4 => {
                if fs::remove_file(&entry).is_err() {
                    return;
                }
                match numbers.below(2) {
                    0 => "removed".to_owned(),
                    _ => {
                        fs::create_dir(&entry).unwrap();
                        "replaced by a directory".to_owned()
                    }
                }
            }
            5 | 6 => {
                let parts = [
                    &real,
                    &damaged.real,
                    &damaged.real.join("team"),
                    &damaged.store.join("..data"),
                ];
                let part = parts[numbers.below(4)];
                let gone = damaged
                    .home
                    .path()
                    .join(format!("gone{}", damaged.did.len()));
                // What is not behind a link would truly be missing then.
                let behind = damaged.real != damaged.store;
                if !behind || fs::rename(part, gone).is_err() {
                    return;
                }
                format!("took away {}", part.display())
            }
            7 => {
                let parts = [&entry, &damaged.store, &real];
                let part = parts[numbers.below(3)].clone();
                let gone = damaged
                    .home
                    .path()
                    .join(format!("gone{}", damaged.did.len()));
                if fs::rename(&part, gone).is_err() {
                    return;
                }
                let to = ["nowhere", "/mnt/none/x"][numbers.below(2)];
                symlink(to, &part).unwrap();
                format!("{} is a link to nothing", part.display())
            }
            8 => {
                let parts = [&entry, &damaged.store];
                let part = parts[numbers.below(2)].clone();
                let gone = damaged
                    .home
                    .path()
                    .join(format!("gone{}", damaged.did.len()));
                if fs::rename(&part, gone).is_err() {
                    return;
                }
                symlink(part.file_name().unwrap(), &part).unwrap();
                format!("{} is a link to itself", part.display())
            }
            9 | 10 => {
                let team = damaged.real.join("team");
                let parts = [&real, &damaged.real, &damaged.store, &team];
                let part = parts[numbers.below(4)];
                let mode = [0o000, 0o200, 0o444][numbers.below(3)];
                if fs::set_permissions(part, fs::Permissions::from_mode(mode)).is_err() {
                    return;
                }
                format!("mode {mode:o} of {}", part.display())
            }
            11 => {
                let gone = damaged
                    .home
                    .path()
                    .join(format!("gone{}", damaged.did.len()));
                if fs::rename(&damaged.store, gone).is_err() {
                    return;
                }
                "took the store away".to_owned()
            }
            12 | 13 => {
                let parts = [&damaged.store, &damaged.real, &damaged.real.join("team")];
                let part = parts[numbers.below(3)];
                let gone = damaged
                    .home
                    .path()
                    .join(format!("gone{}", damaged.did.len()));
                if !part.is_dir() || part.is_symlink() || fs::rename(part, gone).is_err() {
                    return;
                }
                fs::create_dir(part).unwrap();
                format!("nothing is mounted at {}", part.display())
            }
            _ => {
                let path = damaged.home.path().join("identities");
                let content = &self.identities;
                let end = numbers.below(content.len());
                let _ = match numbers.below(3) {
                    0 => fs::write(path, &content[..end]),
                    1 => fs::remove_file(path),
                    _ => {
                        let mut bent = content.clone();
                        if let Some(byte) = bent.get_mut(end) {
                            *byte ^= 1 << numbers.below(8);
                        }
                        fs::write(path, bent)
                    }
                };
                "damaged the identities".to_owned()
            }
        };
        damaged.did.push(did);
    }

    /// Damages as many stores as are asked for, and says how often each status was seen.
    fn check(&self) {
        let count = std::env::var("MXM_SECRETS_DAMAGES")
            .ok()
            .and_then(|count| count.parse().ok());
        let count: u64 = count.unwrap_or(50);
        let mut seen = [0_usize; 5];
        for seed in 1..=count {
            let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut damaged = self.store(&mut numbers);
            for _ in 0..=numbers.below(2) {
                self.damage(&mut damaged, &mut numbers);
            }
            let name = SECRETS[damaged.asked].0;
            let chain = format!("{},env", self.backend);
            let arguments = ["get", "--raw", "--default", "D", "--backend", &chain, name];
            let answer = transcript(&mut bound(&damaged.home.mxm_secrets(arguments)));
            let entry = self.file(&damaged.store, damaged.asked);
            // What is not authenticated is what it is by now.
            let there = fs::read(&entry).unwrap_or_default();
            let value = match self.backend {
                "age" => SECRETS[damaged.content].1.as_bytes(),
                _ => &there,
            };
            let empty = self.backend != "age" && entry.is_file() && there.is_empty();
            let lacks = empty || lacks(&damaged.store, &entry);
            let fine = match (answer.status, answer.stdout.as_slice()) {
                (Some(0), b"of env") => lacks,
                (Some(0), printed) => printed == value && !printed.is_empty(),
                (Some(4), b"") => !answer.stderr.contains("panicked"),
                _ => false,
            };
            assert!(fine, "seed {seed}: {:?}: {answer:?}", damaged.did);
            let status = if answer.stdout == b"of env" {
                1
            } else {
                answer.status.unwrap()
            };
            seen[usize::try_from(status).unwrap()] += 1;
            // So that it can be removed.
            let _ = bound(
                std::process::Command::new("chmod")
                    .args(["-R", "u+rwx"])
                    .arg(damaged.home.path()),
            )
            .status();
        }
        let _ = writeln!(
            std::io::stderr(),
            "{}: {count} stores: {} values, {} missing, {} failed",
            self.backend,
            seen[0],
            seen[1],
            seen[4]
        );
        assert!(seen[0] > 0 && seen[1] > 0 && seen[4] > 0, "{seen:?}");
    }
}

#[test]
fn a_damaged_store_of_age_is_never_taken_for_one_without_the_secret() {
    if let Some(kind) = Kind::age() {
        kind.check();
    }
}

#[test]
fn damaged_credentials_are_never_taken_for_none() {
    Kind::credentials().check();
}
