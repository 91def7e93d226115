//! Who may change a configuration, and the programs that it names.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::support::rights::in_own_mounts;
use crate::support::{
    Home, Transcript, copy_program, find, not_run, program_under_test, transcript,
};

const FILE: &str = ".config/mxm-secrets/config.yaml";
const TEXT: &str = "mxm_secrets: {backends: [env]}\n";

fn mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Whether files can be given away; says so if not.
fn is_root() -> bool {
    let root = fs::metadata("/proc/self")
        .is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0);
    if !root {
        not_run("only root can give files away");
    }
    root
}

/// Runs the program in `home` as the user and group `number`.
fn run_as(home: &Home, number: u32, arguments: &[&str]) -> Transcript {
    let program = home.path().join("program");
    copy_program(program_under_test(), &program);
    let number = number.to_string();
    let mut command = home.command(find("setpriv").unwrap());
    command.args(["--reuid", &number, "--regid", &number, "--clear-groups"]);
    transcript(command.arg(program).args(arguments))
}

/// A home with a configuration and the secret `a` in its environment.
fn home() -> Home {
    let mut home = Home::new();
    home.set("A", "1").write(FILE, TEXT);
    home
}

#[track_caller]
fn refused(seen: &Transcript, why: &str, fix: &str) {
    seen.has(2, "", &["is not read, since it can name programs: ", why]);
    assert!(
        seen.stderr.ends_with(&format!("; fix it with: {fix}\n")),
        "{}",
        seen.stderr
    );
}

#[test]
fn a_directory_that_everyone_can_write_to_makes_the_file_untrusted() {
    let home = home();
    for directory in [".config/mxm-secrets", ".config", ""] {
        let directory = home.path().join(directory);
        let shown = directory.display().to_string();
        let shown = shown.trim_end_matches('/');
        mode(&directory, 0o777);
        refused(
            &home.run(["get", "a"]),
            &format!("everyone can write to {shown}, which belongs to "),
            &format!("chmod o-w {shown}"),
        );
        // With the sticky bit, the owner of what is in it decides.
        mode(&directory, 0o1777);
        home.run(["get", "a"]).is(0, "1\n", "");
        mode(&directory, 0o755);
    }
}

#[test]
fn every_layer_of_a_store_and_every_link_on_the_way_counts() {
    let home = home();
    let layer = home.write(
        "mxm-config-store/apps/mxm-secrets/environment.yaml",
        "prod: {}\n",
    );
    home.write("mxm-config-store/apps/mxm-secrets/default.yaml", TEXT);
    mode(&layer, 0o602);
    refused(
        &home.run(["get", "a"]),
        "environment.yaml, which",
        &format!("chmod o-w {}", layer.display()),
    );
    fs::remove_dir_all(home.path().join("mxm-config-store")).unwrap();
    // The file is good, and so is its directory, but not the one in which the link to it stands.
    let good = home.write("good/config.yaml", TEXT);
    fs::remove_file(home.path().join(FILE)).unwrap();
    fs::create_dir(home.path().join("it's open")).unwrap();
    symlink(&good, home.path().join("it's open/link")).unwrap();
    symlink("../../it's open/../it's open/link", home.path().join(FILE)).unwrap();
    home.run(["get", "a"]).is(0, "1\n", "");
    mode(home.path().join("it's open"), 0o777);
    let quoted = home.path().join(r"it'\''s open");
    refused(
        &home.run(["get", "a"]),
        "it's open, which",
        &format!("chmod o-w '{}'", quoted.display()),
    );
    // A vouched file is no different in this.
    home.run(["get", "a", "--config", "it's open/link"])
        .has(2, "", &["everyone can write to "]);
}

/// Runs the program where `home` is on a read-only mount, after `script`; `None` where nobody can mount.
fn read_only(home: &Home, script: &str, arguments: &str) -> Option<Transcript> {
    let script = format!(
        r#"mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; cd "$0"; if touch x 2>/dev/null; then exit 99; fi; {script}"#
    );
    let program = home.mxm_secrets(arguments.split(' '));
    let mut command = in_own_mounts(home, &script, home.path(), &program)?;
    Some(transcript(&mut command))
}

