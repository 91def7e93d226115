//! The recipes for Bitwarden, with rbw and bw and a server that is played: bitwarden.py.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;

use super::stores::{VALUES, failed, hit, home, miss, play, quoted};
use crate::support::{Home, program, transcript};

/// The server, which ends with the test process.
struct Server {
    address: String,
    certificate: PathBuf,
    _home: Home,
    _lifeline: Child,
}

fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let start = || {
        program("openssl")?;
        let home = Home::new();
        let values: Vec<String> = VALUES.iter().map(|(_, value)| quoted(value)).collect();
        let values = format!("[{}]", values.join(", "));
        let (port, child) = play("bitwarden.py", &[home.path().as_ref(), values.as_ref()])?;
        Some(Server {
            address: format!("https://127.0.0.1:{port}"),
            certificate: home.path().join("cert.pem"),
            _home: home,
            _lifeline: child,
        })
    };
    SERVER.get_or_init(start).as_ref()
}

/// The id of an item, and of those after the [`VALUES`].
fn item(number: usize) -> String {
    format!("{number:08}-6a9e-4c44-b1c7-0d6ae1d6a2c5")
}

const ALL: usize = VALUES.len();
const BARE: usize = ALL + 1;
const GUARDED: usize = ALL + 2;
const BROKEN: usize = ALL + 3;
const IN_TRASH: usize = ALL + 4;
const NOTHING: usize = ALL + 5;

