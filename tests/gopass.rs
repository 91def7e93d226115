//! The gopass backend, with the real programs: gopass 1.15.18 and 1.16.1, Debian's other gopass, and pass.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::store::{PASSPHRASE, Store};
use crate::support::terminal::Terminal;
use crate::support::{Home, STRANGER, find, not_run, program, transcript};

/// The real gopass; each test goes through both.
const VERSIONS: [&str; 2] = ["1.15.18", "1.16.1"];

fn each_version(test: impl Fn(&Store)) {
    for version in VERSIONS {
        if let Some(store) = Store::new(version) {
            test(&store);
        }
    }
}

#[test]
fn values_come_as_they_are() {
    each_version(|store| {
        for (name, value) in [
            ("prod/api-key", "s3cret\n".as_bytes()),
            ("prod/multi", b"first\nuser: bob\nlast\n"),
            ("-dash/--", b"dash\n"),
            ("a name/with blanks & $(touch x)", b"odd\n"),
            ("yaml", b"pw\n---\nnumber: 0123\nlist: [ 1,2 ]\n"),
            ("binary", b"\x00\xff\x01\n\x80\n"),
            ("tree", "tree/\n├── a\n└── b\n".as_bytes()),
        ] {
            store.insert(name, value);
            let seen = store.home.run(["get", "--raw", "--", name]);
            assert_eq!(
                (seen.status, seen.stdout.as_slice()),
                (Some(0), value),
                "{name}: {}",
                seen.stderr
            );
        }
        store
            .home
            .run(["get", "prod/multi#user"])
            .is(0, "bob\n", "");
        store.home.run(["get", "-v", "prod/multi#first"]).has(
            1,
            "",
            &["gopass: miss: prod/multi has no field first", "missing"],
        );
    });
}

#[test]
fn a_secret_without_final_newline_gets_one_from_gopass() {
    each_version(|store| {
        store.insert("a", "value");
        store.home.run(["get", "--raw", "a"]).is(0, "value\n", "");
        store.home.run(["get", "a"]).is(0, "value\n", "");
    });
}

#[test]
fn a_hit_costs_one_process() {
    each_version(|store| {
        store.insert("a", "value");
        let real = fs::read_link(store.home.path().join("bin/gopass")).unwrap();
        fs::remove_file(store.home.path().join("bin/gopass")).unwrap();
        store
            .home
            .fake("gopass", &format!("exec '{}' \"$@\"", real.display()));
        store.home.run(["get", "a"]).is(0, "value\n", "");
        assert_eq!(store.home.log("gopass"), ["show -n -- a"]);
    });
}

/// Untold, it would start gpgconf for that. Where gpgconf may name another gpg than the one beside it, it still does.
#[test]
fn gopass_is_told_where_gpg_is() {
    each_version(|store| {
        store.insert("a", "value");
        let bin = store.home.path().join("bin");
        for name in ["gpg", "gpgconf"] {
            fs::remove_file(bin.join(name)).unwrap();
            let real = find(name).unwrap();
            store
                .home
                .fake(name, &format!("exec '{}' \"$@\"", real.display()));
        }
        let asked = || {
            for name in ["gpg", "gpgconf"] {
                let _ = fs::remove_file(store.home.path().join(format!("{name}.log")));
            }
            store.home.run(["get", "a"]).is(0, "value\n", "");
            ["gpg", "gpgconf"].map(|name| !store.home.log(name).is_empty())
        };
        assert_eq!(asked(), [true, false]);
        let real = find("gpg").unwrap();
        let mut command = store.home.mxm_secrets(["get", "a"]);
        transcript(command.env("GOPASS_GPG_BINARY", real)).is(0, "value\n", "");
        assert_eq!(store.home.log("gpg").len(), 1);
        std::os::unix::fs::symlink("gpg", bin.join("gpg2")).unwrap();
        assert_eq!(asked(), [false, true]);
        fs::remove_file(bin.join("gpg2")).unwrap();
        fs::remove_file(bin.join("gpgconf")).unwrap();
        assert_eq!(asked(), [true, false]);
    });
}

