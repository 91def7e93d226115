//! `credential`, as systemd starts it: with a socket as standard input, whose other end is called after who asks.

use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::support::{Home, STRANGER, Transcript, emulated, left_by, python, transcript};

/// A home with a secret in its store, which `trader.service` may have.
fn home(credentials_for: &str) -> Home {
    let home = Home::new();
    home.link(&["cat", "false"]);
    home.write("store/prod/api-key", EXACT);
    configure(&home, credentials_for);
    home
}

fn configure(home: &Home, credentials_for: &str) {
    let text = format!(
        "mxm_secrets:\n  backends: [store]\n  store: {{command: [cat, \"store/{{name}}\"], miss: {{says: No such file}}}}\n\
        {credentials_for}\n"
    );
    home.write(".config/mxm-secrets/config.yaml", text);
}

/// With what a variable could not hold.
const EXACT: &str = "exact\n\0\u{ff}\n";

const TRADER: &str = "  credentials_for: {trader.service: [prod_api-key, prod_none]}";

/// What systemd calls its end, for a unit and what it asks for; the number is one that nobody else has.
fn called(unit: &str, id: &str) -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}{number:04x}/unit/{unit}/{id}", std::process::id()).into_bytes()
}

/// Runs the program on a socket whose other end has that name; what it does, and what comes out at the other end.
fn answer(home: &Home, name: &[u8]) -> (Transcript, Vec<u8>) {
    let (mut systemd, stdin) = connected(name);
    let reads = std::thread::spawn(move || {
        let mut all = Vec::new();
        systemd.read_to_end(&mut all).unwrap();
        all
    });
    let seen = with_stdin(home, stdin);
    (seen, reads.join().unwrap())
}

/// systemd's end, which has that name, and ours.
fn connected(name: &[u8]) -> (UnixStream, OwnedFd) {
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    let stdin = UnixStream::connect_addr(&listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, stdin.into())
}

fn with_stdin(home: &Home, stdin: impl Into<Stdio>) -> Transcript {
    // It goes with the command, so that the other end sees that it is closed.
    transcript(home.mxm_secrets(["credential"]).stdin(stdin))
}

#[test]
fn what_is_allowed_is_handed_over_to_the_byte() {
    let home = home(TRADER);
    let (seen, handed) = answer(&home, &called("trader.service", "prod_api-key"));
    seen.is(0, "", "");
    assert_eq!(handed, EXACT.as_bytes());
}

#[test]
fn nothing_is_handed_over_where_there_is_nothing_to_hand_over() {
    let home = home(TRADER);
    let check = |unit: &str, id: &str, status: i32, why: &str| {
        let (seen, handed) = answer(&home, &called(unit, id));
        seen.has(
            status,
            "",
            &[
                why,
                &format!("mxm-secrets: {unit} gets an empty credential {id}\n"),
            ],
        );
        assert_eq!(handed, b"");
    };
    check("trader.service", "prod_none", 1, "prod/none: missing");
    check(
        "trader.service",
        "prod_other",
        2,
        "trader.service: denied: credentials_for does not allow it the credential prod_other",
    );
    check(
        "other.service",
        "prod_api-key",
        2,
        "other.service: denied: ",
    );
    // Only what is allowed is looked at as a name.
    check("trader.service", "_", 2, "denied");
    configure(
        &home,
        "  on_error: stop\n  credentials_for: {trader.service: [prod]}",
    );
    check("trader.service", "prod", 4, "prod: ");
    configure(&home, "  credentials_for: {trader.service: [bad__name]}");
    check(
        "trader.service",
        "bad__name",
        2,
        "config.yaml:4:38: mxm_secrets.credentials_for.trader.service: ",
    );
    configure(&home, "");
    check("trader.service", "prod_api-key", 2, "denied");
}

#[test]
fn a_glob_is_for_units_and_a_list_says_which_name_is_meant() {
    let home = home(
        "  credentials_for: {\"report@*.service\": [prod/my_key], other.service: [prod/my/key]}",
    );
    home.write("store/prod/my_key", "mine");
    home.write("store/prod/my/key", "other");
    for (unit, value) in [("report@a.service", "mine"), ("other.service", "other")] {
        let (seen, handed) = answer(&home, &called(unit, "prod_my_key"));
        seen.is(0, "", "");
        assert_eq!(handed, value.as_bytes());
    }
    let (seen, handed) = answer(&home, &called("report.service", "prod_my_key"));
    seen.has(2, "", &["denied"]);
    assert_eq!(handed, b"");
}

