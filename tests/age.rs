//! The age backend: files made by the real age and rage, in a store as passage has it.

mod bounds;
mod damage;
mod plugin;
mod prompt;
mod vectors;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::rights::bound;
use crate::support::{Home, find, not_run, program, transcript};

/// A store at the usual place, with one X25519 identity.
struct Store {
    home: Home,
    age: PathBuf,
    recipient: String,
}

impl Store {
    fn new() -> Option<Store> {
        let (age, keygen) = (program("age")?, program("age-keygen")?);
        let mut home = Home::new();
        home.set("MXM_SECRETS_BACKENDS", "age");
        fs::create_dir_all(home.path().join(".passage/store")).unwrap();
        let mut store = Store {
            home,
            age,
            recipient: String::new(),
        };
        let (identities, recipient) = identity(&keygen);
        store.identities(identities);
        store.recipient = recipient;
        Some(store)
    }

    /// Writes the identities file.
    fn identities(&self, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.write(".passage/identities", text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.home.path().join(format!(".passage/store/{name}.age"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Encrypts `value` for the store's identity.
    fn insert(&self, name: &str, value: impl AsRef<[u8]>) -> PathBuf {
        self.encrypt(name, &["-r", &self.recipient], value)
    }

    /// Encrypts `value` with age, with `arguments`.
    fn encrypt(&self, name: &str, arguments: &[&str], value: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        let command = self.home.command(&self.age);
        fs::write(&path, filter(command, arguments, value.as_ref())).unwrap();
        path
    }

    /// Checks that the answer is failed, with all of `words`, on an otherwise empty standard error.
    #[track_caller]
    fn fails(&self, name: &str, words: &[&str]) {
        let seen = self.home.run(["get", name]);
        seen.has(4, "", words);
        assert_eq!(
            seen.stderr.matches("failed: age: ").count(),
            1,
            "{}",
            seen.stderr
        );
        assert!(seen.stderr.is_ascii(), "{}", seen.stderr);
    }
}

/// A fresh identities file and its recipient.
fn identity(keygen: &Path) -> (String, String) {
    let output = Command::new(keygen).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let recipient = text.split("public key: ").nth(1).unwrap();
    let recipient = recipient.lines().next().unwrap().to_owned();
    (text, recipient)
}

/// What `command` makes of `input`.
fn filter(mut command: Command, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {messages}");
    output.stdout
}

/// An SSH key made by ssh-keygen at `path`, and its recipient.
fn ssh_key(home: &Home, arguments: &[&str]) -> Option<(PathBuf, String)> {
    let keygen = program("ssh-keygen")?;
    let path = home.path().join("id");
    let _ = fs::remove_file(&path);
    let mut command = home.command(keygen);
    command
        .args(["-q", "-C", "", "-f"])
        .arg(&path)
        .args(arguments);
    let seen = transcript(&mut command);
    assert_eq!(seen.status, Some(0), "{}", seen.stderr);
    let recipient = fs::read_to_string(path.with_extension("pub")).unwrap();
    Some((path, recipient.trim().to_owned()))
}

#[test]
fn a_file_made_by_age_is_read_byte_by_byte() {
    let Some(store) = Store::new() else { return };
    let get = |name: &str| store.home.run(["get", "--raw", name]);
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    store.insert("bytes", &bytes);
    get("bytes").is(0, &bytes, "");
    store.insert("deep/er/text", "s3cret\r\nuser: bob\n");
    get("deep/er/text").is(0, "s3cret\r\nuser: bob\n", "");
    get("deep/er/text#user").is(0, "bob", "");
    store.encrypt("armored", &["-a", "-r", &store.recipient], &bytes);
    get("armored").is(0, &bytes, "");
    store.insert("schl\u{fc}ssel x", "u");
    get("schl\u{fc}ssel x").is(0, "u", "");
    // An empty value counts as none.
    store.insert("empty", "");
    get("empty").has(1, "", &["empty: missing: not in age"]);
}

#[test]
fn a_file_made_by_rage_is_read() {
    let Some(store) = Store::new() else { return };
    let Some(rage) = program("rage") else { return };
    for (name, arguments) in [("binary", &["-r"][..]), ("armored", &["-a", "-r"])] {
        let arguments = [arguments, &[&store.recipient]].concat();
        let made = filter(store.home.command(&rage), &arguments, b"by rage\n");
        fs::write(store.file(name), made).unwrap();
        store
            .home
            .run(["get", "--raw", name])
            .is(0, "by rage\n", "");
    }
}

#[test]
fn a_store_as_passage_makes_it_is_read() {
    let Some(store) = Store::new() else { return };
    let keygen = find("age-keygen").unwrap();
    let (_, other) = identity(&keygen);
    let recipients = format!("# both of us\n{other}\n{}\n", store.recipient);
    let recipients = store
        .home
        .write(".passage/store/.age-recipients", recipients);
    store.encrypt(
        "web/example.com",
        &["-R", recipients.to_str().unwrap()],
        "hunter2\nurl: https://example.com\n",
    );
    let get = |name: &str| store.home.run(["get", name]);
    get("web/example.com").is(0, "hunter2\nurl: https://example.com\n", "");
    get("web/example.com#url").is(0, "https://example.com\n", "");
    // A folder, and nothing at all.
    get("web").has(1, "", &["web: missing: not in age"]);
    let explain = |name: &str| store.home.run(["get", "-v", name]);
    explain("web").has(1, "", &["age: miss: web is a folder of the age store: "]);
    fs::create_dir(store.home.path().join(".passage/store/dir.age")).unwrap();
    // What is to be there may not be mounted.
    get("dir").has(
        4,
        "",
        &["dir.age is empty: is something to be mounted there?"],
    );
    store.home.write(".passage/store/dir.age/more", "");
    get("dir").has(1, "", &["dir: missing"]);
    get("web/none").has(1, "", &["web/none: missing"]);
    get("web/example.com.age/x").has(1, "", &["missing"]);
    get(&"x".repeat(300)).has(1, "", &["missing"]);
}

#[test]
fn the_environment_says_where() {
    let Some(mut store) = Store::new() else {
        return;
    };
    store.insert("a", "here");
    let from = store.home.path().join(".passage");
    let to = store.home.path().join("else where");
    fs::rename(&from, &to).unwrap();
    store
        .home
        .run(["get", "a"])
        .has(4, "", &["the age store ", " does not exist", "hint: "]);
    store.home.set("PASSAGE_DIR", to.join("store"));
    let created = [
        "the identities file",
        "does not exist",
        "hint: create one with age-keygen -o",
    ];
    store.fails("a", &created);
    store
        .home
        .set("PASSAGE_IDENTITIES_FILE", to.join("identities"));
    store.home.run(["get", "a"]).is(0, "here\n", "");
    // A path is bytes, not text.
    let odd = store.home.path().join(OsStr::from_bytes(b"st\xffre"));
    fs::rename(to.join("store"), &odd).unwrap();
    store.home.set("PASSAGE_DIR", odd);
    store.home.run(["get", "a"]).is(0, "here\n", "");
}

/// Whoever names the store says that it is there, and so does what passage has left beside it.
#[test]
fn a_store_that_is_meant_and_gone_is_failed() {
    let mut home = Home::new();
    home.set("A", "of env");
    home.set("MXM_SECRETS_BACKENDS", "age,env");
    let answers = |home: &Home, status: &str, said: &str| {
        let seen = home.run(["get", "a", "--default", "d", "-v"]);
        let expected = if status == "failed" {
            (Some(4), "")
        } else {
            (Some(0), "of env\n")
        };
        let stdout = String::from_utf8(seen.stdout).unwrap();
        assert_eq!((seen.status, stdout.as_str()), expected, "{}", seen.stderr);
        assert!(seen.stderr.contains(said), "{}", seen.stderr);
        let listed = String::from_utf8(home.run(["list-backends", "--json"]).stdout).unwrap();
        let expected = format!(r#""backend":"age","in_chain":true,"status":"{status}""#);
        assert!(listed.contains(&expected), "{listed}");
    };
    answers(&home, "unavailable", ".passage/store does not exist");
    home.write(".passage/identities", "");
    answers(&home, "failed", ".passage/store does not exist");
    fs::remove_file(home.path().join(".passage/identities")).unwrap();
    answers(&home, "failed", ".passage/store does not exist");
    fs::remove_dir(home.path().join(".passage")).unwrap();
    for key in ["store", "identities"] {
        let text = format!("mxm_secrets: {{age: {{{key}: /mnt/gone}}}}\n");
        let file = home.write("config.yaml", text);
        home.set("MXM_SECRETS_CONFIG", file);
        answers(&home, "failed", "does not exist");
        home.set("MXM_SECRETS_CONFIG", "");
    }
    home.set("PASSAGE_DIR", "/mnt/gone");
    answers(&home, "failed", "the age store /mnt/gone does not exist");
    // It would be another store in every directory.
    home.write("here/a.age", "");
    home.set("PASSAGE_DIR", "here");
    answers(
        &home,
        "failed",
        "$PASSAGE_DIR is not an absolute path: here",
    );
}

#[test]
#[cfg(feature = "config")]
fn the_environment_wins_over_the_configuration() {
    let Some(mut store) = Store::new() else {
        return;
    };
    store.insert("a", "of the file");
    let from = store.home.path().join(".passage");
    let to = store.home.path().join("configured");
    fs::rename(&from, &to).unwrap();
    store.home.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets:\n  age: {store: ~/configured/store, identities: ~/configured/identities}\n",
    );
    store.home.run(["get", "a"]).is(0, "of the file\n", "");
    let other = store.home.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("b.age"), "").unwrap();
    store.home.set("PASSAGE_DIR", &other);
    for (arguments, status, told) in [
        (&["resolve", "--explain", "a"] as &[_], 1, "/other/a.age"),
        (&["config"], 0, "$PASSAGE_DIR"),
    ] {
        let seen = store.home.run(arguments);
        let shown = String::from_utf8(seen.stdout).unwrap();
        assert_eq!(seen.status, Some(status), "{shown}");
        assert!(shown.contains(told), "no {told} in {shown}");
    }
}

#[test]
fn without_a_store_the_next_backend_is_asked() {
    let Some(mut store) = Store::new() else {
        return;
    };
    fs::remove_dir_all(store.home.path().join(".passage")).unwrap();
    store
        .home
        .set("MXM_SECRETS_BACKENDS", "age,env")
        .set("A", "from env");
    store.home.run(["get", "a"]).is(0, "from env\n", "");
    store.home.run(["get", "--backend", "age", "a"]).has(
        4,
        "",
        &["a: failed: age: the age store "],
    );
    // A file where the store should be is another matter.
    store.home.write(".passage/store", "");
    store.fails("a", &["is not a directory"]);
}

#[test]
fn links_may_leave_the_store() {
    let Some(store) = Store::new() else { return };
    let file = store.insert("a", "linked");
    let elsewhere = store.home.path().join("elsewhere.age");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    store.home.run(["get", "a"]).is(0, "linked\n", "");
    symlink("nowhere", store.file("gone")).unwrap();
    store.fails("gone", &["gone.age is a link to nothing"]);
    // Any part of the way may be one, and a link may lead below a file.
    let home = store.home.path();
    symlink("/mnt/none", home.join(".passage/store/team")).unwrap();
    store.fails("team/key", &["store/team is a link to nothing"]);
    store.fails("team/a/key", &["store/team is a link to nothing"]);
    symlink(elsewhere.join("x"), store.file("below")).unwrap();
    store.fails("below", &["below.age is a link to nothing"]);
    symlink("round", home.join(".passage/store/round")).unwrap();
    store.fails("round/key", &["cannot read", "round"]);
    symlink("loop.age", store.file("loop")).unwrap();
    store.fails("loop", &["cannot read", "loop.age"]);
    let closed = store.insert("closed", "x");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let words = ["cannot read", "closed.age", "ermission denied"];
    transcript(&mut bound(&store.home.mxm_secrets(["get", "closed"]))).has(4, "", &words);
    symlink("/proc/self/mem", store.file("unreadable")).unwrap();
    // SAFETY: geteuid only reads.
    match unsafe { libc::geteuid() } {
        0 => store.fails("unreadable", &["unreadable.age cannot be read: "]),
        // Only root may open it.
        _ => store.fails("unreadable", &["cannot read ", "unreadable.age: "]),
    }
    for name in ["../a", "a/../../a"] {
        store.home.run(["get", name]).has(2, "", &["bad name"]);
    }
}

#[test]
fn a_store_that_is_a_link_to_nothing_is_failed() {
    let Some(mut store) = Store::new() else {
        return;
    };
    store.insert("a", "s3cret");
    let passage = store.home.path().join(".passage");
    let there = passage.join("there");
    fs::rename(passage.join("store"), &there).unwrap();
    store
        .home
        .set("MXM_SECRETS_BACKENDS", "age,env")
        .set("A", "of env");
    let ways: [&dyn Fn(); 3] = [
        &|| symlink("/mnt/none", passage.join("store")).unwrap(),
        &|| symlink("store", passage.join("store")).unwrap(),
        &|| {
            fs::rename(&passage, passage.with_extension("moved")).unwrap();
            symlink("/mnt/none", &passage).unwrap();
        },
    ];
    for way in ways {
        way();
        for more in [&[][..], &["--default", "D"]] {
            let arguments = [&["get", "a"], more].concat();
            store.home.run(arguments).has(4, "", &["failed: age: "]);
        }
        let listing =
            String::from_utf8(store.home.run(["list-backends", "--json"]).stdout).unwrap();
        let age = "\"backend\":\"age\",\"in_chain\":true,\"status\":\"failed\"";
        assert!(listing.contains(age), "{listing}");
        let _ = fs::remove_file(passage.join("store"));
    }
}

#[test]
fn what_is_no_file_for_us_is_failed_with_its_reason() {
    let Some(store) = Store::new() else { return };
    let (_, other) = identity(&find("age-keygen").unwrap());
    store.encrypt("other", &["-r", &other], "x");
    store.fails(
        "other",
        &[
            "no identity in ",
            "can decrypt ",
            "other.age (encrypted to: X25519)",
        ],
    );
    for (name, content, words) in [
        ("empty", &b""[..], "empty.age is empty"),
        (
            "junk",
            b"\x00\xffjunk that is long enough to be something, is it not?",
            "junk.age is not an age file",
        ),
        ("short", b"ag", "short.age is not an age file"),
        (
            "newer",
            b"age-encryption.org/v2\n-> X 1\nYWdl\n--- YWdl\n",
            "has an unknown version of the age format",
        ),
        (
            "armor",
            b"-----BEGIN AGE ENCRYPTED FILE-----\n!\n",
            "armor.age has a damaged armor",
        ),
    ] {
        fs::write(store.file(name), content).unwrap();
        store.fails(name, &[words]);
    }
    store.insert("large", vec![7; (16 << 20) + 1]);
    store.fails("large", &["large.age holds more than 16 MiB"]);
    let huge = fs::File::create(store.file("huge")).unwrap();
    huge.set_len(1 << 30).unwrap();
    store.fails("huge", &["huge.age is larger than 24 MiB"]);
    store.insert("limit", vec![7; 16 << 20]);
    store.encrypt(
        "limit-armored",
        &["-a", "-r", &store.recipient],
        vec![7; 16 << 20],
    );
    // Without optimisations the largest armor takes seconds, and more on a machine that is busy.
    for name in ["limit", "limit-armored"] {
        store
            .home
            .run(["get", "--timeout", "300", "--raw", name])
            .is(0, vec![7; 16 << 20], "");
    }
}

#[test]
fn no_fifo_can_hold_us_up() {
    let Some(store) = Store::new() else { return };
    for path in [store.file("fifo"), store.home.path().join("fifo")] {
        let made = Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    }
    let fifo = ["get", "--timeout", "0.5", "fifo"];
    store
        .home
        .run(fifo)
        .has(4, "", &["failed: age: ", "fifo.age was not read in time"]);
    let path = store.home.path().join("fifo");
    let _late = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    store.insert("a", "s3cret");
    let mut command = store.home.mxm_secrets(["get", "--timeout", "0.5", "a"]);
    command.env("PASSAGE_IDENTITIES_FILE", &path);
    transcript(&mut command).has(4, "", &["the identities file", "fifo was not read in time"]);
}

#[test]
fn identities_files_have_comments_blank_lines_and_crlf() {
    let Some(store) = Store::new() else { return };
    let path = store.home.path().join(".passage/identities");
    let ours = fs::read_to_string(&path).unwrap();
    let (others, _) = identity(&find("age-keygen").unwrap());
    store.insert("a", "s3cret");
    for text in [
        format!("# first\n\n{others}\n{ours}"),
        format!("{others}{ours}").replace('\n', "\r\n"),
        ours.trim_end().to_owned(),
    ] {
        store.identities(text);
        store.home.run(["get", "a"]).is(0, "s3cret\n", "");
    }
}

#[test]
fn identities_that_cannot_be_used_are_named_by_line_and_never_shown() {
    let Some(store) = Store::new() else { return };
    store.insert("a", "s3cret");
    let path = store.home.path().join(".passage/identities");
    let ours = fs::read_to_string(&path).unwrap();
    let key = ours.lines().find(|line| line.starts_with("AGE-")).unwrap();
    let damaged = format!("{}CANARY", &key[..key.len() - 6]);
    for (line, words) in [
        ("AGE-SECRET-KEY-PQ-1CANARY", "is a post-quantum identity"),
        (&damaged, "is a damaged identity"),
        (
            "AGE-SECRET-KEY-9-1CANARY",
            "is not an identity of a known kind",
        ),
        (&store.recipient, "is a public key"),
        ("-----BEGIN CANARY KEY-----", "starts an SSH key"),
        ("canary CANARY", "is not an identity of a known kind"),
    ] {
        store.identities(format!("# one\r\n{line}\n{ours}"));
        let file = path.to_str().unwrap();
        store.fails("a", &["line 2 of the identities file", file, words]);
        let seen = store.home.run(["get", "-v", "a"]).stderr;
        assert!(
            !seen.contains("CANARY") && !seen.contains(&store.recipient),
            "{seen}"
        );
    }
    store.identities("\u{fe}");
    store.fails("a", &["line 1 of", "is not an identity of a known kind"]);
    store.identities(b"\xfe\xff\n");
    store.fails("a", &["line 1 of", "is not text"]);
    store.identities("# none\n");
    store.fails("a", &["has no identity"]);
    store.encrypt("key", &["-r", &store.recipient], "x");
    fs::copy(store.file("key"), &path).unwrap();
    store.fails("a", &["is encrypted for keys, not with a passphrase"]);
    fs::remove_file(&path).unwrap();
    symlink("identities", &path).unwrap();
    store.fails(
        "a",
        &["the identities file", "cannot be used: cannot read "],
    );
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    store.fails("a", &["the identities file", "is a directory"]);
}

#[test]
fn a_miss_needs_no_identities() {
    let Some(store) = Store::new() else { return };
    store.insert("b", "value");
    fs::remove_file(store.home.path().join(".passage/identities")).unwrap();
    store.home.run(["get", "a"]).has(1, "", &["a: missing"]);
}

#[test]
fn others_who_can_read_the_identities_are_warned_of() {
    let Some(store) = Store::new() else { return };
    store.insert("a", "s3cret");
    let path = store.home.path().join(".passage/identities");
    let shown = path.display();
    for (mode, whom) in [
        (0o644, "everyone"),
        (0o604, "everyone"),
        (0o640, "the group bin (2)"),
    ] {
        if mode == 0o640 && std::os::unix::fs::chown(&path, None, Some(2)).is_err() {
            return not_run("only root can give files to a group that it is not in");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let me = Command::new("id").arg("-un").output().unwrap().stdout;
        let me = String::from_utf8(me).unwrap();
        // SAFETY: it only reads a number.
        let owner = format!("{} ({})", me.trim_end(), unsafe { libc::geteuid() });
        store.home.run(["get", "a"]).is(
            0,
            "s3cret\n",
            &format!(
                "mxm-secrets: warning: {whom} can read {shown}, which belongs to {owner}\n\
                 mxm-secrets: hint: chmod 600 {shown}\n"
            ),
        );
        store
            .home
            .run(["get", "--quiet", "a"])
            .is(0, "s3cret\n", "");
    }
}

/// Nothing of such a file is believed, least of all which program to start.
/// Also where everybody in a group of several may write to what is made, and the identities are then refused.
#[test]
fn the_recipe_of_the_readme_works_with_every_umask() {
    let root = fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0);
    if !root {
        return not_run("only root can change its group");
    }
    let recipe = crate::readme::block("age: secrets in encrypted files");
    for (umask, group) in [("022", "0"), ("002", "2"), ("000", "0")] {
        let Some(setpriv) = program("setpriv") else {
            return;
        };
        let home = Home::new();
        for name in ["age", "age-keygen"] {
            let Some(program) = program(name) else { return };
            home.install(name, &program);
        }
        home.link(&["mkdir", "sh"]);
        home.install("mxm-secrets", crate::support::program_under_test());
        let script = format!("umask {umask}\n{recipe}");
        let by = ["--regid", group, "--clear-groups", "sh", "-c", &script];
        let mut command = home.command(setpriv);
        let seen = transcript(command.args(by).stderr(Stdio::null()));
        assert_eq!((seen.status, &*seen.stdout), (Some(0), &b"s3cret\n"[..]));
    }
}

#[test]
fn identities_that_others_can_write_are_refused() {
    let Some(store) = Store::new() else { return };
    store.insert("a", "s3cret");
    let path = store.home.path().join(".passage/identities");
    store.home.fake("age-plugin-fake", "exit 1");
    let ours = fs::read_to_string(&path).unwrap();
    store.identities(format!("AGE-PLUGIN-FAKE-1DPJKCMR0YMXKZ5\n{ours}"));
    let shown = path.display().to_string();
    let refused = |file: &Path, mode: u32, words: &[&str]| {
        let before = fs::metadata(file).unwrap().permissions();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        store.fails("a", words);
        let listing =
            String::from_utf8(store.home.run(["list-backends", "--json"]).stdout).unwrap();
        let age = "\"backend\":\"age\",\"in_chain\":true,\"status\":\"failed\"";
        assert!(listing.contains(age), "{listing}");
        fs::set_permissions(file, before).unwrap();
    };
    for mode in [0o602, 0o606, 0o666] {
        let words = [
            &*format!("everyone can write to {shown}"),
            "hint: chmod o-w",
        ];
        refused(&path, mode, &words);
    }
    let parent = path.parent().unwrap();
    refused(
        parent,
        0o777,
        &["everyone can write to ", "hint: chmod o-w"],
    );
    // Not by the path that is given, but where it leads to.
    let elsewhere = store.home.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    refused(&elsewhere, 0o602, &["everyone can write to ", "elsewhere"]);
    if std::os::unix::fs::chown(&elsewhere, None, Some(2)).is_err() {
        return not_run("only root can give files to a group that it is not in");
    }
    refused(&elsewhere, 0o620, &["the group bin (2) can write to "]);
    assert_eq!(store.home.log("age-plugin-fake"), Vec::<String>::new());
    // The same file, and nobody else may write it.
    store.home.run(["get", "a"]).is(0, "s3cret\n", "");
}

#[test]
fn what_was_mangled_on_its_way_is_told() {
    let Some(store) = Store::new() else { return };
    let crlf = |bytes: Vec<u8>| {
        let mut mangled = Vec::new();
        for byte in bytes {
            mangled.extend((byte == b'\n').then_some(b'\r'));
            mangled.push(byte);
        }
        mangled
    };
    let binary = fs::read(store.insert("binary", "s3cret")).unwrap();
    let arguments = ["-a", "-r", &store.recipient];
    let armored = fs::read(store.encrypt("armored", &arguments, "s3cret")).unwrap();
    fs::write(store.file("a"), crlf(armored.clone())).unwrap();
    store.home.run(["get", "a"]).is(0, "s3cret\n", "");
    let before = |text: &[u8]| [text, &armored].concat();
    for (content, words) in [
        (
            crlf(binary.clone()),
            "was damaged by a conversion of its line ends to CRLF",
        ),
        (
            before(b"Here it is:\n\n"),
            "has text before the line -----BEGIN AGE ENCRYPTED FILE-----",
        ),
        (before(b"# "), "has text before the line"),
        // A byte order mark.
        (before(b"\xef\xbb\xbf"), "has text before the line"),
        ([&b"\0"[..], &binary].concat(), "is not an age file"),
    ] {
        fs::write(store.file("a"), content).unwrap();
        store.fails("a", &["/a.age ", words]);
    }
    store.insert("a", "s3cret");
    let text = String::from_utf8(armored).unwrap();
    store.identities(format!("# created: today\n{text}"));
    let words = "starts an encrypted file: remove everything before that line";
    store.fails("a", &["line 2 of the identities file", words]);
    // ssh-keygen and openssl write this form, and age itself reads it.
    for passphrase in ["", "passphrase"] {
        let arguments = ["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", passphrase];
        let Some((key, recipient)) = ssh_key(&store.home, &arguments) else {
            return;
        };
        store.encrypt("a", &["-r", &recipient], "of RSA");
        let path = store.identities(fs::read(key).unwrap());
        let convert = format!(
            "hint: convert it with ssh-keygen -o -p -f {}",
            path.display()
        );
        store.fails("a", &["is in the PKCS#8 format", &convert]);
        let mut command = store.home.command(find("ssh-keygen").unwrap());
        command
            .args(["-q", "-o", "-p", "-P", passphrase, "-N", "", "-f"])
            .arg(&path);
        transcript(&mut command).has(
            0,
            "Your identification has been saved with the new passphrase.\n",
            &[],
        );
        store.home.run(["get", "a"]).is(0, "of RSA\n", "");
    }
}

#[test]
fn ssh_keys_are_identities() {
    let Some(store) = Store::new() else { return };
    let get = || store.home.run(["get", "a"]);
    for kind in [
        &["-t", "ed25519"][..],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "rsa", "-b", "3072", "-m", "PEM"],
    ] {
        let arguments = [kind, &["-N", ""]].concat();
        let Some((key, recipient)) = ssh_key(&store.home, &arguments) else {
            return;
        };
        store.encrypt("a", &["-r", &recipient], kind.join(" "));
        let key = fs::read_to_string(key).unwrap();
        store.identities(&key);
        get().is(0, format!("{}\n", kind.join(" ")), "");
        store.identities(key.replace('\n', "\r\n"));
        get().is(0, format!("{}\n", kind.join(" ")), "");
        store.identities(&key[..key.len() / 2]);
        store.fails("a", &["the SSH key", "is damaged"]);
    }
    let Some((key, _)) = ssh_key(&store.home, &["-t", "ecdsa", "-N", ""]) else {
        return;
    };
    store.identities(fs::read(key).unwrap());
    store.fails("a", &["the SSH key", "only ed25519 and RSA are supported"]);
    let old = ["-t", "rsa", "-m", "PEM", "-N", "passphrase"];
    let Some((key, _)) = ssh_key(&store.home, &old) else {
        return;
    };
    store.identities(fs::read(key).unwrap());
    store.fails(
        "a",
        &[
            "in the old PEM format",
            "hint: convert it with ssh-keygen -o -p",
        ],
    );
}

#[test]
fn it_works_in_every_command() {
    let Some(store) = Store::new() else { return };
    let names: Vec<String> = (0..20).map(|n| format!("many/n{n}")).collect();
    for name in &names {
        store.insert(name, format!("value of {name}"));
    }
    let mut arguments = vec!["exec".to_owned()];
    for name in &names {
        arguments.extend(["--secret".to_owned(), name.clone()]);
    }
    store.home.link(&["sh"]);
    arguments.extend(["--", "sh", "-c", "echo $MANY_N0, $MANY_N19"].map(str::to_owned));
    store
        .home
        .run(&arguments)
        .is(0, "value of many/n0, value of many/n19\n", "");
    let place = store.file("many/n7").display().to_string();
    store
        .home
        .run(["resolve", "many/n7"])
        .is(0, format!("many/n7\tage\t{place}\n"), "");
    let (x25519, _) = identity(&find("age-keygen").unwrap());
    let ours = fs::read_to_string(store.home.path().join(".passage/identities")).unwrap();
    store.identities(format!("{ours}{x25519}AGE-PLUGIN-FAKE-1DPJKCMR0YMXKZ5\n"));
    let seen = store.home.run(["list-backends", "--json"]);
    let home = store.home.path().display();
    let uses = format!(
        "\"status\":\"ready\",\"uses\":\"{home}/.passage/store, {home}/.passage/identities \
         (2 X25519, 1 age-plugin-fake (not on PATH))\""
    );
    let shown = String::from_utf8(seen.stdout).unwrap();
    assert!(shown.contains(&uses), "{shown}");
    fs::remove_file(store.home.path().join(".passage/identities")).unwrap();
    let seen = store.home.run(["list-backends"]);
    let shown = String::from_utf8(seen.stdout).unwrap();
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(seen.status, Some(4), "{shown}");
    assert!(shown.contains("does not exist"), "{shown}");
}
