//! The recipes for services: sets, and programs that ask for a password by a command, a file or their standard input.
//! Where the program is real, it is the one that checks the password.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{example, verify_units};
use crate::support::{Home, STRANGER, find, not_run, program, program_under_test, transcript};

/// A home with mxm-secrets and these programs on its PATH, and secrets in its environment.
fn home(programs: &[&str]) -> Home {
    let mut home = Home::new();
    home.install("mxm-secrets", program_under_test());
    home.link(programs);
    home.set("MXM_SECRETS_BACKENDS", "env")
        .set("PROD_API_KEY", "k3y")
        .set("PROD_DB_PASSWORD", "p/w%1")
        .set("PROD_TLS_KEY", "tls");
    home
}

/// Runs a script of a recipe.
#[track_caller]
fn shell(home: &Home, script: &str) -> crate::support::Transcript {
    transcript(home.command("/bin/sh").args(["-ec", script]))
}

/// The set of the man page and of the README, as a file.
fn set(home: &Home) -> PathBuf {
    home.write("pgpass", "*:*:*:trader:{{prod/db#password}}\n");
    home.write("secrets.yaml", example("TLS_KEY: {name: prod/tls-key"))
}

const SHOW: &str =
    "echo \"$PROD_API_KEY $DSN ${SMTP_PASSWORD-none}\"; cat \"$TLS_KEY\" \"$PGPASSFILE\"";

const SHOWN: &str = "k3y postgres://trader:p%2Fw%251@db/trader none\ntls*:*:*:trader:p/w%1\n";

#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
#[test]
fn systemd_starts_a_service_once_its_set_is_there() {
    let home = home(&["cat", "env"]);
    home.fake("trader", SHOW);
    let unit = example("ExecStartPre=");
    let file = set(&home);
    let line = |key: &str| {
        let (_, rest) = unit.split_once(&format!("\n{key}=/usr/bin/env ")).unwrap();
        let line = rest.lines().next().unwrap();
        line.replace("/etc/trader/secrets.yaml", file.to_str().unwrap())
    };
    let found = "prod/api-key\tenv\t$PROD_API_KEY\nprod/tls-key\tenv\t$PROD_TLS_KEY\n\
                 prod/db#password\tenv\t$PROD_DB_PASSWORD\n";
    let optional = "mxm-secrets: prod/smtp: optional: not in env ($PROD_SMTP)\n";
    shell(&home, &line("ExecStartPre")).is(0, found, optional);
    shell(&home, &line("ExecStart")).is(0, SHOWN, "");
    assert_eq!(home.log("trader"), ["--live"]);
    let missing = shell(
        &home,
        &format!("unset PROD_API_KEY; {}", line("ExecStartPre")),
    );
    assert_eq!((missing.status, home.log("trader").len()), (Some(1), 1));
    let Some(verify) = verify_units() else {
        return;
    };
    assert_eq!(verify(&unit), (true, String::new()));
    assert!(
        verify(&unit.replace("ExecStartPre", "ExecBefore"))
            .1
            .contains("Unknown key")
    );
}

#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
#[test]
fn cron_and_a_ci_job_start_it_with_the_set() {
    let home = home(&["cat"]);
    home.fake("report", SHOW);
    home.fake("deploy", SHOW);
    let file = set(&home);
    let table = example("5 * * * * mxm-secrets exec --from");
    let command = table.trim_start_matches(['5', ' ', '*']);
    let command = command.replace("/home/trader/secrets.yaml", file.to_str().unwrap());
    shell(&home, &command.replace("/home/trader/bin/", "")).is(0, SHOWN, "");
    // The lines of the job are one shell's, which ends at the first failure.
    let job = example("deploy:\n");
    let lines = job.lines().filter_map(|line| line.strip_prefix("    - "));
    let script = lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("./deploy", "deploy");
    let seen = shell(&home, &script);
    assert!(
        seen.status == Some(0) && seen.stdout.ends_with(SHOWN.as_bytes()),
        "{}",
        seen.stderr
    );
    let seen = shell(
        &home,
        &format!("unset PROD_DB_PASSWORD PROD_TLS_KEY\n{script}"),
    );
    seen.has(
        1,
        "prod/api-key\tenv\t$PROD_API_KEY\n",
        &["prod/tls-key", "prod/db#password"],
    );
    assert_eq!(home.log("deploy").len(), 1);
}

#[test]
fn docker_compose_gets_the_variable_that_its_file_names() {
    let Some(python) = crate::support::python() else {
        return;
    };
    let home = home(&[]);
    home.write("compose.yaml", example("{environment: PROD_API_KEY}"));
    home.write("secrets.yaml", "secrets: {PROD_API_KEY: prod/api-key}\n");
    // Stands in for docker: reads the file as compose does, and shows what it would mount.
    let stand_in = "import os, sys, yaml
assert sys.argv[1:] == ['compose', 'up'], sys.argv
y = yaml.safe_load(open('compose.yaml'))
for service in y['services'].values():
    for name in service['secrets']:
        print('/run/secrets/' + name, os.environ[y['secrets'][name]['environment']])
";
    home.program("docker", &format!("#!{}\n{stand_in}", python.display()));
    let known = Command::new(&python).args(["-c", "import yaml"]).output();
    if !known.unwrap().status.success() {
        return not_run("Python has no yaml here (python3-yaml)");
    }
    shell(&home, example("docker compose up").trim_end()).is(0, "/run/secrets/api-key k3y\n", "");
}

