//! The kernel keyring: the real one, through keyctl.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{
    Home, Transcript, emulated, find, not_run, program, program_under_test, transcript,
};

/// A home with the tools, in which `$MXM` is the program; `None` (said loudly) where there are no keyrings.
fn home() -> Option<Home> {
    program("keyctl")?;
    if emulated("qemu has no keyctl call") {
        return None;
    }
    let shown = Command::new("keyctl").arg("show").output().unwrap();
    if !shown.status.success() {
        not_run("keyctl is not allowed here");
        return None;
    }
    let mut home = Home::new();
    home.link(&["keyctl", "setsid", "sleep", "head", "cat"]);
    home.set("MXM", program_under_test());
    Some(home)
}

/// A name that no other test has, since the keyring of the user is one for all.
fn name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test/{}-{next}", std::process::id())
}

/// Runs a script in a new session that is not linked to the user's keyring; `$N` is the name, `$K` the key's
/// description.
fn session(home: &Home, name: &str, script: &str) -> Transcript {
    let mut command = home.command(find("keyctl").unwrap());
    command.args(["session", "-", "/bin/sh", "-ec", script]);
    command.env("N", name).env("K", format!("mxm:{name}"));
    let mut transcript = transcript(&mut command);
    // What keyctl itself says.
    transcript.stderr = transcript
        .stderr
        .lines()
        .filter(|line| !line.starts_with("Joined session keyring"))
        .map(|line| format!("{line}\n"))
        .collect();
    transcript
}

/// A key in the keyring of the user, taken away at the end.
struct UserKey<'a> {
    home: &'a Home,
    id: String,
}

impl<'a> UserKey<'a> {
    fn new(home: &'a Home, name: &str, value: &str, keyring: &str) -> UserKey<'a> {
        let made = home
            .command(find("keyctl").unwrap())
            .args(["add", "user", &format!("mxm:{name}"), value, keyring])
            .output()
            .unwrap();
        assert!(made.status.success());
        let id = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        UserKey { home, id }
    }
}

impl Drop for UserKey<'_> {
    fn drop(&mut self) {
        for keyring in ["@u", "@us"] {
            let _ = self
                .home
                .command(find("keyctl").unwrap())
                .args(["unlink", &self.id, keyring])
                .stderr(Stdio::null())
                .status();
        }
    }
}