#[test]
fn what_is_not_there_is_a_miss() {
    each_version(|store| {
        store.insert("folder/a", "x");
        store.insert("empty", "");
        let missing = |name: &str, why: &str| {
            let env = format!("${} is not set for {name}", name.to_uppercase());
            let seen = store.home.run(["get", "-v", name]);
            seen.has(
                1,
                "",
                &[
                    &format!("gopass: miss: {why} ("),
                    &env,
                    &format!("{name} is missing: not in gopass, env"),
                ],
            );
        };
        missing("nope", "nope is not in the password store");
        missing("folder", "folder is a folder in the password store");
        missing("empty", "empty is empty: gopass show empty");
        store
            .home
            .run(["get", "nope", "--default", "V"])
            .is(3, "V\n", "");
    });
}

#[test]
fn a_secret_may_be_a_folder_too() {
    each_version(|store| {
        store.insert("both", "value\n");
        store.insert("both/inner", "x");
        store.home.run(["get", "both"]).is(0, "value\n", "");
    });
}

#[test]
fn autoclip_and_safecontent_do_not_matter() {
    each_version(|store| {
        store.insert("a", "pw\nuser: bob\n");
        store.gopass(&["config", "show.autoclip", "true"], b"");
        store.gopass(&["config", "show.safecontent", "true"], b"");
        store.home.run(["get", "a"]).is(0, "pw\nuser: bob\n", "");
    });
}

#[test]
fn a_mounted_store_is_read() {
    each_version(|store| {
        let path = store.home.path().join("team");
        let mount = [
            "--yes",
            "init",
            "--crypto",
            "gpgcli",
            "--storage",
            "fs",
            "--store",
            "team/x",
            "--path",
        ];
        store.gopass(
            &[&mount[..], &[path.to_str().unwrap(), &store.key()]].concat(),
            b"",
        );
        store.insert("team/x/key", "mounted\n");
        store.home.run(["get", "team/x/key"]).is(0, "mounted\n", "");
        store
            .home
            .run(["get", "team"])
            .has(1, "", &["team is missing"]);
        store
            .home
            .run(["get", "team/x"])
            .has(1, "", &["team/x is missing"]);
        // Where the store is gone nobody knows what it has, whatever gopass says.
        std::fs::rename(&path, path.with_extension("gone")).unwrap();
        store.home.run(["get", "team/x/key", "--default", "d"]).is(
            4,
            "",
            &format!(
                "mxm-secrets: gopass failed: team/x/key: the store mounted at team/x is not there: {}\n",
                path.display()
            ),
        );
        store
            .home
            .run(["get", "other/key"])
            .has(1, "", &["missing"]);
    });
}

#[test]
fn a_corrupt_file_or_a_wrong_key_is_a_failure() {
    each_version(|store| {
        fs::write(store.root().join("junk.gpg"), "junk").unwrap();
        fs::write(store.root().join("hollow.gpg"), "").unwrap();
        for name in ["junk", "hollow"] {
            store.home.run(["get", name, "--default", "V"]).is(
                4,
                "",
                &format!(
                    "mxm-secrets: gopass failed: {name} cannot be decrypted: locked or wrong key, or a damaged file\n\
                     mxm-secrets: hint: see what it says in a terminal: gopass show -- {name}\n"
                ),
            );
        }
        store.insert("a", "value");
        fs::remove_dir_all(store.home.path().join("gnupg/private-keys-v1.d")).unwrap();
        let _ = store
            .home
            .command(find("gpgconf").unwrap())
            .args(["--kill", "gpg-agent"])
            .status();
        store
            .home
            .run(["get", "a"])
            .has(4, "", &["the key for a is locked, or not here"]);
    });
}

