//! Nothing outlives the program: no process, and no core file.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use super::scanner::{Find, run};
use crate::signals::ending;
use crate::support::place::{NAME, Place};
use crate::support::store::Store;
use crate::support::terminal::Terminal;
use crate::support::vault::{Scripted, Server, eventually, member};
use crate::support::{Home, left_by, not_run, started_in};

/// A place whose backend gives half a value on both its outputs, starts a process that holds them, and hangs.
fn hanging() -> Place {
    let place = Place::faulty(&format!(
        "cat {NAME}; cat {NAME} >&2; sleep 1000 & echo $PPID >pid; echo $$ >ready; sleep 1000"
    ));
    // What is looked for would be found.
    let mut child = place.command("/bin/sleep").arg("1000").spawn().unwrap();
    eventually("the child runs", || started_in(place.home()).len() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(left_by(place.home()), Vec::<String>::new());
    place
}

/// Sends `signal` to the process once the backend hangs.
fn signalling(home: &Home, signal: i32) -> impl FnOnce(i32) + Send + 'static {
    let ready = home.path().join("ready");
    let _ = fs::remove_file(&ready);
    move |pid| {
        eventually("the backend hangs", || {
            fs::read_to_string(&ready).is_ok_and(|text| text.ends_with('\n'))
        });
        // SAFETY: plain numbers; the process is not reaped before it has got this.
        unsafe { libc::kill(pid, signal) };
    }
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let place = hanging();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        for arguments in [
            &["get", NAME, "--default", "V"][..],
            &["resolve", "--explain", NAME],
            &["exec", "--secret", NAME, "--", "true"],
        ] {
            let canaries = place.canaries();
            let command = place.mxm_secrets(arguments);
            let Some(seen) = run(command, &canaries, signalling(place.home(), signal)) else {
                return;
            };
            let what = format!("{signal} {arguments:?}: {seen:?}");
            assert_eq!(seen.status.signal(), Some(signal), "{what}");
            assert!(!seen.status.core_dumped(), "{what}");
            assert_eq!(seen.left(), Vec::<&Find>::new(), "{what}");
            seen.tells_nothing(&canaries);
            assert_eq!(left_by(place.home()), Vec::<String>::new(), "{what}");
        }
    }
}

/// A server that has said half of the value, a plugin that has been given its identity.
#[test]
fn a_signal_in_the_middle_leaves_nothing_behind() {
    let Some(plugin) = Place::plugin() else {
        return;
    };
    fs::remove_file(plugin.home().path().join("bin/age-plugin-pq")).unwrap();
    plugin.home().link(&["sleep"]);
    plugin.home().fake(
        "age-plugin-pq",
        "while read -r line; do test \"$line\" = '-> done' && break; done; echo $$ >ready; sleep 1000",
    );
    let value = Place::new("own").unwrap();
    let canary = value.canary.clone();
    let mut home = Home::new();
    let ready = home.path().join("ready");
    let server = Scripted::start(move |_, stream| {
        let _ = stream.write_all(format!("HTTP/1.1 200 X\r\n\r\n{{\"data\":\"{canary}").as_bytes());
        fs::write(&ready, "\n").unwrap();
        let _ = stream.read(&mut [0]);
    });
    home.set("VAULT_ADDR", server.address())
        .set("MXM_SECRETS_VAULT_KV_VERSION", "2")
        .set("MXM_SECRETS_BACKENDS", "vault");
    home.write_key(".vault-token", &value.canary);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        for arguments in [
            &["get", "--timeout", "100", NAME, "--default", "V"][..],
            &["resolve", "--timeout", "100", "--explain", NAME],
            &["exec", "--timeout", "100", "--secret", NAME, "--", "true"],
        ] {
            let vault = home.mxm_secrets(arguments);
            let age = plugin.mxm_secrets(arguments);
            for (command, home, canaries) in [
                (vault, &home, value.canaries()),
                (age, plugin.home(), plugin.canaries()),
            ] {
                let Some(seen) = run(command, &canaries, signalling(home, signal)) else {
                    return;
                };
                let what = format!("{signal} {arguments:?}: {seen:?}");
                assert_eq!(seen.status.signal(), Some(signal), "{what}");
                assert_eq!(seen.left(), Vec::<&Find>::new(), "{what}");
                seen.tells_nothing(&canaries);
                assert_eq!(left_by(home), Vec::<String>::new(), "{what}");
            }
        }
    }
}

