//! The column "looks like a miss": every way by which a store is known to be damaged, absent, half there or misread such
//! that its program says, or seems to say, that it has no such secret. Each is failed, whatever stands beside it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::rights::bound;
use crate::support::store::Store;
use crate::support::{find, program, transcript};

/// The secret that is asked for. The root store has it, and so has the mounted one, where there is one.
const NAME: &str = "team/key";
const VARIABLE: &str = "TEAM_KEY";

/// What is done to a store, and a word of the message.
type Row = (&'static str, fn(&mut Store), &'static str);

/// The file of the secret.
fn file(store: &Store) -> PathBuf {
    store.root().join("team/key.gpg")
}

fn no_modes(path: impl AsRef<Path>) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

fn replace_with_link(path: impl AsRef<Path>, target: &str) {
    let path = path.as_ref();
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
    symlink(target, path).unwrap();
}

/// Mounts a store for the name, with another value.
fn mounted(store: &Store) -> PathBuf {
    store.mount("team", "volume");
    store.insert(NAME, "of the mount\n");
    store.home.path().join("volume")
}

fn configuration(store: &Store) -> PathBuf {
    store.home.path().join(".config/gopass/config")
}

/// What can happen to any store.
const BOTH: &[Row] = &[
    (
        "a file cut in its first packet",
        |store| {
            let whole = fs::read(file(store)).unwrap();
            fs::write(file(store), &whole[..200]).unwrap();
        },
        "is damaged",
    ),
    (
        "a file with an unknown packet",
        |store| {
            let mut whole = fs::read(file(store)).unwrap();
            whole[0] = 0xff;
            fs::write(file(store), whole).unwrap();
        },
        "decrypted",
    ),
    (
        "an empty file",
        |store| fs::write(file(store), "").unwrap(),
        "cannot be decrypted",
    ),
    (
        "a file that is not encrypted",
        |store| {
            let mut gpg = store.home.command(find("gpg").unwrap());
            gpg.args(["--store", "-o"])
                .arg(file(store).with_extension("new"))
                .arg(".gitconfig");
            assert!(gpg.status().unwrap().success());
            fs::rename(file(store).with_extension("new"), file(store)).unwrap();
        },
        "is damaged",
    ),
    (
        "a file that is a link to nothing",
        |store| replace_with_link(file(store), "/no/where"),
        "is a link to nothing",
    ),
    (
        "a file that is a link to itself",
        |store| replace_with_link(file(store), "key.gpg"),
        "team/key.gpg",
    ),
    (
        "a folder that is a link to nothing",
        |store| replace_with_link(store.root().join("team"), "nowhere"),
        "team is a link to nothing",
    ),
    (
        "a file that is a folder",
        |store| {
            fs::remove_file(file(store)).unwrap();
            fs::create_dir(file(store)).unwrap();
        },
        "is not a regular file",
    ),
    (
        "a file that may not be read",
        |store| no_modes(file(store)),
        "ermission denied",
    ),
    (
        "a folder that may not be read",
        |store| no_modes(store.root().join("team")),
        "ermission denied",
    ),
    (
        "a folder that is not mounted",
        |store| {
            fs::remove_dir_all(store.root().join("team")).unwrap();
            fs::create_dir(store.root().join("team")).unwrap();
        },
        "team is empty",
    ),
    (
        "a store that may not be read",
        |store| no_modes(store.root()),
        "ermission denied",
    ),
    (
        "a store that is gone",
        |store| fs::remove_dir_all(store.root()).unwrap(),
        "the password store is not there",
    ),
    (
        "a store that is a link to nothing",
        |store| replace_with_link(store.root(), "/no/where"),
        "is a link to nothing",
    ),
    (
        "a store that is empty",
        |store| {
            fs::remove_dir_all(store.root()).unwrap();
            fs::create_dir(store.root()).unwrap();
        },
        "has no .gpg-id",
    ),
    (
        "a store without its mark and its secret",
        |store| {
            fs::remove_file(store.root().join(".gpg-id")).unwrap();
            fs::remove_file(file(store)).unwrap();
        },
        "has no .gpg-id",
    ),
    (
        "a store whose mark is a link to nothing",
        |store| {
            replace_with_link(store.root().join(".gpg-id"), "/no/where");
            fs::remove_file(file(store)).unwrap();
        },
        "is a link to nothing",
    ),
    (
        "a store elsewhere that is not there",
        |store| {
            store.home.set("PASSWORD_STORE_DIR", "/no/where");
        },
        "the password store is not there: /no/where",
    ),
    (
        "a key that is not there",
        |store| {
            fs::remove_dir_all(store.home.path().join("gnupg/private-keys-v1.d")).unwrap();
            store.end_agent();
        },
        "is locked, or not here",
    ),
    (
        "no program",
        |store| {
            for name in ["gopass", "pass"] {
                let _ = fs::remove_file(store.home.path().join("bin").join(name));
            }
            let bin = store.home.path().join("bin");
            store.home.set("PATH", bin);
        },
        "there is a password store, but ",
    ),
];

