//! A machine with a real systemd: a copy-on-write copy of this one, in namespaces of its own (tests/systemd/boot).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::{Transcript, emulated, find, not_run, program, program_under_test, transcript};

/// A machine that ends with the test process.
pub struct Machine {
    /// The process id of its systemd, as it is here.
    systemd: String,
    _lifeline: Child,
}

impl Machine {
    /// The one that the tests share; `None` (said loudly) where namespaces are not allowed.
    pub fn shared() -> Option<&'static Machine> {
        static MACHINE: OnceLock<Option<Machine>> = OnceLock::new();
        let allowed = program("unshare").is_some()
            && program("systemd-analyze").is_some()
            && !emulated("systemd starts the program itself");
        if !allowed {
            return None;
        }
        let machine = MACHINE.get_or_init(Machine::boot).as_ref();
        if machine.is_none() {
            not_run("namespaces and mounts are not allowed here, which a systemd of its own needs");
        }
        machine
    }

    fn boot() -> Option<Machine> {
        let try_it = "mount -t tmpfs tmpfs /mnt && mount -t cgroup2 cgroup2 /mnt";
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--pid", "--cgroup", "--fork", "sh", "-c", try_it]);
        if transcript(&mut unshare).status != Some(0) {
            return None;
        }
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        let cache = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = cache.filter(|cache| cache.is_dir());
        let mut boot = Command::new(checkout.join("tests/systemd/boot"));
        boot.args([checkout, program_under_test()]).args(cache);
        boot.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut boot = boot.stderr(Stdio::null()).spawn().unwrap();
        let mut first = String::new();
        let mut output = BufReader::new(boot.stdout.take().unwrap());
        output.read_line(&mut first).unwrap();
        let machine = Machine {
            systemd: first.trim_end().to_owned(),
            _lifeline: boot,
        };
        let program = program_under_test().display();
        let is_up = || {
            let up = machine.run("systemctl is-system-running --wait");
            up.stdout == b"running\n" || up.stdout == b"degraded\n"
        };
        while Path::new("/proc").join(&machine.systemd).exists() && !is_up() {
            std::thread::sleep(Duration::from_millis(20));
        }
        machine
            .run(&format!(
                "install -m 755 '{program}' /usr/local/bin/mxm-secrets"
            ))
            .is(0, "", "");
        Some(machine)
    }

    /// Runs a shell script in it, as root, up to the first command that fails.
    pub fn run(&self, script: &str) -> Transcript {
        let mut command = Command::new(find("nsenter").unwrap());
        command
            .args(["--target", &self.systemd])
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--",
            ])
            .args(["/bin/sh", "-euc", script])
            .env_clear()
            .env("HOME", "/root")
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .stdin(Stdio::null());
        transcript(&mut command)
    }

    /// Runs the script and gives what it prints; it must end with 0.
    #[track_caller]
    pub fn output(&self, script: &str) -> String {
        let seen = self.run(script);
        let stdout = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert_eq!(seen.status, Some(0), "{script}\n{stdout}{}", seen.stderr);
        stdout
    }

    /// Fails if `value` stands in the journal.
    #[track_caller]
    pub fn is_not_told(&self, value: &str) {
        let journal = self.output("journalctl --sync; journalctl --no-pager --all --output=export");
        assert!(journal.contains("systemd"), "an empty journal");
        assert!(!journal.contains(value), "{value} is in the journal");
    }
}