#[test]
fn a_deadline_leaves_nothing_behind() {
    let place = hanging();
    for (arguments, status) in [
        (&["get", NAME, "--default", "V", "--timeout", "3"][..], 4),
        (&["resolve", "--explain", NAME, "--timeout", "3"], 4),
        (
            &["exec", "--timeout", "3", "--secret", NAME, "--", "true"],
            125,
        ),
    ] {
        let canaries = place.canaries();
        let Some(seen) = run(place.mxm_secrets(arguments), &canaries, |_| ()) else {
            return;
        };
        assert_eq!(seen.status.code(), Some(status), "{seen:?}");
        assert_eq!(seen.left(), Vec::<&Find>::new(), "{arguments:?}");
        seen.tells_nothing(&canaries);
        assert_eq!(left_by(place.home()), Vec::<String>::new(), "{arguments:?}");
        let ready = place.home().path().join("ready");
        std::fs::remove_file(ready).expect("the backend has said something");
    }
}

/// A program that dies as only a broken one does writes a core file where that is allowed; this one never does.
#[test]
fn there_is_no_core_file() {
    let place = hanging();
    let end = |mut command: Command| -> ExitStatus {
        let limit = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: a system call between fork and exec, on a structure that is there.
        unsafe {
            command.pre_exec(move || {
                let mut found = limit;
                if libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) != 0 {
                    libc::getrlimit(libc::RLIMIT_CORE, &raw mut found);
                    found.rlim_cur = found.rlim_max;
                    libc::setrlimit(libc::RLIMIT_CORE, &raw const found);
                }
                Ok(())
            });
        }
        let mut child = command.spawn().unwrap();
        child.wait().unwrap()
    };
    for signal in [libc::SIGSEGV, libc::SIGABRT] {
        let mut command = place.command("/bin/sh");
        command.args(["-c", &format!("kill -{signal} $$")]);
        let control = end(command);
        assert_eq!(control.signal(), Some(signal));
        if !control.core_dumped() {
            not_run("no program leaves a core file here");
            return;
        }
        let cores = || {
            let names = fs::read_dir(place.home().path()).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name());
            names
                .filter(|name| name.to_string_lossy().starts_with("core"))
                .count()
        };
        let before = cores();
        let _ = fs::remove_file(place.home().path().join("pid"));
        let send = signalling(place.home(), signal);
        let mut command = place.mxm_secrets(["get", NAME]);
        let (sender, receiver) = std::sync::mpsc::channel();
        // The backend tells whose child it is.
        let file = place.home().path().join("pid");
        command.stdout(std::process::Stdio::null());
        std::thread::spawn(move || {
            eventually("the backend tells its parent", || {
                fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'))
            });
            let pid = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
            send(pid);
            sender.send(()).unwrap();
        });
        let status = end(command);
        receiver.recv().unwrap();
        assert_eq!(status.signal(), Some(signal));
        assert!(!status.core_dumped());
        assert_eq!(cores(), before);
        // No program can clean up when it dies like this: here the backend is still there.
        let group = fs::read_to_string(place.home().path().join("ready")).unwrap();
        // SAFETY: plain numbers; the group hangs, so its number is still its own.
        unsafe { libc::kill(-group.trim().parse::<i32>().unwrap(), libc::SIGKILL) };
        assert_eq!(left_by(place.home()), Vec::<String>::new());
    }
}

/// What a program does that is asked: it leaves its group, waits, and tells.
const HANGS: &str =
    "setsid sleep 1000 >/dev/null 2>&1 &\n(sleep 1000) &\necho $$ >ready\nsleep 1000";

/// Where the program under test writes what it has to say.
#[derive(Clone, Copy, Debug)]
enum Errors {
    Terminal,
    File,
    /// Nobody reads what `-v` says.
    ClosedPipe,
}