/// A pinentry that asks a person: where it is told of a terminal or a display, or where one is always there.
const PINENTRY: &str = r#"echo 'OK'
while read -r word _; do
    case $word in
        GETPIN)
            case "$DISPLAY$WAYLAND_DISPLAY$*" in
                *:*|*wayland*|*ttyname\ /*) echo 'D master pw'; echo OK ;;
                *) [ -e "$HOME/here" ] && { echo 'D master pw'; echo OK; } || echo 'ERR 83918950 Inappropriate ioctl for device' ;;
            esac
            exit ;;
        *) echo OK ;;
    esac
done"#;

/// A home with rbw, whose agent ends with it.
struct WithAgent(Home, PathBuf);

impl WithAgent {
    #[track_caller]
    fn rbw(&self, arguments: &[&str]) -> crate::support::Transcript {
        transcript(self.0.command(&self.1).args(arguments))
    }

    fn configure(&self, address: &str) {
        let pinentry = self.0.path().join("bin/pinentry");
        let text = format!(
            r#"{{"email": "trader@example.org", "base_url": "{address}", "pinentry": "{}"}}"#,
            pinentry.display()
        );
        self.0.write(".config/rbw/config.json", text);
    }

    /// Somebody is there who opens it.
    fn unlock(&self) {
        let here = self.0.write("here", "");
        self.rbw(&["unlock"]).is(0, "", "");
        fs::remove_file(here).unwrap();
    }
}

impl Drop for WithAgent {
    fn drop(&mut self) {
        self.rbw(&["stop-agent"]);
    }
}

#[test]
fn rbw() {
    let (Some(rbw), Some(server)) = (program("rbw"), server()) else {
        return;
    };
    let mut home = home("recipe: rbw");
    home.install("rbw", &rbw);
    home.install("rbw-agent", &rbw.with_file_name("rbw-agent"));
    home.fake("pinentry", PINENTRY);
    let runtime = home.path().join("run");
    fs::create_dir_all(&runtime).unwrap();
    home.set("XDG_RUNTIME_DIR", runtime)
        .set("SSL_CERT_FILE", &server.certificate);
    // A display, a terminal and no warnings, all of which would mislead it.
    home.set("DISPLAY", ":0")
        .set("WAYLAND_DISPLAY", "wayland-0")
        .set("RBW_TTY", "/dev/tty")
        .set("RUST_LOG", "off");
    let home = WithAgent(home, rbw);
    let fails = |number: usize| failed(&home.0, &item(number), "rbw ended with status 1");
    // Not configured; not logged in, and no server.
    fails(NOTHING);
    home.configure("https://127.0.0.1:1");
    fails(NOTHING);
    home.0.write("here", "");
    fails(NOTHING);
    fs::remove_file(home.0.path().join("here")).unwrap();
    // Not logged in. The agent that this has started stays.
    home.configure(&server.address);
    fails(NOTHING);
    home.rbw(&["unlocked"])
        .is(1, "", "rbw unlocked: agent is locked\n");
    home.unlock();
    for (number, (_, value)) in VALUES.iter().enumerate() {
        hit(&home.0, &item(number), value);
    }
    let all = item(ALL);
    hit(&home.0, &all, "pw");
    hit(&home.0, &format!("{all}#username"), "bob");
    hit(&home.0, &format!("{all}#notes"), "one\ntwo\n");
    hit(&home.0, &format!("{all}#uris"), "https://bank.example");
    for missing in [
        item(NOTHING),
        item(BARE),
        item(IN_TRASH),
        format!("{all}#totp"),
    ] {
        miss(&home.0, &missing);
    }
    // By its name it would give the field access-token-id.
    failed(
        &home.0,
        &format!("{all}#token"),
        "rbw finds what is only similar by the field token",
    );
    failed(&home.0, "item", "the name item is not a UUID");
    // The second asks for the master password again, though all is unlocked.
    for undecrypted in [BROKEN, GUARDED] {
        let words = "rbw ended with no output and status 0";
        failed(&home.0, &item(undecrypted), words);
    }
    home.rbw(&["lock"]).is(0, "", "");
    fails(0);
    fails(NOTHING);
    // The agent has ended, and what it has kept is there.
    home.rbw(&["stop-agent"]).is(0, "", "");
    fails(NOTHING);
    home.unlock();
    miss(&home.0, &item(NOTHING));
}

/// A home with bw, which knows the server.
fn with_bw(bw: &Path, server: &Server) -> Home {
    let mut home = home("recipe: bitwarden");
    home.install("bw", bw);
    home.link(&["node", "sh", "grep"]);
    home.set("NODE_EXTRA_CA_CERTS", &server.certificate);
    let config = ["config", "server", &server.address];
    assert_eq!(
        transcript(home.command(bw).args(config)).status,
        Some(0),
        "the server is known"
    );
    home
}

#[test]
fn bitwarden() {
    let (Some(bw), Some(_), Some(server)) = (program("bw"), program("node"), server()) else {
        return;
    };
    let mut home = with_bw(&bw, server);
    let fails = |home: &Home, number: usize| {
        failed(home, &item(number), "bw ended with status 1");
    };
    fails(&home, NOTHING);
    let login = ["login", "trader@example.org", "master pw", "--raw"];
    let login = transcript(home.command(&bw).args(login));
    assert_eq!(login.status, Some(0), "{}", login.stderr);
    // Locked: nobody has said by which key it opens.
    fails(&home, NOTHING);
    home.set("BW_SESSION", String::from_utf8(login.stdout).unwrap());
    for (number, (_, value)) in VALUES.iter().enumerate().skip(1) {
        hit(&home, &item(number), value);
    }
    hit(&home, &format!("{}#username", item(ALL)), "bob");
    hit(&home, &format!("{}#notes", item(ALL)), "one\ntwo\n");
    miss(&home, &item(NOTHING));
    miss(&home, &item(BARE));
    // It is said not to be found, too.
    fails(&home, BROKEN);
    failed(&home, "item", "the name item is not a UUID");
    failed(
        &home,
        &format!("{}#token", item(ALL)),
        "bw ended with status 1",
    );
    // Its copy has never been made: the login was interrupted.
    let data = home.path().join(".config/Bitwarden CLI/data.json");
    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replace("_sync_lastSync", "_sync_other")).unwrap();
    failed(&home, &item(NOTHING), "bw did not find ");
}