/// A service has a mount of its own that is read-only for it alone: where the file really is, it can be written.
#[test]
fn a_read_only_mount_vouches_for_nothing() {
    if !is_root() {
        return;
    }
    let home = home();
    let file = home.path().join(FILE);
    let shown = file.display();
    let mounted = |arguments: &str| read_only(&home, "true", arguments).unwrap();
    let Some(seen) = read_only(&home, "true", "get a") else {
        return;
    };
    seen.is(0, "1\n", "");
    mode(&file, 0o666);
    let why = format!("everyone can write to {shown}, which belongs to ");
    mounted("get a").has(2, "", &["is not read, since it can name programs: ", &why]);
    mode(&file, 0o644);
    chown(&file, Some(1), Some(1)).unwrap();
    let why = format!("{shown} belongs to daemon (1), who is neither root nor you");
    mounted("get a").has(2, "", &[&why]);
}

/// What the kubelet makes of a ConfigMap: a directory of mode 777 whose files are links into a directory of root.
#[test]
fn a_volume_of_kubernetes_is_trusted_where_it_is_mounted() {
    if !is_root() {
        return;
    }
    let home = home();
    home.write("map/..1/config.yaml", TEXT);
    let path = |name: &str| home.path().join("map").join(name);
    symlink("..1", path("..data")).unwrap();
    symlink("..data/config.yaml", path("config.yaml")).unwrap();
    mode(path(""), 0o777);
    let get = "get a --config map/config.yaml";
    let mounted = || read_only(&home, "true", get).unwrap();
    let Some(seen) = read_only(&home, "true", get) else {
        return;
    };
    seen.is(0, "1\n", "");
    let why = format!("everyone can write to {}", path("").display());
    let why = why.trim_end_matches('/');
    // Where it can be written, or anybody may have made it.
    home.run(get.split(' ')).has(2, "", &[why]);
    std::os::unix::fs::lchown(path("..data"), Some(1), Some(1)).unwrap();
    mounted().has(2, "", &[why]);
    fs::remove_file(path("..data")).unwrap();
    fs::create_dir(path("..data")).unwrap();
    home.write("map/..data/config.yaml", TEXT);
    mounted().has(2, "", &[why]);
}

/// Compose mounts a file as it is, with the owner that it has outside.
#[test]
fn a_secret_of_a_container_may_have_any_owner() {
    if !is_root() {
        return;
    }
    let home = home();
    let file = home.path().join(FILE);
    home.write("secret.yaml", TEXT);
    chown(home.path().join("secret.yaml"), Some(1), Some(1)).unwrap();
    let owner = Some("belongs to daemon (1)");
    for (place, why) in [
        ("secrets", None),
        ("secrets/deeper", owner),
        ("other", owner),
    ] {
        let target = format!("/run/{place}/config");
        let _ = fs::remove_file(&file);
        symlink(&target, &file).unwrap();
        let script = format!(
            "mount -t tmpfs -o mode=755 none /run; mkdir -p /run/{place}; : >{target}; mount --bind secret.yaml {target}"
        );
        let Some(seen) = read_only(&home, &script, "get a") else {
            return;
        };
        match why {
            None => seen.is(0, "1\n", ""),
            Some(why) => seen.has(2, "", &[why]),
        }
        // What others may write stays untrusted.
        mode(home.path().join("secret.yaml"), 0o666);
        let seen = read_only(&home, &script, "get a").unwrap();
        seen.has(2, "", &[why.unwrap_or("everyone can write to ")]);
        mode(home.path().join("secret.yaml"), 0o644);
    }
}

/// The layers of a store are read without a second look at what they have in common.
#[test]
fn each_layer_counts_for_itself() {
    let mut home = home();
    let store = home.path().join("mxm-config-store/apps/mxm-secrets");
    home.write("mxm-config-store/apps/mxm-secrets/default.yaml", TEXT);
    let layer = home.write(
        "mxm-config-store/apps/mxm-secrets/environment.yaml",
        "prod: {}\n",
    );
    home.set("MXM_ENVIRONMENT", "prod");
    let get = || home.run(["get", "a"]);
    get().is(0, "1\n", "");
    if is_root() {
        chown(&layer, Some(1), Some(1)).unwrap();
        let fix = format!("chown 0 {}", layer.display());
        refused(&get(), "belongs to daemon (1)", &fix);
        chown(&layer, Some(0), Some(0)).unwrap();
    }
    // All that is above, whichever it is.
    for above in [store.as_path(), store.parent().unwrap(), home.path()] {
        mode(above, 0o777);
        let fix = format!("chmod o-w {}", above.display());
        refused(&get(), "everyone can write to ", &fix);
        mode(above, 0o755);
    }
    // A link, to where others can write.
    let open = home.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::rename(&layer, open.join("layer")).unwrap();
    symlink(open.join("layer"), &layer).unwrap();
    get().is(0, "1\n", "");
    mode(&open, 0o777);
    refused(
        &get(),
        "open, which",
        &format!("chmod o-w {}", open.display()),
    );
    // The whole store is one.
    mode(&open, 0o755);
    let root = home.path().join("mxm-config-store");
    fs::rename(&root, open.join("store")).unwrap();
    symlink("open/store", &root).unwrap();
    get().is(0, "1\n", "");
    mode(&open, 0o777);
    refused(
        &get(),
        "open, which",
        &format!("chmod o-w {}", open.display()),
    );
}