/// Every signal that ends a program, whoever is asked, and whoever listens.
#[test]
fn no_signal_leaves_anything_behind() {
    let signals = ending();
    let hang = |home: &Home, program: &str, before: &str| {
        home.link(&["sleep", "setsid"]);
        let _ = fs::remove_file(home.path().join("bin").join(program));
        home.fake(program, &format!("{before}{HANGS}"));
    };
    let own = || {
        let mut home = Home::new();
        hang(&home, "tool", "");
        let file = home.write(
            "c.yaml",
            "mxm_secrets: {own: {command: [tool, \"{name}\"]}}\n",
        );
        home.set("MXM_SECRETS_CONFIG", file)
            .set("MXM_SECRETS_BACKENDS", "own");
        Some((Some(home), None, None))
    };
    let gopass = || {
        let mut store = Store::new("1.16.1")?;
        store.insert(NAME, "value");
        hang(&store.home, "hanging-gpg", "");
        let gpg = store.home.path().join("bin/hanging-gpg");
        store.home.set("GOPASS_GPG_BINARY", gpg);
        Some((None, Some(store), None))
    };
    let plugin = || {
        let place = Place::plugin()?;
        let listens = "while read -r line; do test \"$line\" = '-> done' && break; done\n";
        hang(place.home(), "age-plugin-pq", listens);
        Some((None, None, Some(place)))
    };
    type Scene = (Option<Home>, Option<Store>, Option<Place>);
    let scenes: [&(dyn Fn() -> Option<Scene> + Sync); 3] = [&own, &gopass, &plugin];
    std::thread::scope(|scope| {
        for scene in scenes {
            for errors in [Errors::Terminal, Errors::File, Errors::ClosedPipe] {
                let signals = &signals;
                scope.spawn(move || {
                    let Some((home, store, place)) = scene() else {
                        return;
                    };
                    let home = home.as_ref().or(store.as_ref().map(|store| &store.home));
                    let home = home.unwrap_or_else(|| place.as_ref().unwrap().home());
                    let arguments = ["get", NAME, "-v", "--timeout", "120"];
                    for &signal in signals {
                        let _ = fs::remove_file(home.path().join("ready"));
                        let command = match &place {
                            Some(place) => place.mxm_secrets(arguments),
                            None => home.mxm_secrets(arguments),
                        };
                        let status = ended_by(command, errors, signalling(home, signal));
                        assert_eq!(status.signal(), Some(signal), "{errors:?}");
                        let left = left_by(home);
                        assert_eq!(left, Vec::<String>::new(), "{errors:?} {signal}");
                    }
                });
            }
        }
    });
}

/// The same of a login, at a real server: while another backend is asked, there is its token.
#[test]
fn no_signal_leaves_a_token_behind() {
    let Some(server) = Server::start() else {
        return;
    };
    let role = "auth/approle/role/all";
    server.policy("all", r#"path "secret/data/*" { capabilities = ["read"] }"#);
    server.set_up("sys/auth/approle", r#"{"type":"approle"}"#);
    server.set_up(role, r#"{"token_policies":"all"}"#);
    let role_id = member(
        &server.api("GET", &format!("{role}/role-id"), ""),
        "role_id",
    );
    let secret_id = server.set_up(&format!("{role}/secret-id"), "");
    let secret_id = member(&secret_id, "secret_id");
    let before = server.tokens();
    std::thread::scope(|scope| {
        for errors in [Errors::Terminal, Errors::File, Errors::ClosedPipe] {
            let mut home = server.home();
            home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
                .set("MXM_SECRETS_VAULT_ROLE_ID", &role_id)
                .set("MXM_SECRETS_VAULT_SECRET_ID", &secret_id)
                .set("MXM_SECRETS_BACKENDS", "vault,own");
            let file = home.write(
                "c.yaml",
                "mxm_secrets: {own: {command: [tool, \"{name}\"]}}\n",
            );
            home.set("MXM_SECRETS_CONFIG", file);
            home.link(&["sleep"]);
            home.fake("tool", "echo $$ >ready\nsleep 1000");
            let server = &server;
            scope.spawn(move || {
                for signal in ending() {
                    let command = home.mxm_secrets(["get", "none", "-v", "--timeout", "120"]);
                    let send = signalling(&home, signal);
                    let status = ended_by(command, errors, |pid| {
                        eventually("it hangs", || home.path().join("ready").exists());
                        assert!(server.tokens() > before);
                        send(pid);
                    });
                    assert_eq!(status.signal(), Some(signal), "{errors:?}");
                }
                assert_eq!(left_by(&home), Vec::<String>::new());
            });
        }
    });
    assert_eq!(server.tokens(), before, "a token is left behind");
}

/// Runs `command` to its end, which `send` brings about.
fn ended_by(mut command: Command, errors: Errors, send: impl FnOnce(i32)) -> ExitStatus {
    let null = std::process::Stdio::null;
    let mut child = match errors {
        Errors::Terminal => {
            let terminal = Terminal::start(command);
            send(terminal.pid());
            return terminal.ends().0;
        }
        Errors::File => command.stdout(null()).stderr(null()).spawn().unwrap(),
        Errors::ClosedPipe => {
            let (_, unread) = std::io::pipe().unwrap();
            command.stdout(null()).stderr(unread).spawn().unwrap()
        }
    };
    send(child.id().cast_signed());
    child.wait().unwrap()
}
