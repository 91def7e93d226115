//! A real password store: a home with a gpg key of its own, and the gopass to be tested.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{Home, find, program};

/// The passphrase of the locked key.
pub const PASSPHRASE: &str = "correct horse";

/// A home with an initialised store.
pub struct Store {
    pub home: Home,
    gopass: PathBuf,
}

/// The files of a GNUPGHOME with one key.
type Keyring = Vec<(PathBuf, Vec<u8>)>;

impl Store {
    /// A store of the gopass of that version, whose key needs no passphrase. `None` (said loudly) where a program is
    /// missing.
    pub fn new(version: &str) -> Option<Store> {
        static OPEN: OnceLock<Keyring> = OnceLock::new();
        Store::with(version, OPEN.get_or_init(|| keyring("")))
    }

    /// A store whose key has a passphrase that no agent knows.
    pub fn locked(version: &str) -> Option<Store> {
        static LOCKED: OnceLock<Keyring> = OnceLock::new();
        Store::with(version, LOCKED.get_or_init(|| keyring(PASSPHRASE)))
    }

    fn with(version: &str, keyring: &Keyring) -> Option<Store> {
        program("gpg")?;
        let gopass = program(&format!("gopass-{version}"))?;
        let mut home = Home::new();
        home.link(&["gpg", "gpgconf", "gpg-connect-agent", "git"]);
        home.install("gopass", &gopass);
        home.set("GNUPGHOME", home.path().join("gnupg"));
        for (file, content) in keyring {
            home.write(&format!("gnupg/{}", file.display()), content);
        }
        for folder in ["gnupg", "gnupg/private-keys-v1.d"] {
            fs::set_permissions(home.path().join(folder), fs::Permissions::from_mode(0o700))
                .unwrap();
        }
        home.write(
            ".gitconfig",
            "[user]\n\tname = T\n\temail = t@example.org\n",
        );
        let store = Store { home, gopass };
        store.gopass(
            &[
                "--yes",
                "init",
                "--crypto",
                "gpgcli",
                "--storage",
                "fs",
                &store.key(),
            ],
            b"",
        );
        Some(store)
    }

    /// The fingerprint of the key.
    pub fn key(&self) -> String {
        let output = self
            .home
            .command(find("gpg").unwrap())
            .args(["--list-keys", "--with-colons"])
            .output()
            .unwrap();
        let listing = String::from_utf8(output.stdout).unwrap();
        let line = listing
            .lines()
            .find(|line| line.starts_with("fpr:"))
            .unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// Runs the real gopass; it must do what it is told.
    pub fn gopass(&self, arguments: &[&str], input: &[u8]) {
        let mut command = self.home.command(&self.gopass);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Puts a secret into the store.
    pub fn insert(&self, name: &str, value: impl AsRef<[u8]>) {
        self.gopass(&["insert", "-f", "--", name], value.as_ref());
    }

    /// Makes a store of its own at `path` below the home, for the names below `alias`.
    pub fn mount(&self, alias: &str, path: &str) {
        let path = self.home.path().join(path);
        let (path, key) = (path.to_str().unwrap(), self.key());
        let init = ["--yes", "init", "--crypto", "gpgcli", "--storage", "fs"];
        let store = ["--store", alias, "--path", path, &key];
        self.gopass(&[&init[..], &store[..]].concat(), b"");
    }

    /// The same store for `program`, as `command`, which reads it where PASSWORD_STORE_DIR says.
    pub fn read_by(mut self, program: &Path, command: &str) -> Store {
        fs::remove_file(self.home.path().join("bin/gopass")).unwrap();
        self.home.install(command, program);
        if command != "gopass" {
            let text = format!(
                "mxm_secrets: {{backends: [gopass, env], gopass: {{command: {command}}}}}\n"
            );
            self.home.write(".config/mxm-secrets/config.yaml", text);
        }
        let path = format!("{}:/usr/bin:/bin", self.home.path().join("bin").display());
        let root = self.root();
        self.home.set("PATH", path).set("PASSWORD_STORE_DIR", root);
        self
    }

    /// Ends the agent, which another user could not.
    pub fn end_agent(&self) {
        let mut command = self.home.command(find("gpgconf").unwrap());
        let _ = command.args(["--kill", "gpg-agent"]).status();
    }

    /// The root of the store.
    pub fn root(&self) -> PathBuf {
        self.home.path().join(".local/share/gopass/stores/root")
    }

    /// Encrypts `value` to a file of the store, past gopass, which changes some bytes.
    pub fn encrypt(&self, name: &str, value: &[u8]) {
        let file = self.root().join(format!("{name}.gpg"));
        let mut command = self.home.command(find("gpg").unwrap());
        command
            .args([
                "--batch",
                "--yes",
                "--trust-model",
                "always",
                "-e",
                "-r",
                &self.key(),
                "-o",
            ])
            .arg(file);
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(value).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Lets the agent learn the passphrase, as a person has typed it earlier.
    pub fn unlock(&self) {
        let mut command = self.home.command(find("gpg").unwrap());
        command.args([
            "--batch",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            PASSPHRASE,
            "-o",
            "/dev/null",
            "-s",
        ]);
        assert!(
            command
                .arg(self.home.path().join(".gitconfig"))
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.end_agent();
    }
}

/// Makes a key; takes a second, hence once for a test run.
fn keyring(passphrase: &str) -> Keyring {
    let home = Home::new();
    let gpg = |arguments: &[&str]| {
        let mut command = home.command(find("gpg").unwrap());
        command
            .env("GNUPGHOME", home.path())
            .args(["--batch", "--passphrase", passphrase])
            .args(arguments);
        assert!(command.stderr(Stdio::null()).status().unwrap().success());
    };
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    gpg(&[
        "--quick-gen-key",
        "T <t@example.org>",
        "default",
        "default",
        "never",
    ]);
    let _ = Command::new(find("gpgconf").unwrap())
        .env("GNUPGHOME", home.path())
        .args(["--kill", "gpg-agent"])
        .status();
    let mut files = Keyring::new();
    for folder in ["", "private-keys-v1.d"] {
        for entry in fs::read_dir(home.path().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.to_string_lossy().contains("S.gpg-agent") {
                files.push((relative(&path, home.path()), fs::read(&path).unwrap()));
            }
        }
    }
    files
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap().to_owned()
}