/// What can happen to one of gopass alone.
const GOPASS: &[Row] = &[
    (
        "a mount that is gone",
        |store| fs::rename(mounted(store), store.home.path().join("away")).unwrap(),
        "the store mounted at team is not there",
    ),
    (
        "a mount that is empty",
        |store| {
            let mount = mounted(store);
            fs::rename(&mount, store.home.path().join("away")).unwrap();
            fs::create_dir(mount).unwrap();
        },
        "the store mounted at team is not initialized",
    ),
    (
        "a mount that is a link to nothing",
        |store| replace_with_link(mounted(store), "/no/where"),
        "is a link to nothing",
    ),
    (
        "a mount that may not be read",
        |store| no_modes(mounted(store)),
        "ermission denied",
    ),
    (
        "a mount without its mark",
        |store| fs::remove_file(mounted(store).join(".gpg-id")).unwrap(),
        "has no .gpg-id",
    ),
    (
        "a mount that the environment names",
        |store| {
            store.home.set("GOPASS_CONFIG_COUNT", "1");
            store.home.set("GOPASS_CONFIG_KEY_0", "mounts.team.path");
            store.home.set("GOPASS_CONFIG_VALUE_0", "/no/where");
        },
        "the store mounted at team is not there: /no/where",
    ),
    (
        "a configuration that may not be read",
        |store| no_modes(configuration(store)),
        "cannot be read",
    ),
    (
        "a configuration that is a folder",
        |store| {
            fs::remove_file(configuration(store)).unwrap();
            fs::create_dir(configuration(store)).unwrap();
        },
        "is a directory",
    ),
    (
        "a configuration that is a link to nothing",
        |store| replace_with_link(configuration(store), "/no/where"),
        "is a link to nothing",
    ),
    (
        "a configuration without end",
        |store| replace_with_link(configuration(store), "/dev/zero"),
        "is larger than 1 MiB",
    ),
    (
        "a configuration that includes a file that is not there",
        |store| {
            let text = fs::read_to_string(configuration(store)).unwrap();
            fs::write(
                configuration(store),
                format!("{text}[include]\npath = gone\n"),
            )
            .unwrap();
        },
        "gone",
    ),
    (
        "a script that reads another store",
        |store| {
            let gopass = store.home.path().join("bin/gopass");
            let real = fs::read_link(&gopass).unwrap();
            fs::remove_file(gopass).unwrap();
            let script = "#!/bin/sh\nexport PASSWORD_STORE_DIR=$HOME/elsewhere\nexec";
            let text = format!("{script} '{}' \"$@\"\n", real.display());
            store.home.program("gopass", &text);
            fs::remove_dir_all(store.home.path().join(".config/gopass")).unwrap();
        },
        "gopass",
    ),
    (
        "a configuration that only gopass can read",
        |store| {
            let (root, home) = (store.root(), store.home.path());
            let (root, home) = (root.display(), home.display());
            let text = format!("path: {root}\nmounts:\n  team: {home}/gone\n");
            store.home.write(".config/gopass/config.yml", text);
            fs::remove_file(configuration(store)).unwrap();
        },
        "team",
    ),
    (
        "words of gopass for names",
        |store| {
            fs::write(store.root().join("team.gpg"), "").unwrap();
            fs::remove_dir_all(store.root().join("team")).unwrap();
            symlink("/no/where", store.root().join("team")).unwrap();
        },
        "is a link to nothing",
    ),
];

/// Whether every row is failed: alone, with a default, with another store that has the secret, and not when a failure
/// is to be passed over.
fn check(make: impl Fn() -> Option<Store>, rows: &[&[Row]]) {
    let mut wrong = Vec::new();
    for (what, damage, word) in rows.iter().copied().flatten() {
        let Some(mut store) = make() else { return };
        damage(&mut store);
        let run = |arguments: &[&str], beside: bool| {
            let mut command = store.home.mxm_secrets(["get", NAME]);
            command.args(arguments);
            command.envs(beside.then_some((VARIABLE, "of another store")));
            transcript(&mut bound(&command))
        };
        let go_on = ["--on-error", "continue", "--default", "D"];
        for (arguments, beside, status, stdout) in [
            (&[][..], false, 4, ""),
            (&["--default", "D"], false, 4, ""),
            (&["--backend", "gopass", "--default", "D"], false, 4, ""),
            (&["--default", "D"], true, 4, ""),
            (&go_on, false, 3, "D\n"),
            (&go_on, true, 0, "of another store\n"),
        ] {
            let seen = run(arguments, beside);
            let told = seen.stderr.contains(word);
            if (seen.status, seen.stdout.as_slice(), told)
                != (Some(status), stdout.as_bytes(), true)
            {
                let stdout = String::from_utf8_lossy(&seen.stdout).into_owned();
                wrong.push(format!(
                    "{what}: {arguments:?}, {beside}: {:?} {stdout:?} {}",
                    seen.status, seen.stderr
                ));
            }
        }
        for path in [
            store.root(),
            store.root().join("team"),
            store.home.path().join("volume"),
        ] {
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A store that has the secret, and is still as it should be.
fn whole(version: &str) -> Option<Store> {
    let store = Store::new(version)?;
    store.insert(NAME, "value\n");
    Some(store)
}

#[test]
fn nothing_of_gopass_looks_like_a_miss() {
    check(|| whole("1.16.1"), &[BOTH, GOPASS]);
}

#[test]
fn nothing_of_an_older_gopass_looks_like_a_miss() {
    check(|| whole("1.15.18"), &[BOTH, GOPASS]);
}

#[test]
fn nothing_of_pass_looks_like_a_miss() {
    check(
        || Some(whole("1.16.1")?.read_by(&program("pass")?, "pass")),
        &[BOTH],
    );
}

#[test]
fn nothing_of_debians_gopass_looks_like_a_miss() {
    check(
        || Some(whole("1.16.1")?.read_by(&program("gopass-debian")?, "gopass")),
        &[BOTH],
    );
}