#[test]
fn a_key_of_the_session_is_found() {
    let Some(home) = home() else { return };
    let name = name();
    session(
        &home,
        &name,
        r#"keyctl add user "$K" s3cret @s >id
           "$MXM" get --backend keyring "$N"
           "$MXM" get --raw --backend keyring "$N"
           "$MXM" resolve --backend keyring "$N" >where
           setsid --wait "$MXM" get --backend keyring "$N""#,
    )
    .is(0, "s3cret\ns3crets3cret\n", "");
    let read = |file: &str| std::fs::read_to_string(home.path().join(file)).unwrap();
    assert_eq!(
        read("where"),
        format!(
            "{name}\tkeyring\tsession keyring, key {}\n",
            read("id").trim()
        )
    );
    // The session has ended, and its keys with it.
    session(&home, &name, r#""$MXM" get --backend keyring "$N""#).has(1, "", &["not in keyring"]);
}

#[test]
fn a_key_of_the_user_is_found_from_a_session_without_it() {
    let Some(home) = home() else { return };
    for (keyring, script) in [
        ("@u", r#""$MXM" get --backend keyring "$N""#),
        ("@us", r#""$MXM" get --backend keyring "$N""#),
        ("@u", r#"setsid --wait "$MXM" get --backend keyring "$N""#),
    ] {
        let name = name();
        let _key = UserKey::new(&home, &name, "from the user", keyring);
        session(&home, &name, script).is(0, "from the user\n", "");
    }
    // The premise: keyctl(1) finds such a key, and may not read it.
    let name = name();
    let key = UserKey::new(&home, &name, "x", "@u");
    session(&home, &name, &format!("keyctl print {}", key.id)).has(
        1,
        "",
        &["keyctl_read_alloc: Permission denied"],
    );
}

#[test]
fn the_session_comes_before_the_user() {
    let Some(home) = home() else { return };
    let name = name();
    let _key = UserKey::new(&home, &name, "user", "@u");
    session(
        &home,
        &name,
        r#"keyctl add user "$K" session @s >id; "$MXM" get --backend keyring "$N""#,
    )
    .is(0, "session\n", "");
}

#[cfg(feature = "config")]
#[test]
fn a_ref_may_lead_into_the_keyring() {
    let Some(home) = home() else { return };
    let name = name();
    let text = format!(
        "mxm_secrets:\n  backends: [env]\n  stores: {{k: {{backend: keyring, root: {name}}}}}\n  policies: {{p: {{allowed_principals: [ops]}}}}\n  refs: {{a: {{store: k, path: x, policy: p}}}}\n"
    );
    home.write("c.yaml", text);
    let script = r#"keyctl add user "$K/x" of-the-ring @s >id; export MXM_ROLE=ops; "$MXM" get --config c.yaml a"#;
    session(&home, &name, script).is(0, "of-the-ring\n", "");
    let script = r#"MXM_ROLE=ops "$MXM" get --config c.yaml a"#;
    session(&home, &name, script).has(1, "", &["a: missing: not in keyring"]);
}

#[test]
fn other_types_and_other_names_are_misses() {
    let Some(home) = home() else { return };
    session(
        &home,
        &name(),
        r#"keyctl add logon "$K" x @s >id; keyctl add user "$K/more" x @s >id
           "$MXM" get --verbose --backend keyring "$N""#,
    )
    .has(
        1,
        "",
        &["keyring: miss: test/", "no keyring has a user key"],
    );
}

#[test]
fn a_field_is_picked() {
    let Some(home) = home() else { return };
    session(
        &home,
        &name(),
        r#"printf 'pw\nuser: ann\n' | keyctl padd user "$K" @s >id
           "$MXM" get --backend keyring "$N#user""#,
    )
    .is(0, "ann\n", "");
}

#[test]
fn the_prefix_is_configured() {
    let Some(mut home) = home() else { return };
    let file = home.write("c.yaml", "mxm_secrets: {keyring: {prefix: 'app:x:'}}");
    home.set("MXM_SECRETS_CONFIG", file);
    session(
        &home,
        &name(),
        r#"keyctl add user "$K" mxm @s >id; keyctl add user "app:x:$N" app @s >id
           "$MXM" get --backend keyring "$N""#,
    )
    .is(0, "app\n", "");
}

#[test]
fn values_go_to_the_limit_of_the_kernel() {
    let Some(home) = home() else { return };
    // SAFETY: geteuid only reads.
    if unsafe { libc::geteuid() } != 0 {
        return not_run("only root's quota has room for a value of 32 KiB");
    }
    let script = r#"head -c "$SIZE" value | keyctl padd user "$K" @s >id
        "$MXM" get --raw --backend keyring "$N""#;
    let value: Vec<u8> = (0..=255).cycle().take(32_767).collect();
    home.write("value", &value);
    for size in [1, 1023, 1024, 1025, 32_766, 32_767] {
        let script = format!("SIZE={size}\n{script}");
        session(&home, &name(), &script).is(0, &value[..size], "");
    }
}

#[test]
fn expired_and_revoked_keys_are_misses_that_say_so() {
    let Some(home) = home() else { return };
    for (script, said) in [
        (r#"keyctl timeout "$I" 1; sleep 2"#, "has expired"),
        (r#"keyctl revoke "$I""#, "was revoked"),
    ] {
        let script = format!(
            r#"I=$(keyctl add user "$K" s3cret @s); {script}
               "$MXM" get --verbose --backend keyring "$N""#
        );
        session(&home, &name(), &script).has(1, "", &["keyring: miss: ", said]);
    }
    // They do not hide a good one.
    let name = name();
    let _key = UserKey::new(&home, &name, "good", "@u");
    session(
        &home,
        &name,
        r#"I=$(keyctl add user "$K" bad @s); keyctl revoke "$I"
           "$MXM" get --backend keyring "$N""#,
    )
    .is(0, "good\n", "");
}

#[test]
fn a_revoked_session_is_not_the_end() {
    let Some(home) = home() else { return };
    let name = name();
    let script = r#"keyctl revoke @s; "$MXM" get --verbose --backend keyring "$N""#;
    session(&home, &name, script).has(1, "", &["the session keyring was revoked"]);
    let _key = UserKey::new(&home, &name, "good", "@u");
    let script = r#"keyctl revoke @s; "$MXM" get --backend keyring "$N""#;
    session(&home, &name, script).is(0, "good\n", "");
}

#[test]
fn a_key_without_its_permissions_is_failed() {
    let Some(home) = home() else { return };
    for mode in ["0x01010000", "0x00000000"] {
        let script = format!(
            r#"keyctl setperm "$(keyctl add user "$K" s3cret @s)" {mode}
               "$MXM" get --backend keyring "$N""#
        );
        session(&home, &name(), &script).has(
            4,
            "",
            &[
                "session keyring",
                "permission denied",
                "hint: see its permissions with keyctl describe",
            ],
        );
    }
    // Without view, nobody can tell whose it is.
    let script = r#"keyctl setperm "$(keyctl add user "$K" s3cret @s)" 0x3e3e0000
        "$MXM" get --backend keyring "$N""#;
    session(&home, &name(), script).has(4, "", &["permission denied", "view"]);
    // A failure is no miss: the next in the chain is not asked.
    let script = r#"keyctl setperm "$(keyctl add user "$K" s3cret @s)" 0
        MXM_SECRETS_BACKENDS=keyring,env "$MXM" get --default d "$N""#;
    session(&home, &name(), script).has(4, "", &["permission denied"]);
    // A session that may not be searched.
    let script = r#"keyctl setperm @s 0x37000000; "$MXM" get --backend keyring "$N""#;
    session(&home, &name(), script).has(4, "", &["session keyring", "permission denied"]);
    let script = r#"keyctl setperm @s 0x37000000; "$MXM" list-backends --json"#;
    let listing = String::from_utf8(session(&home, &name(), script).stdout).unwrap();
    let failed = r#""backend":"keyring","in_chain":false,"status":"failed""#;
    assert!(listing.contains(failed), "{listing}");
}

/// Everyone who has inherited a session keyring can add to it.
#[test]
fn a_key_that_another_user_has_planted_is_failed() {
    let Some(home) = home() else { return };
    // SAFETY: geteuid only reads.
    if unsafe { libc::geteuid() } != 0 {
        return not_run("only root can become another user");
    }
    home.link(&["setpriv", "cp", "chmod"]);
    let plant = r#"chmod 755 "$HOME"; cp "$MXM" "$HOME/mxm"; chmod 755 "$HOME/mxm"
        as() { local user=$1; shift; setpriv --reuid="$user" --regid="$user" --clear-groups "$@"; }
        as 4001 keyctl add user "$K" evil @s >id
        read I <id
    "#;
    for (script, status, stdout, words) in [
        (
            r#""$MXM" get --backend keyring "$N""#,
            4,
            "",
            &["belongs to the user 4001, who is neither root nor you"][..],
        ),
        (
            r#""$MXM" get --backend keyring --default D "$N""#,
            4,
            "",
            &["hint: remove it with keyctl unlink"],
        ),
        (
            r#"MXM_SECRETS_BACKENDS=keyring,env "$MXM" get --default D "$N""#,
            4,
            "",
            &["4001"],
        ),
        (
            r#"as 4002 "$HOME/mxm" get --backend keyring "$N""#,
            4,
            "",
            &["4001"],
        ),
        // One's own, and root's.
        (
            r#"as 4001 "$HOME/mxm" get --backend keyring "$N""#,
            0,
            "evil\n",
            &[],
        ),
        (
            r#"keyctl unlink "$I" @s; keyctl add user "$K" good @s >id; "$MXM" get --backend keyring "$N""#,
            0,
            "good\n",
            &[],
        ),
        (
            r#"keyctl unlink "$I" @s; I=$(keyctl add user "$K" good @s); keyctl setperm "$I" 0x3f3f3f3f
               as 4002 "$HOME/mxm" get --backend keyring "$N""#,
            0,
            "good\n",
            &[],
        ),
    ] {
        let seen = session(&home, &name(), &format!("{plant}{script}"));
        seen.has(status, stdout, words);
    }
}

#[test]
fn no_name_is_too_long_to_be_looked_for() {
    let Some(home) = home() else { return };
    let long = format!("{}/{}", name(), "x".repeat(512))[..512].to_owned();
    session(&home, &long, r#""$MXM" get --backend keyring "$N""#).has(
        1,
        "",
        &[": missing: not in keyring"],
    );
    let script = r#"keyctl add user "$K" s3cret @s >id; "$MXM" get --backend keyring "$N""#;
    session(&home, &long, script).has(4, "", &["too long"]);
    session(&home, &long[..460], script).is(0, "s3cret\n", "");
}

/// Where the kernel has no room to make a key ours, that is what is told, and not that it may not be read.
#[test]
fn want_of_room_is_told_as_such() {
    let Some(home) = home() else { return };
    let Some(strace) = program("strace") else {
        return;
    };
    home.install("strace", &strace);
    let name = name();
    let _key = UserKey::new(&home, &name, "s3cret", "@u");
    let trace = "strace -qqq -e trace=keyctl -o log";
    session(
        &home,
        &name,
        &format!("{trace} \"$MXM\" get --backend keyring \"$N\""),
    )
    .is(0, "s3cret\n", "");
    let log = std::fs::read_to_string(home.path().join("log")).unwrap();
    let link = |line: &str| line.starts_with("keyctl(KEYCTL_LINK");
    let number = 1 + log.lines().position(link).expect(&log);
    for (error, words) in [
        ("ENOMEM", "the kernel does not have enough memory"),
        ("EDQUOT", "this user's quota of keys is used up"),
    ] {
        let inject = format!("-e inject=keyctl:error={error}:when={number}");
        let script = format!("{trace} {inject} \"$MXM\" get --backend keyring \"$N\"");
        session(&home, &name, &script).is(
            4,
            "",
            &format!(
                "mxm-secrets: {name}: failed: keyring: mxm:{name} in the user session keyring (for {name}): {words}\n"
            ),
        );
    }
}

/// Refuses the calls for keys with `errno`, as the seccomp filter of a container does.
pub fn refuse(command: &mut Command, errno: i32) {
    let rule = |code: u32, jump: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jump,
        jf: 0,
        k,
    };
    let mut rules = vec![rule(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    let calls = [libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key];
    for (index, call) in calls.iter().enumerate() {
        let to_the_end = (calls.len() - index) as u8;
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        rules.push(rule(equal, to_the_end, *call as u32));
    }
    rules.push(rule(libc::BPF_RET, 0, libc::SECCOMP_RET_ALLOW));
    let refused = libc::SECCOMP_RET_ERRNO | errno as u32;
    rules.push(rule(libc::BPF_RET, 0, refused));
    // SAFETY: prctl is allowed between fork and exec, and is given a valid program that outlives the call.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog {
                len: rules.len() as u16,
                filter: rules.as_ptr().cast_mut(),
            };
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                || libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program,
                ) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

#[test]
fn a_sandbox_without_keyrings_is_unavailable() {
    if emulated("qemu itself may not run in it") {
        return;
    }
    let mut home = Home::new();
    home.set("K", "v");
    for errno in [libc::EPERM, libc::ENOSYS] {
        let run = |arguments: &[&str]| {
            let mut command = home.mxm_secrets(arguments);
            refuse(&mut command, errno);
            transcript(&mut command)
        };
        run(&["get", "--backend", "keyring", "k"]).has(4, "", &["no kernel keyrings here"]);
        let listing = String::from_utf8(run(&["list-backends", "--json"]).stdout).unwrap();
        let line = listing
            .lines()
            .find(|line| line.contains(r#""backend":"keyring""#))
            .unwrap();
        assert!(line.contains(r#""status":"unavailable""#), "{line}");
        let mut command = home.mxm_secrets(["get", "--verbose", "k"]);
        refuse(&mut command, errno);
        command.env("MXM_SECRETS_BACKENDS", "keyring,env");
        transcript(&mut command).has(0, "v\n", &["keyring: unavailable: no kernel keyrings"]);
    }
    // A filter that says what a key would say tells nothing.
    let mut command = home.mxm_secrets(["get", "--backend", "keyring", "k"]);
    refuse(&mut command, libc::EACCES);
    transcript(&mut command).has(4, "", &["permission denied"]);
}