#[test]
fn a_locked_key_fails_at_once_when_unattended() {
    for version in VERSIONS {
        let Some(store) = Store::locked(version) else {
            return;
        };
        store.insert("a", "value");
        let failed = "mxm-secrets: gopass failed: the key for a is locked, or not here\n\
             mxm-secrets: hint: unlock it in a terminal: gopass show -- a\n";
        let started = Instant::now();
        store.home.run(["get", "a"]).is(4, "", failed);
        store
            .home
            .run(["get", "a", "--default", "V"])
            .is(4, "", failed);
        store
            .home
            .run(["get", "a", "--default", "V", "--on-error", "continue", "-q"])
            .is(3, "V\n", "");
        // With a terminal, --no-input says that no person is there.
        let terminal = Terminal::start(store.home.mxm_secrets(["get", "a", "--no-input"]));
        let (status, screen) = terminal.ends();
        assert_eq!((status.code(), screen.as_str()), (Some(4), failed));
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it has waited for someone"
        );
        // What the agent knows is used.
        store.unlock();
        store.home.run(["get", "a"]).is(0, "value\n", "");
    }
}

#[test]
fn a_person_at_a_terminal_is_asked_for_the_passphrase() {
    for version in VERSIONS {
        let Some(store) = Store::locked(version) else {
            return;
        };
        let Some(pinentry) = program("pinentry-curses") else {
            return;
        };
        store.insert("a", "value");
        let configuration = format!("pinentry-program {}\n", pinentry.display());
        store.home.write("gnupg/gpg-agent.conf", configuration);
        let _ = store
            .home
            .command(find("gpgconf").unwrap())
            .args(["--kill", "gpg-agent"])
            .status();
        let mut command = store.home.mxm_secrets(["get", "a"]);
        command.env("TERM", "xterm");
        let mut terminal = Terminal::start(command);
        terminal.shows("Passphrase");
        terminal.types(&format!("{PASSPHRASE}\r"));
        let (status, screen) = terminal.ends();
        assert_eq!(status.code(), Some(0), "{screen}");
        assert!(screen.ends_with("value\n"), "{screen}");
    }
}

#[test]
fn a_store_that_may_not_be_read_is_a_failure() {
    each_version(|store| {
        store.insert("prod/a", "value");
        let _ = store
            .home
            .command(find("gpgconf").unwrap())
            .args(["--kill", "gpg-agent"])
            .status();
        let run = |name: &str| {
            let mut command = store.home.command(store.home.path().join("mxm-secrets"));
            transcript(command.args(["get", name]).uid(STRANGER).gid(STRANGER))
        };
        if !store.home.give_to_stranger() {
            return not_run("only root can become somebody else");
        }
        run("prod/a").is(0, "value\n", "");
        fs::set_permissions(store.root().join("prod"), fs::Permissions::from_mode(0o000)).unwrap();
        run("prod/a").has(4, "", &["gopass failed: prod/a", "ermission denied"]);
        fs::set_permissions(store.root(), fs::Permissions::from_mode(0o000)).unwrap();
        run("prod/a").has(4, "", &["gopass failed: prod/a"]);
        fs::set_permissions(store.root(), fs::Permissions::from_mode(0o700)).unwrap();
    });
}

#[test]
fn without_a_store_the_next_backend_is_asked() {
    for version in VERSIONS {
        let Some(gopass) = program(&format!("gopass-{version}")) else {
            return;
        };
        let mut home = Home::new();
        home.install("gopass", &gopass);
        home.set("A", "from the environment");
        home.run(["get", "a"]).is(0, "from the environment\n", "");
        home.run(["get", "a", "-v"]).has(
            0,
            "from the environment\n",
            &["gopass: unavailable: the password store is not init"],
        );
        home.run(["get", "a", "--backend", "gopass"]).has(
            4,
            "",
            &[
                "gopass failed: the password store is not initialized",
                "hint: set it up: gopass init",
            ],
        );
    }
}

#[test]
fn without_gopass_the_next_backend_is_asked() {
    let mut home = Home::new();
    home.set("A", "from the environment");
    home.run(["get", "a", "-v"]).has(
        0,
        "from the environment\n",
        &["gopass: unavailable: gopass is not on PATH"],
    );
    home.run(["get", "a", "--backend", "gopass"]).is(
        4,
        "",
        "mxm-secrets: a: gopass failed: gopass is not on PATH\n",
    );
    home.run(["get", "b"]).is(
        1,
        "",
        "mxm-secrets: b is missing: not in env ($B) (unavailable: gopass)\n",
    );
}