#[test]
fn a_ref_a_set_and_a_field_are_credentials_too() {
    let mut home = home(
        "  stores: {files: {backend: store, root: prod}}
  policies: {traders: {allowed_principals: [trader]}}
  refs: {api_key: {store: files, path: api-key, policy: traders}}
  sets: {svc.1: {KEY: prod/api-key, DSN: {value: \"x:{{prod/db#password}}\"}, NONE: {name: prod/none, optional: true}}}
  credentials_for: {trader.service: [api_key, svc.1.KEY, svc.1.DSN, svc.1.NONE, \"prod_db#pass_word\", \"prod_db#\"]}",
    );
    home.write("store/prod/db", "first\npassword: p\npass_word: q\n");
    let asks = |home: &Home, id: &str| answer(home, &called("trader.service", id));
    let (seen, handed) = asks(&home, "api_key");
    seen.has(2, "", &["MXM_ROLE is not set"]);
    assert_eq!(handed, b"");
    home.set("MXM_ROLE", "other");
    asks(&home, "api_key")
        .0
        .has(2, "", &["api_key: denied: the policy traders"]);
    home.set("MXM_ROLE", "trader");

    for (id, value) in [
        ("api_key", EXACT),
        ("svc.1.KEY", EXACT),
        ("svc.1.DSN", "x:p"),
        ("prod_db#pass_word", "q"),
        ("prod_db#", "first"),
    ] {
        let (seen, handed) = asks(&home, id);
        seen.is(0, "", "");
        assert_eq!(handed, value.as_bytes(), "{id}");
    }
    let (seen, handed) = asks(&home, "svc.1.NONE");
    seen.has(1, "", &["missing", "gets an empty credential"]);
    assert_eq!(handed, b"");
}

#[test]
fn a_variable_that_its_set_lacks_is_not_the_secret_of_that_name() {
    let home = home("");
    home.write("store/trader.DNS", "other");
    let list = |entry: &str| {
        format!(
            "  credentials_for:
    a.service: [prod_none, \"{entry}\"]
  sets: {{trader: {{DSN: prod/api-key, FILE: {{name: prod/api-key, file: true}}}}, empty: {{}}}}"
        )
    };
    let file = home.path().join(".config/mxm-secrets/config.yaml");
    let at = format!("{}:5:28: mxm_secrets.credentials_for", file.display());
    for (entry, why) in [
        (
            "trader.DNS",
            "trader.DNS: the set trader has no variable DNS: did you mean DSN?",
        ),
        ("trader.DNS#x", "the set trader has no variable DNS#x"),
        ("trader.dsn", "the set trader has no variable dsn"),
        ("trader.", "the set trader has no variable "),
        ("empty.DSN", "the set empty has no variable DSN"),
    ] {
        configure(&home, &list(entry));
        home.run(["config", "--check"]).has(2, "", &[&at, why]);
        let (seen, handed) = answer(&home, &called("a.service", entry));
        seen.has(2, "", &[why, "gets an empty credential"]);
        assert_eq!(handed, b"");
    }
    // A set with a mistake is told of alone.
    let mistaken = list("trader.DSN").replace("DSN: prod/api-key", "DSN: 5");
    configure(&home, &mistaken);
    let seen = home.run(["config", "--check"]);
    seen.has(2, "", &["mxm_secrets.sets.trader.DSN"]);
    assert_eq!(seen.stderr.lines().count(), 1, "{}", seen.stderr);
    for (entry, value) in [
        ("trader.DSN", EXACT),
        ("trader.FILE", EXACT),
        ("other.DNS", "no set"),
    ] {
        home.write("store/other.DNS", "no set");
        configure(&home, &list(entry));
        home.run(["config", "--check"])
            .has(0, format!("{}: no mistakes\n", file.display()), &[]);
        let (seen, handed) = answer(&home, &called("a.service", entry));
        seen.is(0, "", "");
        assert_eq!(handed, value.as_bytes(), "{entry}");
    }
}

#[test]
fn what_is_no_socket_of_systemd_gets_nothing() {
    let home = home(TRADER);
    let refused = |stdin: OwnedFd| {
        let seen = with_stdin(&home, stdin);
        seen.has(2, "", &["mxm-secrets: credential: ", "only systemd asks"]);
        assert!(!seen.stderr.contains("gets an empty"), "{}", seen.stderr);
    };
    home.run(["credential"])
        .has(2, "", &["standard input is no socket of systemd"]);
    home.run(["credential", "prod/api-key"])
        .has(2, "", &["credential takes no name"]);
    refused(std::io::pipe().unwrap().0.into());
    let (one, mut other) = UnixStream::pair().unwrap();
    refused(one.into());
    let mut all = Vec::new();
    other.write_all(b"x").unwrap_or_default();
    other.read_to_end(&mut all).unwrap_or_default();
    assert_eq!(all, b"");
    let network = TcpListener::bind("127.0.0.1:0").unwrap();
    refused(
        TcpStream::connect(network.local_addr().unwrap())
            .unwrap()
            .into(),
    );
    let path = home.path().join("socket");
    let named = UnixListener::bind(&path).unwrap();
    refused(UnixStream::connect(&path).unwrap().into());
    with_stdin(&home, OwnedFd::from(UnixStream::connect(&path).unwrap())).has(
        2,
        "",
        &["its other end has no abstract name"],
    );
    drop(named);
    // Odd names, and IDs that are none.
    let good = String::from_utf8(called("trader.service", "prod_api-key")).unwrap();
    let random = good.split('/').next().unwrap().to_owned();
    for name in [
        good.replace("/unit/", "/Unit/").into_bytes(),
        good.replace("trader.service", "trader").into_bytes(),
        good.replace(&random, &format!("x{random}")).into_bytes(),
        called("trader.service", "prod/api-key"),
        called("trader.service", "a:b"),
        called("trader.service", ""),
        called("trader.service", ".."),
        called("trader.service", "a\nmxm-secrets: forged"),
        [&called("trader.service", "prod_api-key")[..], b"\0"].concat(),
        [&called("trader.service", "prod_api-key")[..], b"\xff"].concat(),
        called("trader.service", "\u{202e}"),
    ] {
        let (seen, handed) = answer(&home, &name);
        seen.has(2, "", &["the socket's other end is called "]);
        assert_eq!(seen.stderr.lines().count(), 1, "{}", seen.stderr);
        assert_eq!(handed, b"", "{}", name.escape_ascii());
    }
}

#[test]
fn another_user_gets_nothing_and_root_gets_it_from_anybody() {
    let home = home(TRADER);
    let Some(python) = python() else {
        return;
    };
    if emulated("it is started by another program") {
        return;
    }
    if !home.give_to_stranger() {
        return crate::support::not_run("only root has other users");
    }
    // Listens as one user and starts the program as another; prints what comes out, and ends with its status.
    let script = "import os, socket, subprocess, sys
name, listener, asker, program = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.seteuid(listener)
s = socket.socket(socket.AF_UNIX); s.bind('\\0' + name); s.listen(1)
c = socket.socket(socket.AF_UNIX); c.connect('\\0' + name)
systemd, _ = s.accept()
os.seteuid(0)
done = subprocess.run([program, 'credential'], stdin=c, user=asker, stderr=subprocess.PIPE)
c.close()
sys.stdout.buffer.write(systemd.makefile('rb').read() + done.stderr)
sys.exit(done.returncode)";
    let run = |listener: u32, asker: u32| {
        let name = String::from_utf8(called("trader.service", "prod_api-key")).unwrap();
        let mut command = home.command(&python);
        command.args([
            "-c",
            script,
            &name,
            &listener.to_string(),
            &asker.to_string(),
        ]);
        transcript(command.arg(home.path().join("mxm-secrets")))
    };
    run(STRANGER, STRANGER).is(0, EXACT, "");
    run(0, STRANGER).is(0, EXACT, "");
    let refused = run(STRANGER + 1, STRANGER);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(
        said.starts_with("mxm-secrets: credential: the user 65535 asks, "),
        "{said}"
    );
}

#[test]
fn what_is_too_large_for_systemd_is_said() {
    let home = home("  credentials_for: {trader.service: [big]}");
    let most = (1 << 20) - "big".len();
    home.write("store/big", vec![b'x'; most]);
    let (seen, handed) = answer(&home, &called("trader.service", "big"));
    seen.is(0, "", "");
    assert!(handed == vec![b'x'; most]);
    home.write("store/big", vec![b'x'; most + 1]);
    let (seen, handed) = answer(&home, &called("trader.service", "big"));
    // systemd refuses it then, so the unit is not started with half of it or with nothing.
    let said = format!(
        "trader.service is not started: its credential big has {} bytes",
        most + 1
    );
    seen.has(4, "", &[&said]);
    assert_eq!(seen.stderr.lines().count(), 1, "{}", seen.stderr);
    assert_eq!(handed.len(), most + 1);
}

/// What waits for nothing notices only when it hands over.
#[test]
fn systemd_may_have_gone() {
    let mut home = home(TRADER);
    let text = format!("mxm_secrets:\n  backends: [env]\n{TRADER}\n");
    home.write(".config/mxm-secrets/config.yaml", text);
    home.set("PROD_API_KEY", "value");
    let (systemd, stdin) = connected(&called("trader.service", "prod_api-key"));
    drop(systemd);
    with_stdin(&home, stdin).has(
        4,
        "",
        &["trader.service: cannot hand over the credential prod_api-key: "],
    );
}

/// A unit that asks for what takes a minute; gives systemd's end and the program, once it looks up.
fn waiting(home: &Home) -> (UnixStream, std::process::Child) {
    home.link(&["sh", "sleep"]);
    let text = format!(
        "mxm_secrets:\n  backends: [slow]\n  slow: {{command: [sh, -c, \"echo $1 >started; sleep 60\", \"{{name}}\"]}}\n{TRADER}\n"
    );
    home.write(".config/mxm-secrets/config.yaml", text);
    let (systemd, stdin) = connected(&called("trader.service", "prod_api-key"));
    let mut command = home.mxm_secrets(["credential"]);
    command.stdin(stdin);
    let running = command.stderr(Stdio::piped()).spawn().unwrap();
    crate::exec::waits_for(|| home.path().join("started").exists());
    (systemd, running)
}

/// A signal says nothing by itself, and the unit starts with an empty credential.
#[test]
fn what_a_signal_ends_is_told() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let home = home(TRADER);
        let (mut systemd, running) = waiting(&home);
        // SAFETY: it has not been waited for.
        unsafe { libc::kill(running.id().cast_signed(), signal) };
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.signal(), Some(signal));
        assert_eq!(
            String::from_utf8_lossy(&ended.stderr),
            "mxm-secrets: interrupted: trader.service gets an empty credential prod_api-key\n"
        );
        let mut handed = Vec::new();
        systemd.read_to_end(&mut handed).unwrap();
        assert_eq!((handed, left_by(&home)), (Vec::new(), Vec::new()));
    }
}

/// A part would be a credential, too: systemd cannot be told that it is one.
#[test]
fn a_signal_does_not_cut_a_hand_over() {
    let value = vec![b'x'; 1_000_000];
    for backend in ["store", "credentials"] {
        let home = home("  credentials_for: {trader.service: [big]}");
        home.write("store/big", &value);
        let (mut systemd, stdin) = connected(&called("trader.service", "big"));
        let mut command = home.mxm_secrets(["credential", "--backend", backend]);
        command.env("CREDENTIALS_DIRECTORY", home.path().join("store"));
        let running = command.stdin(stdin).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        let mut handed = vec![0; 1];
        systemd.read_exact(&mut handed).unwrap();
        // SAFETY: it has not been waited for.
        unsafe { libc::kill(running.id().cast_signed(), libc::SIGTERM) };
        std::thread::sleep(std::time::Duration::from_millis(200));
        systemd.read_to_end(&mut handed).unwrap();
        assert!(handed == value, "{backend}: {} bytes", handed.len());
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.signal(), Some(libc::SIGTERM));
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    }
}

/// Its unit may be stopped; what nobody waits for any more would take a place from others.
#[test]
fn it_ends_with_who_has_asked() {
    let home = home(TRADER);
    let (systemd, running) = waiting(&home);
    let began = Instant::now();
    drop(systemd);
    let ended = running.wait_with_output().unwrap();
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    assert_eq!(
        String::from_utf8_lossy(&ended.stderr),
        "mxm-secrets: trader.service waits no longer for its credential prod_api-key\n"
    );
    assert_eq!(ended.status.signal(), Some(libc::SIGPIPE));
    assert_eq!(left_by(&home), Vec::<String>::new());
}

/// The other end is there, and reads nothing, or only a part.
#[test]
fn a_hand_over_that_nobody_reads_ends_in_time() {
    let home = home("  timeout: 1\n  credentials_for: {trader.service: [big]}");
    home.write("store/big", vec![b'x'; 1_000_000]);
    for part in [0, 100_000] {
        let (mut systemd, stdin) = connected(&called("trader.service", "big"));
        let reads = std::thread::spawn(move || {
            systemd.read_exact(&mut vec![0; part]).unwrap();
            systemd
        });
        let began = Instant::now();
        with_stdin(&home, stdin).has(
            4,
            "",
            &["trader.service: cannot hand over the credential big: it was not read in time"],
        );
        let took = began.elapsed().as_secs_f64();
        assert!((1.0..20.0).contains(&took), "{took}");
        drop(reads.join().unwrap());
    }
}

/// The signal lets the hand-over go on, and says nothing of how it ends.
#[test]
fn what_is_not_handed_over_is_told_after_a_signal_too() {
    for (size, said) in [
        (
            1_000_000,
            "trader.service: cannot hand over the credential big: it was not read in time",
        ),
        (
            2_000_000,
            "trader.service is not started: its credential big has 2000000 bytes, and systemd takes 1 MiB at most, with the ID",
        ),
    ] {
        let home = home("  timeout: 1\n  credentials_for: {trader.service: [big]}");
        home.write("store/big", vec![b'x'; size]);
        let (mut systemd, stdin) = connected(&called("trader.service", "big"));
        let mut command = home.mxm_secrets(["credential"]);
        let running = command.stdin(stdin).stderr(Stdio::piped()).spawn().unwrap();
        systemd.read_exact(&mut [0]).unwrap();
        // SAFETY: it has not been waited for.
        unsafe { libc::kill(running.id().cast_signed(), libc::SIGTERM) };
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.signal(), Some(libc::SIGTERM));
        assert_eq!(
            String::from_utf8_lossy(&ended.stderr),
            format!("mxm-secrets: {said}\n")
        );
    }
}

#[test]
fn the_allow_list_is_checked_and_shown() {
    let home = home("");
    let file = home.path().join(".config/mxm-secrets/config.yaml");
    let file = file.display();
    let check = |list: &str, at: &str, why: &str| {
        configure(&home, &format!("  credentials_for:\n    {list}"));
        home.run(["config", "--check"]).has(
            2,
            "",
            &[&format!("{file}:5:{at}: mxm_secrets.credentials_for"), why],
        );
    };
    check(
        "trader: [a]",
        "5",
        "expected a unit such as trader.service or report@*.service, found \"trader\"",
    );
    check("\"a?.service\": [a]", "5", "expected a unit");
    check("a.timer: [a]", "5", "expected a unit");
    check("a.service: a", "16", "a list of strings");
    check("a.service: {a: b}", "16", "a list of strings");
    check("a.service: [a, 5]", "16", "a list of strings");
    check(
        "a.service: [a, \"b:c\"]",
        "20",
        "must be ASCII, without ':'",
    );
    check("a.service: [\u{e9}]", "17", "must be ASCII");
    check("a.service: [a, _b]", "20", "must not begin or end with '/'");
    check(
        "a.service: [a/b, a_b]",
        "22",
        "a_b and a/b are both the credential a_b",
    );
    check("[a]", "5", "a mapping");
    configure(&home, TRADER);
    home.run(["config", "--check"])
        .is(0, format!("{file}: no mistakes\n"), "");
    let shown = home.run(["config"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = shown
        .lines()
        .find(|line| line.contains(" credentials_for.trader.service "))
        .unwrap();
    assert!(
        line.contains("[prod_api-key, prod_none]") && line.contains("config.yaml:4"),
        "{line}"
    );
    // The word is near enough.
    configure(&home, "  credential_for: {a.service: [a]}");
    home.run(["config", "--check"])
        .has(2, "", &["credentials_for"]);
}