#[test]
fn a_file_of_another_owner_is_read_only_if_the_caller_names_it() {
    if !is_root() {
        return;
    }
    let home = home();
    let file = home.path().join(FILE);
    for path in [&file, &home.path().join(".config")] {
        let shown = path.display();
        chown(path, Some(1), Some(1)).unwrap();
        refused(
            &home.run(["get", "a"]),
            &format!("{shown} belongs to daemon (1), who is neither root nor you"),
            &format!("chown 0 {shown}"),
        );
        home.run(["get", "a", "--config", FILE]).is(0, "1\n", "");
        let mut named = home.mxm_secrets(["get", "a"]);
        transcript(named.env("MXM_SECRETS_CONFIG", &file)).is(0, "1\n", "");
        chown(path, Some(0), Some(0)).unwrap();
    }
    // Of a link, its own owner counts, too: in /tmp anyone can plant one.
    let real = home.write("real.yaml", TEXT);
    fs::remove_file(&file).unwrap();
    symlink(&real, &file).unwrap();
    std::os::unix::fs::lchown(&file, Some(1), Some(1)).unwrap();
    refused(
        &home.run(["get", "a"]),
        "belongs to daemon (1)",
        &format!("chown -h 0 {}", file.display()),
    );
    // What root owns is good for everyone, and what a third one owns is not.
    fs::remove_file(&file).unwrap();
    home.write(FILE, TEXT);
    mode(home.path(), 0o755);
    run_as(&home, 2, &["get", "a"]).is(0, "1\n", "");
    chown(&file, Some(1), Some(1)).unwrap();
    refused(
        &run_as(&home, 2, &["get", "a"]),
        "belongs to daemon (1)",
        &format!("sudo chown 2 {}", file.display()),
    );
}

#[test]
fn a_group_counts_as_oneself_if_nobody_else_is_in_it() {
    if !is_root() {
        return;
    }
    let home = home();
    let file = home.path().join(FILE);
    let owned = |user, group| {
        for path in [
            home.path(),
            &home.path().join(".config"),
            file.parent().unwrap(),
            &file,
        ] {
            chown(path, Some(user), Some(group)).unwrap();
            mode(path, 0o775);
        }
    };
    owned(1, 1);
    run_as(&home, 1, &["get", "a"]).is(0, "1\n", "");
    // The group of all that have none has several members. One command is enough.
    for group in [2, 65534, 54321] {
        owned(1, group);
        let first = home.path().display();
        let fix = format!(
            "chmod g-w {first} {first}/.config {} {}",
            file.parent().unwrap().display(),
            file.display()
        );
        let seen = run_as(&home, 1, &["get", "a"]);
        refused(&seen, "the group ", &fix);
        seen.has(2, "", &[" (3 more in the same path must be changed); "]);
        fixed(&home, &fix);
        run_as(&home, 1, &["get", "a"]).is(0, "1\n", "");
    }
    // In a container a user may be a mere number, and so is its group.
    owned(54321, 54321);
    run_as(&home, 54321, &["get", "a"]).is(0, "1\n", "");
    owned(54321, 54322);
    refused_in_a_group(&run_as(&home, 54321, &["get", "a"]), "54322");
    // Of a file that is named, its owner may be one.
    owned(54321, 54321);
    home.run(["get", "a", "--config", FILE]).is(0, "1\n", "");
    owned(54321, 54322);
    refused_in_a_group(&home.run(["get", "a", "--config", FILE]), "54322");
    // Root's own.
    owned(1, 0);
    run_as(&home, 1, &["get", "a"]).is(0, "1\n", "");
    // Another user's private group is not one's own.
    owned(0, 1);
    refused_in_a_group(&home.run(["get", "a"]), "daemon (1)");
}

#[track_caller]
fn refused_in_a_group(seen: &Transcript, group: &str) {
    let why = format!("the group {group} can write to ");
    seen.has(2, "", &[&why, "; fix it with: chmod g-w "]);
}

/// Does what a message tells one to do.
fn fixed(home: &Home, fix: &str) {
    let mut command = home.command("/bin/sh");
    let path = std::env::var_os("PATH").unwrap();
    let done = command.env("PATH", path).args(["-c", fix]).status();
    assert!(done.unwrap().success(), "{fix}");
}

