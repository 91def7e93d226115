//! The mounted files: places, kinds of files, permissions, and mounts that change while they are read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::bounds::in_time;
use crate::support::rights::{again, bound};
use crate::support::{Home, Transcript, find, not_run, program, program_under_test, transcript};

const GET: [&str; 3] = ["get", "--backend", "credentials"];

/// A home whose directory `mnt` is what systemd would name.
fn mounted() -> Home {
    let mut home = Home::new();
    home.write("mnt/other", "x");
    let directory = home.path().join("mnt");
    home.set("CREDENTIALS_DIRECTORY", &directory);
    home
}

fn get(home: &Home, name: &str) -> Transcript {
    let arguments = [&GET[..], &["--raw", name]].concat();
    transcript(&mut home.mxm_secrets(arguments))
}

fn explain(home: &Home, name: &str) -> Transcript {
    home.run([&GET[..], &["--verbose", name]].concat())
}

#[test]
fn a_file_is_found_byte_for_byte() {
    let home = mounted();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    home.write("mnt/prod_api-key", &bytes);
    home.write("mnt/token", "t\n");
    get(&home, "prod/api-key").is(0, &bytes, "");
    get(&home, "token").is(0, "t\n", "");
    let path = home.path().join("mnt/token");
    let path = path.display();
    home.run(["resolve", "--backend", "credentials", "token"])
        .is(0, format!("token\tcredentials\t{path}\n"), "");
}