#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
#[test]
fn a_login_reads_its_password_from_standard_input() {
    let mut home = home(&["cat"]);
    home.set("PROD_REGISTRY", "r3g");
    home.fake("docker", "cat");
    shell(&home, &example("--password-stdin")).is(0, "r3g", "");
    assert_eq!(
        home.log("docker"),
        ["login -u trader --password-stdin registry"]
    );
}

#[test]
fn a_file_for_nobody_else_is_written_by_the_shell() {
    let mut home = home(&[]);
    let key = "-----BEGIN\n\u{e9}\n\n";
    home.set("PROD_TLS_KEY", key);
    shell(&home, &format!("umask 022; {}", example("umask 077"))).is(0, "", "");
    let file = home.path().join("tls.key");
    assert_eq!(fs::read_to_string(&file).unwrap(), key);
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn restic_and_borg_ask_for_their_passwords() {
    let (Some(_), Some(_)) = (program("restic"), program("borg")) else {
        return;
    };
    let mut home = home(&["restic"]);
    // Borg is a script of Python's, which finds its own modules.
    home.install("borg", &find("borg").unwrap());
    home.set("BACKUP_RESTIC", "one two'\"")
        .set("BACKUP_BORG", "b0rg");
    let variables = example("RESTIC_PASSWORD_COMMAND");
    let run = |script: &str| {
        let seen = shell(&home, &format!("{variables}\n{script}"));
        (seen.status, seen.stderr)
    };
    let restic = "restic -q -r repo --no-cache";
    assert_eq!(
        run(&format!("{restic} init && {restic} snapshots")),
        (Some(0), String::new())
    );
    // Another password does not open it.
    let (status, said) = run(&format!("BACKUP_RESTIC=other; {restic} snapshots"));
    assert!(
        status != Some(0) && said.contains("wrong password"),
        "{said}"
    );
    let borg = "borg init -e repokey borg-repo && borg list borg-repo";
    assert_eq!(run(borg).0, Some(0));
    let (status, said) = run("BACKUP_BORG=other; borg list borg-repo");
    assert!(
        status != Some(0) && said.to_lowercase().contains("passphrase"),
        "{said}"
    );
    // A secret that is missing is no empty password.
    assert_ne!(
        run(&format!("unset BACKUP_RESTIC; {restic} snapshots")).0,
        Some(0)
    );
}

#[test]
fn git_asks_for_its_token() {
    if program("git").is_none() {
        return;
    }
    let mut home = home(&["git", "sh"]);
    home.set("GIT_TOKEN", "t0ken");
    home.program("askpass", &example("Username*)"));
    home.set("GIT_ASKPASS", home.path().join("bin/askpass"));
    let fill = "printf 'protocol=https\\nhost=git.example\\n\\n' | git credential fill";
    shell(&home, fill).has(
        0,
        "protocol=https\nhost=git.example\nusername=trader\npassword=t0ken\n",
        &[],
    );
}

/// A PostgreSQL of its own, at a socket in a home, whose user has the password; `None`: it is not here.
struct Postgres(Home, std::process::Child);

impl Drop for Postgres {
    fn drop(&mut self) {
        // SAFETY: plain numbers. It is asked to end at once.
        unsafe { libc::kill(self.1.id().cast_signed(), libc::SIGQUIT) };
        let _ = self.1.wait();
    }
}

impl Postgres {
    fn start(password: &str) -> Option<(Postgres, PathBuf)> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let bin = versions
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .next()?;
        let home = Home::new();
        home.write("password", password);
        if !home.give_to_stranger() {
            return None;
        }
        // It does not run as root.
        let number = STRANGER.to_string();
        let command = |name: &str| {
            let mut command = home.command(find("setpriv").unwrap());
            command.args(["--reuid", &number, "--regid", &number, "--clear-groups"]);
            command.arg(bin.join(name));
            command
        };
        let mut initdb = command("initdb");
        initdb.args([
            "-D",
            "data",
            "-U",
            "trader",
            "-A",
            "scram-sha-256",
            "--no-sync",
        ]);
        initdb.args(["--pwfile", "password", "--no-locale", "-E", "UTF8"]);
        let made = transcript(&mut initdb);
        assert_eq!(made.status, Some(0), "{}", made.stderr);
        let mut server = command("postgres");
        server.args(["-D", "data", "-c", "listen_addresses=", "-F"]);
        server.arg("-k").arg(home.path());
        let server = server
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Postgres(home, server);
        let socket = server.0.path().join(".s.PGSQL.5432");
        super::super::exec::waits_for(|| socket.exists());
        Some((server, bin))
    }
}

#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
#[test]
fn psql_reads_its_password_from_a_template() {
    let Some((server, bin)) = Postgres::start("p/w%1") else {
        return not_run("there is no PostgreSQL, or no other user to run it");
    };
    let home = home(&[]);
    home.install("psql", &bin.join("psql"));
    home.write("pgpass", "*:*:*:trader:{{prod/db#password}}\n");
    let recipe = example("PGPASSFILE=pgpass");
    let query = format!(
        "{} -w -h {} -d postgres -Atc 'select 6*7'",
        recipe.trim_end(),
        place(&server)
    );
    let ready = || shell(&home, &query).status == Some(0);
    super::super::exec::waits_for(ready);
    shell(&home, &query).is(0, "42\n", "");
    shell(&home, &format!("PROD_DB_PASSWORD=other; {query}")).has(
        2,
        "",
        &["password authentication failed"],
    );
}

fn place(server: &Postgres) -> String {
    let path: &Path = server.0.path();
    path.display().to_string()
}