/// The owner, everyone, the group and an access list, of the file and of a directory.
#[cfg(target_os = "linux")]
#[test]
fn one_command_mends_all_that_is_wrong() {
    if !is_root() || find("setfacl").is_none() {
        return;
    }
    let home = home();
    let file = home.path().join(FILE);
    let directory = file.parent().unwrap();
    chown(directory, Some(1), Some(2)).unwrap();
    mode(directory, 0o777);
    mode(home.path().join(".config"), 0o777);
    if !access_list(&file, &[(2, 1), (8, 2)]) {
        return;
    }
    let seen = home.run(["get", "a"]);
    let (_, fix) = seen
        .stderr
        .trim_end()
        .split_once("; fix it with: ")
        .unwrap();
    fixed(&home, fix);
    home.run(["get", "a"]).is(0, "1\n", "");
}

/// Gives a file an access list, as setfacl does: these users and groups (kind 2 and 8) may write.
#[cfg(target_os = "linux")]
fn access_list(path: &Path, entries: &[(u8, u8)]) -> bool {
    let entry = |kind: u8, rights: u8, number: u32| {
        let mut entry = vec![kind, 0, rights, 0];
        entry.extend(number.to_le_bytes());
        entry
    };
    let mut list = vec![2, 0, 0, 0];
    list.extend(entry(0x01, 6, u32::MAX));
    for kind in [0x02, 0x04, 0x08] {
        if kind == 0x04 {
            list.extend(entry(kind, 4, u32::MAX));
        }
        for (_, number) in entries.iter().filter(|(of, _)| *of == kind) {
            list.extend(entry(kind, 6, u32::from(*number)));
        }
    }
    list.extend(entry(0x10, 6, u32::MAX));
    list.extend(entry(0x20, 4, u32::MAX));
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = c"system.posix_acl_access";
    // SAFETY: the strings end in NUL, and the list is as long as is said.
    let status = unsafe {
        libc::setxattr(
            path.as_ptr(),
            name.as_ptr(),
            list.as_ptr().cast(),
            list.len(),
            0,
        )
    };
    if status != 0 {
        not_run("this file system has no access lists");
    }
    status == 0
}

#[cfg(target_os = "linux")]
#[test]
fn access_lists_count() {
    let home = home();
    let file = home.path().join(FILE);
    let shown = file.display();
    // Root needs no entry, and has one.
    if !access_list(&file, &[(2, 0)]) {
        return;
    }
    home.run(["get", "a"]).is(0, "1\n", "");
    access_list(&file, &[(2, 1)]);
    refused(
        &home.run(["get", "a"]),
        &format!("daemon (1) can write to {shown}"),
        &format!("setfacl -x u:1 {shown}"),
    );
    access_list(&file, &[(2, 0), (8, 2)]);
    refused(
        &home.run(["get", "a"]),
        &format!("the group bin (2) can write to {shown}"),
        &format!("setfacl -x g:2 {shown}"),
    );
    // The mask takes it away again.
    mode(&file, 0o604);
    home.run(["get", "a"]).is(0, "1\n", "");
}

#[test]
fn a_program_that_others_can_change_is_not_started() {
    let home = Home::new();
    home.write(
        FILE,
        "mxm_secrets:\n  backends: [own]\n  own: {command: [~/open/tool, \"{name}\"]}\n",
    );
    home.fake("tool", "printf secret");
    fs::create_dir(home.path().join("open")).unwrap();
    let tool = home.path().join("open/tool");
    copy_program(&home.path().join("bin/tool"), &tool);
    home.run(["get", "a"]).is(0, "secret\n", "");
    let failed = |fix: &str| {
        home.run(["get", "a"]).has(
            4,
            "",
            &["failed: own: ", "can write to ", &format!("hint: {fix}\n")],
        );
        home.run(["list-backends", "--backend", "own"]).has(
            4,
            home.run(["list-backends", "--backend", "own"]).stdout,
            &[],
        );
        assert_eq!(home.log("tool").len(), 1);
    };
    mode(home.path().join("open"), 0o777);
    failed(&format!("chmod o-w {}/open", home.path().display()));
    mode(home.path().join("open"), 0o755);
    mode(&tool, 0o757);
    failed(&format!("chmod o-w {}", tool.display()));
    mode(&tool, 0o755);
    home.run(["get", "a"]).is(0, "secret\n", "");
    if is_root() {
        chown(&tool, Some(1), Some(1)).unwrap();
        home.run(["get", "a"]).has(
            4,
            "",
            &[
                "belongs to daemon (1)",
                &format!("hint: chown 0 {}", tool.display()),
            ],
        );
    }
}