#[test]
fn a_field_is_picked() {
    let home = mounted();
    home.write("mnt/prod_db", r#"{"user":"ann","password":"p"}"#);
    get(&home, "prod/db#password").is(0, "p", "");
    explain(&home, "prod/db#none").has(1, "", &["miss: prod/db has no field none"]);
}

/// What was cut short may have had the field, so no default stands for it.
#[test]
fn a_broken_object_lacks_no_field() {
    let home = mounted();
    for text in [
        r#"{"user":"ann","passw"#,
        "{\"user\": \"ann\",\n}\n",
        "\u{feff}{\"password\":\"p\"}",
    ] {
        home.write("mnt/prod_db", text);
        let arguments = [&GET[..], &["--default", "d", "prod/db#password"]].concat();
        home.run(arguments).has(
            4,
            "",
            &["prod/db begins as a JSON object and is none, so whether it has a field password is not known: "],
        );
        get(&home, "prod/db").is(0, text, "");
    }
    // A password, and what pass has below it.
    home.write("mnt/prod_db", "{\"pw\nuser: ann\n");
    get(&home, "prod/db#user").is(0, "ann", "");
    get(&home, "prod/db#").is(0, "{\"pw", "");
    home.write("mnt/prod_db", "{pw\nuser: ann\n");
    explain(&home, "prod/db#none").has(1, "", &["miss: prod/db has no field none"]);
}

/// As `LoadCredential=` through the socket of `credential` leaves it.
#[test]
fn a_field_may_be_a_file_of_its_own() {
    let home = mounted();
    let mount = home.path().join("mnt");
    let file = mount.join("prod_db#password");
    home.write("mnt/prod_db#password", "alone\n\0\n");
    get(&home, "prod/db#password").is(0, "alone\n\0\n", "");
    let resolve = ["resolve", "--backend", "credentials", "prod/db#password"];
    let located = |end: &str| {
        let file = file.display();
        let line = format!("prod/db#password\tcredentials\t{file}{end}\n");
        home.run(resolve).is(0, line, "");
    };
    located(" (the whole file)");
    home.write("mnt/prod_db#password", "of exec");
    let exec = ["exec", "--backend", "credentials", "--secret"];
    let command = [
        "P=prod/db#password",
        "--",
        "/bin/sh",
        "-c",
        "printf %s \"$P\"",
    ];
    home.run([&exec[..], &command].concat())
        .is(0, "of exec", "");
    // The file of the secret has the other fields and the first line.
    home.write("mnt/prod_db", "first\nuser: ann\npassword: p\n");
    get(&home, "prod/db#password").is(0, "of exec", "");
    get(&home, "prod/db#user").is(0, "ann", "");
    home.write("mnt/prod_db#", "x");
    get(&home, "prod/db#").is(0, "first", "");
    // What cannot be read is failed, and nothing is, is nothing: the field of the other file may be an old one.
    home.write("mnt/prod_db#password", "");
    explain(&home, "prod/db#password").has(1, "", &["miss: prod/db#password is empty"]);
    fs::remove_file(&file).unwrap();
    symlink("nothing", &file).unwrap();
    get(&home, "prod/db#password").has(4, "", &["is a link to nothing"]);
    fs::remove_file(&file).unwrap();
    symlink("/dev/null", &file).unwrap();
    get(&home, "prod/db#password").has(4, "", &["is a device, not a file"]);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    get(&home, "prod/db#password").has(4, "", &["is empty: is something to be mounted there?"]);
    home.write("mnt/prod_db#password/more", "x");
    get(&home, "prod/db#password").is(0, "p", "");
    fs::remove_dir_all(&file).unwrap();
    located("");
    // No file can be called so.
    for field in ["a/b", "a:b", "\u{e9}", &"x".repeat(300)] {
        home.write("mnt/prod_db", format!("first\n{field}: p\n"));
        get(&home, &format!("prod/db#{field}")).is(0, "p", "");
    }
}

#[test]
fn an_empty_file_is_a_miss() {
    let home = mounted();
    home.write("mnt/empty", "");
    explain(&home, "empty").has(1, "", &["miss: empty is empty"]);
}

#[test]
fn the_literal_path_is_found_and_two_files_are_an_error_that_names_both() {
    let home = mounted();
    home.write("mnt/prod/api-key", "nested");
    get(&home, "prod/api-key").is(0, "nested", "");
    home.write("mnt/prod_api-key", "flat");
    let mount = home.path().join("mnt");
    let (flat, nested) = (mount.join("prod_api-key"), mount.join("prod/api-key"));
    get(&home, "prod/api-key").has(
        4,
        "",
        &[
            &format!("there twice: {} and {}", flat.display(), nested.display()),
            "hint: remove one of them: it is ambiguous",
        ],
    );
}

#[test]
fn a_directory_is_a_miss() {
    let home = mounted();
    home.write("mnt/prod/api-key/more", "x");
    let flat = home.path().join("mnt/prod_api-key");
    fs::create_dir(&flat).unwrap();
    // As Compose makes it, where it does not find the file that it is to mount.
    let empty = format!(
        "{} is empty: is something to be mounted there?",
        flat.display()
    );
    get(&home, "prod/api-key").has(4, "", &[&empty]);
    home.write("mnt/prod_api-key/more", "x");
    explain(&home, "prod/api-key").has(1, "", &["miss: prod/api-key is a folder: "]);
    // A file where the nested place would have a directory.
    explain(&home, "other/x").has(1, "", &["miss: other/x is not in"]);
}

#[test]
fn what_is_no_file_is_failed_and_never_waited_for() {
    let home = mounted();
    let mount = home.path().join("mnt");
    let fifo = Command::new("mkfifo").arg(mount.join("fifo")).status();
    assert!(fifo.unwrap().success());
    let _socket = UnixListener::bind(mount.join("socket")).unwrap();
    symlink("/dev/zero", mount.join("zero")).unwrap();
    symlink("/dev/null", mount.join("null")).unwrap();
    for (name, what) in [
        ("fifo", "a FIFO"),
        ("socket", "a socket"),
        ("zero", "a device"),
        ("null", "a device"),
    ] {
        get(&home, name).has(4, "", &[&format!("is {what}, not a file")]);
    }
}

#[test]
fn links_are_followed_and_broken_ones_are_failed() {
    let home = mounted();
    let mount = home.path().join("mnt");
    home.write("elsewhere", "linked");
    symlink(home.path().join("elsewhere"), mount.join("link")).unwrap();
    symlink("nothing", mount.join("broken")).unwrap();
    symlink("loop", mount.join("loop")).unwrap();
    get(&home, "link").is(0, "linked", "");
    get(&home, "broken").has(4, "", &["is a link to nothing"]);
    get(&home, "loop").has(4, "", &["cannot read "]);
    // Any part of the way may be one.
    symlink("/mnt/none", mount.join("team")).unwrap();
    get(&home, "team/key").has(4, "", &["mnt/team is a link to nothing"]);
    symlink("round", mount.join("round")).unwrap();
    get(&home, "round/key").has(4, "", &["cannot read "]);
    symlink("other/x", mount.join("below")).unwrap();
    get(&home, "below").has(4, "", &["mnt/below is a link to nothing"]);
}

#[test]
fn a_directory_that_is_a_link_to_nothing_is_failed() {
    let mut home = mounted();
    let (mount, gone) = (home.path().join("mnt"), home.path().join("gone"));
    fs::rename(&mount, &gone).unwrap();
    symlink("/mnt/none", &mount).unwrap();
    home.set("MXM_SECRETS_BACKENDS", "credentials,env")
        .set("A", "of env");
    let fails = |home: &Home, words: &str| {
        for more in [&[][..], &["--default", "D"]] {
            let seen = home.run([&["get", "a"], more].concat());
            seen.has(4, "", &["failed: credentials: ", words]);
        }
        let listing = String::from_utf8(home.run(["list-backends", "--json"]).stdout).unwrap();
        let failed = r#""backend":"credentials","in_chain":true,"status":"failed""#;
        assert!(listing.contains(failed), "{listing}");
    };
    fails(&home, "mnt is a link to nothing");
    // A part of the way to it.
    home.set("CREDENTIALS_DIRECTORY", mount.join("deep/er"));
    fails(&home, "mnt is a link to nothing");
    fs::remove_file(&mount).unwrap();
    symlink("mnt", &mount).unwrap();
    fails(&home, "cannot ");
}

/// All files of such a volume are links through `..data`, whatever is asked for.
#[test]
fn a_volume_of_kubernetes_without_its_data_is_failed() {
    let mut home = mounted();
    let mount = home.path().join("mnt");
    publish(&mount, 0, "value");
    symlink("..data/prod_api-key", mount.join("prod_api-key")).unwrap();
    symlink("..data/prod", mount.join("prod")).unwrap();
    get(&home, "prod/nested").is(0, "value", "");
    get(&home, "none").has(1, "", &["none: missing"]);
    home.set("MXM_SECRETS_BACKENDS", "credentials,env")
        .set("NONE", "of env");
    let fails = |words: &str| {
        for name in ["prod/api-key", "prod/nested", "none", "a:b"] {
            home.run(["get", name])
                .has(4, "", &["failed: credentials: ", words]);
        }
        let listing = String::from_utf8(home.run(["list-backends", "--json"]).stdout).unwrap();
        let failed = r#""backend":"credentials","in_chain":true,"status":"failed""#;
        assert!(listing.contains(failed), "{listing}");
    };
    fs::rename(mount.join("..0"), home.path().join("moved")).unwrap();
    fails("link to nothing");
    fs::remove_file(mount.join("..data")).unwrap();
    fails("");
}

#[test]
fn names_that_no_mount_can_have_are_misses_that_say_so() {
    let home = mounted();
    home.write("mnt/a b", "blank");
    get(&home, "a b").is(0, "blank", "");
    explain(&home, "a:b").has(1, "", &["a:b cannot be mounted", "must not contain ':'"]);
    explain(&home, "schlüssel").has(1, "", &["cannot be mounted", "must be ASCII"]);
    let long = "x".repeat(256);
    explain(&home, &long).has(1, "", &["must not be longer than 255 bytes"]);
    // Too long for one file, not for a path.
    let long = format!("{}/{}", "x".repeat(200), "y".repeat(200));
    explain(&home, &long).has(1, "", &["is not in"]);
    home.write(&format!("mnt/{long}"), "deep");
    get(&home, &long).is(0, "deep", "");
}

#[test]
fn the_limit_is_16_mib() {
    let home = mounted();
    let file = home.write("mnt/large", "");
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_len(16 << 20).unwrap();
    assert_eq!(get(&home, "large").stdout.len(), 16 << 20);
    file.set_len((16 << 20) + 1).unwrap();
    get(&home, "large").has(4, "", &["large: ", "is larger than 16 MiB"]);
}

#[test]
fn nothing_is_read_without_end() {
    let home = mounted();
    let file = home.write("mnt/worst", "");
    let file = fs::File::options().write(true).open(file).unwrap();
    let links = home.path().join("mnt");
    for number in 0..20_000 {
        symlink("other", links.join(format!("link{number}"))).unwrap();
    }
    for (length, name, status) in [
        (16 << 20, "worst", 0),
        ((16 << 20) + 1, "worst", 4),
        (1 << 40, "worst", 4),
        (0, "none", 1),
    ] {
        file.set_len(length).unwrap();
        let arguments = [&GET[..], &["--raw", "--timeout", "2", name]].concat();
        let what = format!("credentials: {name}, {length} bytes");
        let seen = in_time(&what, 2.0, || home.mxm_secrets(&arguments));
        assert_eq!(seen.status, Some(status), "{name}: {}", seen.stderr);
    }
}

#[test]
fn without_any_directory_it_is_unavailable() {
    let mut home = Home::new();
    home.set("K", "v");
    if Path::new("/run/secrets").exists() {
        return not_run("/run/secrets is on this machine");
    }
    home.set("MXM_SECRETS_BACKENDS", "credentials,env");
    home.run(["get", "--verbose", "k"]).has(
        0,
        "v\n",
        &["credentials: unavailable: $CREDENTIALS_DIRECTORY is not set, and /run/secrets"],
    );
    let listing = home.run(["list-backends", "--json"]).stdout;
    let listing = String::from_utf8(listing).unwrap();
    let expected = r#""backend":"credentials","in_chain":true,"status":"unavailable""#;
    assert!(listing.contains(expected), "{listing}");
    home.set("CREDENTIALS_DIRECTORY", "");
    home.run(["get", "--backend", "credentials", "k"]).has(
        4,
        "",
        &["$CREDENTIALS_DIRECTORY is not set, and /run/secrets does not exist"],
    );
    home.set("CREDENTIALS_DIRECTORY", "mnt");
    get(&home, "k").has(4, "", &["is not an absolute path: mnt"]);
}

#[test]
fn run_secrets_comes_after_the_variable() {
    let home = mounted();
    home.write("run/secrets/only-here", "docker");
    home.write("run/secrets/both", "docker");
    home.write("mnt/both", "systemd");
    // A mount namespace, in which the home's directory is /run.
    let script = r#"mount --bind "$HOME/run" /run && exec "$@""#;
    let unshare = |arguments: &[&str]| {
        let inner = home.mxm_secrets([&GET[..], arguments].concat());
        let mut outer = Command::new(find("unshare").unwrap());
        outer.args(["-rm", "--", "/bin/sh", "-c", script, "sh"]);
        outer.arg(inner.get_program());
        let mut outer = again(&inner, outer);
        transcript(outer.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    };
    let first = unshare(&["only-here"]);
    if first.stderr.contains("unshare") || first.stderr.contains("mount:") {
        return not_run(&format!("no namespaces here: {}", first.stderr));
    }
    first.is(0, "docker\n", "");
    unshare(&["both"]).is(0, "systemd\n", "");
    unshare(&["--verbose", "neither"]).has(1, "", &["/mnt or /run/secrets"]);
}

/// Whoever names a directory says that it is there: only the built-in one may be absent.
#[test]
fn a_directory_that_is_named_and_gone_is_failed() {
    let failed = |home: &Home| {
        let said = ["nowhere does not exist", "hint: systemd's LoadCredential="];
        home.run(["get", "k", "--default", "d"]).has(4, "", &said);
        let listing = home.run(["list-backends", "--json"]).stdout;
        let listing = String::from_utf8(listing).unwrap();
        let expected = r#""backend":"credentials","in_chain":true,"status":"failed""#;
        assert!(listing.contains(expected), "{listing}");
    };
    let mut home = Home::new();
    home.set("K", "v");
    home.set("MXM_SECRETS_BACKENDS", "credentials,env");
    let file = home.write("config.yaml", "mxm_secrets: {}\n");
    home.set("MXM_SECRETS_CONFIG", file);
    home.write("there/k", "of the directory after it");
    for directories in ["[nowhere]", "nowhere", "[nowhere, there]"] {
        let text = format!("mxm_secrets:\n  credentials: {{directories: {directories}}}\n");
        home.write("config.yaml", text);
        failed(&home);
    }
    home.write("config.yaml", "mxm_secrets: {}\n");
    let nowhere = home.path().join("nowhere");
    home.set("CREDENTIALS_DIRECTORY", nowhere);
    failed(&home);
    home.write(
        "config.yaml",
        "mxm_secrets: {credentials: {directories: [there]}}\n",
    );
    failed(&home);
}

#[test]
fn configured_directories_are_looked_at_in_order() {
    let mut home = Home::new();
    home.write("a/both", "first");
    home.write("b/both", "second");
    home.write("b/only", "b");
    home.write("file", "x");
    let config = |home: &Home, directories: &str| {
        let text = format!("mxm_secrets:\n  credentials: {{directories: {directories}}}\n");
        home.write("config.yaml", text);
    };
    config(&home, "[a, ~/b]");
    let file = home.path().join("config.yaml");
    home.set("MXM_SECRETS_CONFIG", file);
    get(&home, "both").is(0, "first", "");
    get(&home, "only").is(0, "b", "");
    explain(&home, "none").has(1, "", &["miss: none is not in"]);
    config(&home, "file");
    get(&home, "both").has(4, "", &["file cannot be searched: Not a directory"]);
    config(&home, "[]");
    get(&home, "both").has(4, "", &["no directory is configured"]);
    home.write("mnt/both", "systemd");
    let directory = home.path().join("mnt");
    home.set("CREDENTIALS_DIRECTORY", directory);
    config(&home, "[a]");
    get(&home, "both").is(0, "systemd", "");
}

#[test]
fn what_may_not_be_read_is_failed() {
    let home = mounted();
    let file = home.write("mnt/prod_api-key", "s3cret");
    let denied = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let command = home.mxm_secrets([&GET[..], &["prod/api-key"]].concat());
        transcript(&mut bound(&command))
    };
    denied(&file, 0).has(4, "", &["prod/api-key: ", "Permission denied", "hint: "]);
    denied(&file, 0o400).is(0, "s3cret\n", "");
    let mount = home.path().join("mnt");
    denied(&mount, 0).has(4, "", &["Permission denied"]);
    let command = home.mxm_secrets(["list-backends", "--json"]);
    let listing = transcript(&mut bound(&command));
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains("cannot be searched"), "{listing}");
    denied(&mount, 0o700).is(0, "s3cret\n", "");
    // The one that could tell is a denied one, whatever the other place has.
    home.write("mnt/prod/api-key", "nested");
    denied(&file, 0).has(4, "", &["Permission denied"]);
    fs::remove_file(&file).unwrap();
    denied(&mount.join("prod"), 0).has(4, "", &["Permission denied"]);
    denied(&mount.join("prod"), 0o700).is(0, "nested\n", "");
}

