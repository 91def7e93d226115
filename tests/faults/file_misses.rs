//! The column "looks like a miss" for what is built in and keeps secrets: every way by which a store is known to be
//! damaged, half there or misread such that there seems to be no such secret. Each is failed, whatever stands beside it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::place::{NAME, Place};
use crate::support::rights::bound;
use crate::support::{find, program, program_under_test, transcript};

/// How it comes about.
enum Damage {
    /// In the home directory.
    Of(fn(&Path)),
    /// In the session of the program, before it.
    In(&'static str),
}

use Damage::{In, Of};

/// What is done to a store, and words of the message.
type Row = (&'static str, Damage, &'static str);

const AGE_FILE: &str = ".passage/store/leaks/canary.age";
const IDENTITIES: &str = ".passage/identities";

fn no_modes(path: impl AsRef<Path>) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

/// Puts a link in the place of what is there.
fn link(path: impl AsRef<Path>, target: &str) {
    let path = path.as_ref();
    fs::rename(path, path.with_extension("was")).unwrap();
    symlink(target, path).unwrap();
}

/// Leaves an empty directory, as where a volume is not mounted.
fn unmount(path: impl AsRef<Path>) {
    fs::rename(&path, path.as_ref().with_extension("was")).unwrap();
    fs::create_dir(path).unwrap();
}

/// Writes what `change` makes of a file.
fn change(path: impl AsRef<Path>, change: fn(&[u8]) -> Vec<u8>) {
    let path = path.as_ref();
    let whole = fs::read(path).unwrap();
    fs::write(path, change(&whole)).unwrap();
}

const AGE: &[Row] = &[
    (
        "an empty file",
        Of(|home| change(home.join(AGE_FILE), |_| Vec::new())),
        "is empty",
    ),
    (
        "a file cut short",
        Of(|home| change(home.join(AGE_FILE), |all| all[..60].into())),
        "is cut short",
    ),
    (
        "a file of NUL",
        Of(|home| change(home.join(AGE_FILE), |all| vec![0; all.len()])),
        "is not an age file",
    ),
    (
        "a link to nothing",
        Of(|home| link(home.join(AGE_FILE), "/no/where")),
        "is a link to nothing",
    ),
    (
        "a link to itself",
        Of(|home| link(home.join(AGE_FILE), "canary.age")),
        "canary.age",
    ),
    (
        "a link below a file",
        Of(|home| link(home.join(AGE_FILE), "canary.was/x")),
        "is a link to nothing",
    ),
    (
        "a folder that is a link to nothing",
        Of(|home| link(home.join(".passage/store/leaks"), "/no/where")),
        "store/leaks is a link to nothing",
    ),
    (
        "a store that is a link to nothing",
        Of(|home| link(home.join(".passage/store"), "/no/where")),
        "store is a link to nothing",
    ),
    (
        "a home of the store that is a link to nothing",
        Of(|home| link(home.join(".passage"), "/no/where")),
        ".passage is a link to nothing",
    ),
    (
        "a store that is a file",
        Of(|home| {
            fs::remove_dir_all(home.join(".passage/store")).unwrap();
            fs::write(home.join(".passage/store"), "").unwrap();
        }),
        "is not a directory",
    ),
    (
        "a store that is not mounted",
        Of(|home| unmount(home.join(".passage/store"))),
        "store is empty",
    ),
    (
        "a folder that is not mounted",
        Of(|home| unmount(home.join(".passage/store/leaks"))),
        "leaks is empty",
    ),
    (
        "a file that may not be read",
        Of(|home| no_modes(home.join(AGE_FILE))),
        "ermission denied",
    ),
    (
        "a folder that may not be searched",
        Of(|home| no_modes(home.join(".passage/store/leaks"))),
        "ermission denied",
    ),
    (
        "a store that may not be searched",
        Of(|home| no_modes(home.join(".passage/store"))),
        "ermission denied",
    ),
    (
        "a home that may not be searched",
        Of(|home| no_modes(home.join(".passage"))),
        "ermission denied",
    ),
    (
        "no identities",
        Of(|home| fs::remove_file(home.join(IDENTITIES)).unwrap()),
        "does not exist",
    ),
    (
        "identities behind a link to nothing",
        Of(|home| link(home.join(IDENTITIES), "gone")),
        "is a link to nothing",
    ),
    (
        "identities cut short",
        Of(|home| change(home.join(IDENTITIES), |all| all[..all.len() - 9].into())),
        "damaged",
    ),
    (
        "empty identities",
        Of(|home| change(home.join(IDENTITIES), |_| Vec::new())),
        "has no identity",
    ),
    (
        "identities that may not be read",
        Of(|home| no_modes(home.join(IDENTITIES))),
        "ermission denied",
    ),
    (
        "identities of another",
        Of(|home| {
            let made = Command::new(find("age-keygen").unwrap()).output().unwrap();
            fs::write(home.join(IDENTITIES), made.stdout).unwrap();
        }),
        "no identity in ",
    ),
    (
        "identities of a plugin that is not here",
        Of(|home| fs::write(home.join(IDENTITIES), "AGE-PLUGIN-FAKE-1DPJKCMR0YMXKZ5\n").unwrap()),
        "age-plugin-fake ",
    ),
    (
        "identities that others can write",
        Of(|home| {
            fs::set_permissions(home.join(IDENTITIES), fs::Permissions::from_mode(0o602)).unwrap()
        }),
        "everyone can write to ",
    ),
];

/// Makes a volume of Kubernetes of the mount.
fn volume(home: &Path) {
    let mount = home.join("mnt");
    fs::create_dir(mount.join("..1")).unwrap();
    symlink("..1", mount.join("..data")).unwrap();
    for file in ["leaks_canary", "leaks_binary"] {
        fs::rename(mount.join(file), mount.join("..1").join(file)).unwrap();
        symlink(format!("..data/{file}"), mount.join(file)).unwrap();
    }
}

const CREDENTIALS: &[Row] = &[
    (
        "a link to nothing",
        Of(|home| link(home.join("mnt/leaks_canary"), "/no/where")),
        "is a link to nothing",
    ),
    (
        "a link to itself",
        Of(|home| link(home.join("mnt/leaks_canary"), "leaks_canary")),
        "leaks_canary",
    ),
    (
        "a folder that is a link to nothing",
        Of(|home| {
            fs::remove_file(home.join("mnt/leaks_canary")).unwrap();
            symlink("/no/where", home.join("mnt/leaks")).unwrap();
        }),
        "mnt/leaks is a link to nothing",
    ),
    (
        "a directory that is a link to nothing",
        Of(|home| link(home.join("mnt"), "/no/where")),
        "is a link to nothing",
    ),
    (
        "a directory that is a link to itself",
        Of(|home| link(home.join("mnt"), "mnt")),
        "mnt",
    ),
    (
        "a directory that is a file",
        Of(|home| {
            fs::rename(home.join("mnt"), home.join("was")).unwrap();
            fs::write(home.join("mnt"), "").unwrap();
        }),
        "cannot be searched",
    ),
    (
        "a directory that is not mounted",
        Of(|home| unmount(home.join("mnt"))),
        "mnt is empty",
    ),
    (
        "a folder that is not mounted",
        Of(|home| {
            fs::remove_file(home.join("mnt/leaks_canary")).unwrap();
            fs::create_dir(home.join("mnt/leaks")).unwrap();
        }),
        "leaks is empty",
    ),
    (
        "a volume without its data",
        Of(|home| {
            volume(home);
            fs::remove_file(home.join("mnt/..data")).unwrap();
        }),
        "is a link to nothing",
    ),
    (
        "a volume whose data are gone",
        Of(|home| {
            volume(home);
            fs::remove_dir_all(home.join("mnt/..1")).unwrap();
        }),
        "is a link to nothing",
    ),
    (
        "a volume without its data and without the link",
        Of(|home| {
            volume(home);
            fs::remove_file(home.join("mnt/..data")).unwrap();
            fs::remove_file(home.join("mnt/leaks_canary")).unwrap();
        }),
        "leads to ..data, which is gone",
    ),
    (
        "a volume whose data may not be searched",
        Of(|home| {
            volume(home);
            no_modes(home.join("mnt/..1"));
        }),
        "ermission denied",
    ),
    (
        "a file that may not be read",
        Of(|home| no_modes(home.join("mnt/leaks_canary"))),
        "ermission denied",
    ),
    (
        "a directory that may not be searched",
        Of(|home| no_modes(home.join("mnt"))),
        "ermission denied",
    ),
];

const KEYRING: &[Row] = &[
    (
        "a key that may not be read",
        In("keyctl setperm \"$I\" 0x11000000"),
        "permission denied",
    ),
    (
        "a key that may not be seen",
        In("keyctl setperm \"$I\" 0x3e3e0000"),
        "permission denied",
    ),
    (
        "a key without any permission",
        In("keyctl setperm \"$I\" 0"),
        "permission denied",
    ),
    (
        "a session that may not be searched",
        In("keyctl setperm @s 0x37000000"),
        "permission denied",
    ),
    (
        "a key of another",
        In(
            "keyctl unlink \"$I\" @s; setpriv --reuid=4001 --clear-groups keyctl add user mxm:leaks/canary evil @s >id",
        ),
        "belongs to the user 4001",
    ),
];

/// A lookup of the secret, in its trouble.
fn get(place: &Place, damage: &Damage, arguments: &[&str]) -> Command {
    let get = [&["get", NAME], arguments].concat();
    let mut command = match damage {
        Of(_) => bound(&place.mxm_secrets(get)),
        In(script) => {
            let script = format!("I=$(keyctl search @s user mxm:{NAME}); {script}; exec \"$@\"");
            let mut shell = place.command("/bin/sh");
            shell
                .args(["-ec", &script, "sh"])
                .arg(program_under_test())
                .args(get);
            shell
        }
    };
    command
        .env("LEAKS_CANARY", "of env")
        .current_dir(place.home().path());
    command
}

fn every_row_of(backend: &'static str, rows: &[Row]) {
    for (what, damage, words) in rows {
        let Some(place) = Place::new(backend) else {
            return;
        };
        match damage {
            Of(change) => change(place.home().path()),
            In(_) => place.home().link(&["keyctl", "setpriv"]),
        }
        let two = format!("{backend},env");
        let go_on = ["--on-error", "continue"];
        for (arguments, status, stdout) in [
            (&[][..], 4, ""),
            (&["--default", "D"], 4, ""),
            (&["--backend", &two], 4, ""),
            (&["--backend", &two, "--default", "D"], 4, ""),
            (&go_on, 4, ""),
            (&[&go_on[..], &["--default", "D"]].concat(), 3, "D\n"),
            (&[&go_on[..], &["--backend", &two]].concat(), 0, "of env\n"),
        ] {
            let seen = transcript(&mut get(&place, damage, arguments));
            let case = format!("{backend}: {what}: {arguments:?}: {seen:?}");
            assert_eq!(seen.status, Some(status), "{case}");
            assert_eq!(seen.stdout, stdout.as_bytes(), "{case}");
            assert!(seen.stderr.contains(words), "{case}");
            assert!(
                seen.stderr.contains(&format!("failed: {backend}: ")),
                "{case}"
            );
            assert!(!seen.stderr.contains(&place.canary), "{case}");
        }
        // So that it can be removed, whoever runs this.
        let chmod = Command::new("chmod")
            .args(["-R", "u+rwX"])
            .arg(place.home().path())
            .output();
        drop(chmod);
    }
}

#[test]
fn no_damage_of_an_age_store_looks_like_a_miss() {
    if program("age-keygen").is_some() {
        every_row_of("age", AGE);
    }
}

#[test]
fn no_damage_of_mounted_files_looks_like_a_miss() {
    every_row_of("credentials", CREDENTIALS);
}

#[test]
fn no_damage_of_a_keyring_looks_like_a_miss() {
    // SAFETY: geteuid only reads.
    if unsafe { libc::geteuid() } != 0 {
        return crate::support::not_run("only root can become another user");
    }
    if program("keyctl").is_some() {
        every_row_of("keyring", KEYRING);
    }
}