/// Debian's gopass, or pass, under the name gopass, on a store that the real one has made.
fn other(program: PathBuf) -> Option<Store> {
    let mut store = Store::new(VERSIONS[0])?;
    store.insert("prod/api-key", "s3cret\n");
    store.encrypt("exact", b"no newline, \xff\x00 and all");
    store.encrypt("looks", "prod\n├── a\n└── b\n".as_bytes());
    store.encrypt("hollow", b"");
    fs::write(store.root().join("junk.gpg"), "junk").unwrap();
    fs::remove_file(store.home.path().join("bin/gopass")).unwrap();
    store.home.install("gopass", &program);
    let root = store.root();
    store.home.set("PASSWORD_STORE_DIR", root);
    Some(store)
}

#[test]
fn debians_other_gopass_works() {
    let Some(program) = debian_gopass() else {
        return;
    };
    let Some(store) = other(program) else { return };
    let home = &store.home;
    home.run(["get", "prod/api-key"]).is(0, "s3cret\n", "");
    home.run(["get", "looks"]).is(0, "prod\n├── a\n└── b\n", "");
    home.run(["get", "nope"]).has(1, "", &["nope is missing"]);
    home.run(["get", "prod"]).has(1, "", &["prod is missing"]);
    home.run(["get", "junk"])
        .has(4, "", &["gopass failed: junk cannot be decrypted"]);
    home.run(["get", "hollow"])
        .has(1, "", &["hollow is missing"]);
    let mut elsewhere = home.mxm_secrets(["get", "a", "-v"]);
    elsewhere.env("PASSWORD_STORE_DIR", "/nonexistent");
    let gone = "gopass failed: a: the password store is not there: /nonexistent";
    transcript(&mut elsewhere).has(4, "", &[gone]);
    let mut nowhere = home.mxm_secrets(["get", "a", "-v"]);
    nowhere.env_remove("PASSWORD_STORE_DIR");
    transcript(&mut nowhere).has(
        1,
        "",
        &["gopass: unavailable: the password store is not initialized"],
    );
}

#[test]
fn pass_works() {
    let Some(program) = program("pass") else {
        return;
    };
    let Some(mut store) = other(program) else {
        return;
    };
    let path = format!("{}:/usr/bin:/bin", store.home.path().join("bin").display());
    store.home.set("PATH", path);
    let home = &store.home;
    home.run(["get", "prod/api-key"]).is(0, "s3cret\n", "");
    home.run(["get", "--raw", "exact"])
        .is(0, b"no newline, \xff\x00 and all", "");
    home.run(["get", "looks"]).is(0, "prod\n├── a\n└── b\n", "");
    home.run(["get", "nope"]).has(1, "", &["nope is missing"]);
    home.run(["get", "prod", "-v"])
        .has(1, "", &["gopass: miss: prod is a folder"]);
    home.run(["get", "junk"])
        .has(4, "", &["gopass failed: junk cannot be decrypted"]);
    home.run(["get", "hollow"])
        .has(1, "", &["hollow is missing"]);
    let mut elsewhere = home.mxm_secrets(["get", "a", "-v"]);
    elsewhere.env("PASSWORD_STORE_DIR", "/nonexistent");
    let gone = "gopass failed: a: the password store is not there: /nonexistent";
    transcript(&mut elsewhere).has(4, "", &[gone]);
    let mut nowhere = home.mxm_secrets(["get", "a", "-v"]);
    nowhere.env_remove("PASSWORD_STORE_DIR");
    transcript(&mut nowhere).has(
        1,
        "",
        &["gopass: unavailable: the password store is not initialized"],
    );
}

/// The gopass of Debian's package, unpacked beside: both can be on one machine.
fn debian_gopass() -> Option<PathBuf> {
    program("gopass-debian")
}