#[cfg(feature = "vault")]
#[test]
fn a_token_that_others_can_change_is_not_used() {
    let mut home = Home::new();
    home.set("VAULT_ADDR", "http://127.0.0.1:1");
    let token = home.write(".vault-token", "hvs.canary");
    mode(&token, 0o602);
    let seen = home.run(["get", "a", "--backend", "vault"]);
    let fix = format!("; fix it with: chmod o-w {}", token.display());
    seen.has(4, "", &["is not read: everyone can write to ", &fix]);
    mode(&token, 0o600);
    home.run(["get", "a", "--backend", "vault"])
        .has(4, "", &["127.0.0.1:1"]);
}

/// A token, the parts of a login and a client's key.
#[cfg(feature = "vault")]
#[test]
fn a_key_of_vault_that_others_can_read_is_warned_of_once() {
    let files = ["token", "role_id", "secret_id", "jwt", "key"];
    for key in files {
        let mut home = Home::new();
        let address = if key == "key" { "https" } else { "http" };
        home.set("VAULT_ADDR", format!("{address}://127.0.0.1:1"));
        let login = match key {
            "role_id" | "secret_id" => {
                "{method: approle, role_id_file: ~/role_id, secret_id_file: ~/secret_id}"
            }
            "jwt" => "{method: jwt, jwt_file: ~/jwt, role: r}",
            _ => "{method: token}",
        };
        home.write(
            FILE,
            format!("mxm_secrets: {{backends: [vault], vault: {{auth: {login}}}}}\n"),
        );
        for file in files {
            let name = if file == "token" {
                ".vault-token"
            } else {
                file
            };
            let file_mode = if file == key { 0o644 } else { 0o600 };
            mode(home.write(name, "hvs.canary"), file_mode);
        }
        if key == "key" {
            home.set("VAULT_CLIENT_CERT", "key")
                .set("VAULT_CLIENT_KEY", "key");
        }
        let name = if key == "token" { ".vault-token" } else { key };
        let path = home.path().join(name);
        let path = path.display();
        // Without a server, a list logs nobody in.
        let commands = [&["get", "a"][..], &["list-backends"]];
        for command in &commands[..if key == "token" { 2 } else { 1 }] {
            let seen = home.run(*command);
            let warning = format!("everyone can read {path}, which belongs to ");
            assert_eq!(seen.stderr.matches(&warning).count(), 1, "{}", seen.stderr);
            assert!(seen.stderr.contains(&format!("hint: chmod 600 {path}\n")));
        }
        mode(home.path().join(name), 0o600);
        assert!(!home.run(["get", "a"]).stderr.contains("can read"));
    }
}

/// Of a key that is root's, the mode alone would close it to whoever uses it.
#[cfg(feature = "vault")]
#[test]
fn what_ends_the_warning_leaves_the_key_to_its_user() {
    if !is_root() {
        return;
    }
    for owner in [0, 2] {
        let mut home = Home::new();
        home.set("VAULT_ADDR", "http://127.0.0.1:1");
        mode(home.path(), 0o755);
        let token = home.write(".vault-token", "hvs.canary");
        chown(&token, Some(owner), None).unwrap();
        mode(&token, 0o644);
        let get = || run_as(&home, 2, &["get", "--backend", "vault", "a"]);
        let seen = get();
        seen.has(4, "", &["everyone can read ", "127.0.0.1:1"]);
        let (_, hint) = seen.stderr.split_once("hint: ").unwrap();
        let fix = hint.lines().next().unwrap().replace("sudo ", "");
        fixed(&home, &fix);
        let seen = get();
        seen.has(4, "", &["127.0.0.1:1"]);
        assert!(!seen.stderr.contains("read"), "{}", seen.stderr);
    }
}

#[test]
fn nor_is_a_gopass_that_others_can_change() {
    let home = Home::new();
    home.write(
        FILE,
        "mxm_secrets: {backends: [gopass], gopass: {command: ~/open/gopass}}\n",
    );
    home.fake("gopass", "echo secret");
    fs::create_dir(home.path().join("open")).unwrap();
    copy_program(
        &home.path().join("bin/gopass"),
        &home.path().join("open/gopass"),
    );
    mode(home.path().join("open"), 0o777);
    let fix = format!("hint: chmod o-w {}/open", home.path().display());
    home.run(["get", "a"])
        .has(4, "", &["failed: gopass: everyone can write to ", &fix]);
    assert!(home.log("gopass").is_empty());
}