/// Puts the files of one version where the kubelet would, and removes the version before it, as the kubelet does.
fn publish(mount: &Path, version: usize, value: &str) {
    let name = format!("..{version}");
    fs::create_dir(mount.join(&name)).unwrap();
    fs::write(mount.join(&name).join("prod_api-key"), value).unwrap();
    fs::create_dir(mount.join(&name).join("prod")).unwrap();
    fs::write(mount.join(&name).join("prod/nested"), value).unwrap();
    symlink(&name, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if version > 0 {
        fs::remove_dir_all(mount.join(format!("..{}", version - 1))).unwrap();
    }
}

#[test]
fn a_volume_of_kubernetes_can_change_while_it_is_read() {
    let home = mounted();
    let mount = home.path().join("mnt");
    let values = ["old".repeat(20_000), "new".repeat(30_000)];
    publish(&mount, 0, &values[0]);
    symlink("..data/prod_api-key", mount.join("prod_api-key")).unwrap();
    symlink("..data/prod", mount.join("prod")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut version = 0;
            // A thousand times, and on until the readers have read often enough.
            while version < 1000 || !over.load(Ordering::Relaxed) {
                version += 1;
                publish(&mount, version, &values[version % 2]);
            }
        });
        let mut seen = [0; 2];
        let mut reads = 0;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while reads < 200 || (!writer.is_finished() && reads < 100_000) {
                let name = ["prod/api-key", "prod/nested"][reads % 2];
                let read = get(&home, name);
                assert_eq!((read.status, read.stderr.as_str()), (Some(0), ""));
                let which = values
                    .iter()
                    .position(|value| value.as_bytes() == read.stdout)
                    .expect("the old or the new content, never a mix");
                seen[which] += 1;
                reads += 1;
                over.store(reads >= 200, Ordering::Relaxed);
                explain(&home, "prod/none").has(1, "", &["is not in"]);
            }
        }));
        over.store(true, Ordering::Relaxed);
        result.unwrap();
        assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    });
}

#[test]
fn a_file_can_be_replaced_while_it_is_read() {
    let home = mounted();
    let values = ["a".repeat(3 << 20), "b".repeat(2 << 20)];
    let file = home.write("mnt/token", &values[0]);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for value in values.iter().cycle() {
                let next = home.write("mnt/.token", value);
                fs::rename(next, &file).unwrap();
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let reads: Vec<Transcript> = (0..50).map(|_| get(&home, "token")).collect();
        over.store(true, Ordering::Relaxed);
        for read in reads {
            assert_eq!(read.status, Some(0), "{}", read.stderr);
            assert!(values.iter().any(|value| value.as_bytes() == read.stdout));
        }
    });
}

#[test]
fn a_credential_of_systemd_is_found() {
    let home = Home::new();
    let source = home.write("source", "from systemd");
    if Path::new("/run/systemd/system").exists() && program("systemd-run").is_some() {
        let mut command = Command::new("systemd-run");
        // SAFETY: geteuid only reads.
        if unsafe { libc::geteuid() } != 0 {
            command.arg("--user");
        }
        command
            .args(["--quiet", "--wait", "--pipe", "--collect", "-p"])
            .arg(format!("LoadCredential=prod_api-key:{}", source.display()))
            .arg(program_under_test())
            .args(GET)
            .arg("prod/api-key");
        return transcript(&mut command).is(0, "from systemd\n", "");
    }
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr(),
        "\nNOTE: systemd does not run here: a directory with the modes and the owner of its own stands in\n"
    );
    let mut home = home;
    let file = home.write("credentials/unit.service/prod_api-key", "from systemd");
    let directory = file.parent().unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o500)).unwrap();
    home.set("CREDENTIALS_DIRECTORY", directory);
    let command = home.mxm_secrets([&GET[..], &["prod/api-key"]].concat());
    transcript(&mut bound(&command)).is(0, "from systemd\n", "");
}
