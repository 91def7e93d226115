//! The recipes of the README and of the man page for mounted files and for the keyring: what checks such files checks
//! these, and the backend reads at the paths that they mount.

#[cfg(feature = "config")]
mod bitwarden;
#[cfg(feature = "config")]
mod services;
#[cfg(feature = "config")]
mod stand_ins;
#[cfg(feature = "config")]
mod stores;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Home, emulated, find, not_run, program, program_under_test, transcript};

/// The code blocks of one language in a section of the README.
pub fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split_once("\n## ").map_or(section, |(own, _)| own);
    section
        .split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect()
}

pub const MOUNTED: &str = "credentials: mounted files";

/// The examples of the man page, as they are shown.
fn examples() -> Vec<String> {
    let page = include_str!("../man/mxm-secrets.1");
    let blocks = page.split("\n.Bd -literal -offset indent\n").skip(1);
    blocks
        .map(|rest| rest.split_once("\n.Ed").unwrap().0.replace("\\e", "\\"))
        .collect()
}

/// The example that has `marker` in it.
pub fn example(marker: &str) -> String {
    let all = examples();
    let found = all.into_iter().find(|example| example.contains(marker));
    found.unwrap()
}

/// The path at which the backend looks for `prod/api-key` where systemd says nothing.
fn path_read() -> String {
    let home = Home::new();
    let report = home.run([
        "resolve",
        "--backend",
        "credentials",
        "--json",
        "prod/api-key",
    ]);
    let report = String::from_utf8(report.stdout).unwrap();
    let (_, chain) = report.split_once(r#""chain":[{"#).unwrap();
    let (_, path) = chain.split_once(r#""locator":""#).unwrap();
    path.split_once('"').unwrap().0.to_owned()
}

/// Asks Python, with the YAML file of the README as `y`.
fn python(marker: &str, script: &str) -> Option<String> {
    let yaml = blocks(MOUNTED, "yml")
        .into_iter()
        .find(|block| block.contains(marker))
        .map_or_else(|| example(marker), str::to_owned);
    let python = program("python3")?;
    let known = Command::new(&python).args(["-c", "import yaml"]).output();
    if !known.unwrap().status.success() {
        not_run("Python has no yaml here (python3-yaml)");
        return None;
    }
    let script = format!("import sys, yaml\ny = yaml.safe_load(sys.argv[1])\n{script}");
    let output = Command::new(python)
        .args(["-c", &script, &yaml])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Runs what stands before the `--` of a recipe's command, with a command that shows the variable, in a home with the
/// secret at `file` of the directory.
fn runs(words: &[&str], file: &str) {
    let mut home = Home::new();
    home.write(&format!("mnt/{file}"), "s3cret");
    let directory = home.path().join("mnt");
    home.set("CREDENTIALS_DIRECTORY", directory);
    home.link(&["printenv"]);
    let end = words.iter().position(|word| *word == "--").unwrap();
    assert_eq!(words[0], "mxm-secrets");
    let arguments = [&words[1..=end], &["printenv", "PROD_API_KEY"]].concat();
    home.run(arguments).is(0, "s3cret\n", "");
}

#[test]
fn systemd_takes_the_units_and_the_backend_reads_their_credentials() {
    let units = blocks(MOUNTED, "ini");
    assert_eq!(units.len(), 2);
    for unit in &units {
        let value = |key: &str| {
            let (_, rest) = unit.split_once(&format!("\n{key}=")).unwrap();
            rest.lines().next().unwrap()
        };
        let (id, _) = value("LoadCredentialEncrypted").split_once(':').unwrap();
        let start = value("ExecStart");
        match start.strip_prefix("/usr/bin/env ") {
            Some(command) => runs(&command.split(' ').collect::<Vec<_>>(), id),
            None => {
                // What systemd makes of it: quotes around a word, and `$$` for a dollar.
                let script = start
                    .strip_prefix("/bin/sh -c '")
                    .and_then(|rest| rest.strip_suffix('\''))
                    .unwrap()
                    .replace("$$", "$");
                let (variable, value) = value("Environment").split_once('=').unwrap();
                let mut home = Home::new();
                home.write(&format!("mnt/{id}"), "s3cret");
                let directory = home.path().join("mnt");
                home.set("CREDENTIALS_DIRECTORY", directory);
                home.set(variable, value);
                home.install("mxm-secrets", program_under_test());
                home.fake("sleep", "");
                let script = script.replace("&& exec", "&& echo \"$key\" && exec");
                transcript(home.command("/bin/sh").args(["-c", &script])).is(0, "s3cret\n", "");
            }
        }
    }
    let Some(verify) = verify_units() else {
        return;
    };
    for unit in units {
        assert_eq!(verify(unit), (true, String::new()), "{unit}");
        let mistaken = unit.replace("LoadCredentialEncrypted", "LoadCredentialsEncrypted");
        assert!(verify(&mistaken).1.contains("Unknown key"), "{unit}");
    }
}

/// What systemd says of a unit, in a root of its own, with the units of the system and the programs that these name.
fn verify_units() -> Option<impl Fn(&str) -> (bool, String)> {
    let analyze = program("systemd-analyze")?;
    let home = Home::new();
    let root = home.path().join("root");
    let units_of_systemd = ["/usr/lib/systemd/system", "/lib/systemd/system"]
        .into_iter()
        .find(|path| Path::new(path).is_dir());
    let Some(units_of_systemd) = units_of_systemd else {
        not_run("systemd has no units here");
        return None;
    };
    fs::create_dir_all(root.join("usr/lib/systemd")).unwrap();
    let copied = Command::new("cp")
        .args(["-r", units_of_systemd])
        .arg(root.join("usr/lib/systemd/system"))
        .status();
    assert!(copied.unwrap().success());
    for file in ["bin/sh", "usr/bin/env"] {
        let file = home.write(&format!("root/{file}"), "#!");
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    Some(move |unit: &str| {
        home.write("root/etc/systemd/system/recipe.service", unit);
        let output = Command::new(&analyze)
            .args(["verify", "--man=no", "recipe.service", "--root"])
            .arg(&root)
            .output()
            .unwrap();
        // An unknown key is only a warning to it, with status 0.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    })
}

#[test]
fn the_compose_file_mounts_what_the_backend_reads() {
    let script = r#"
for service in y["services"].values():
    for secret in service["secrets"]:
        assert secret in y["secrets"], secret
        print("/run/secrets/" + secret)
    print(service["command"])
"#;
    let Some(said) = python("services:", script) else {
        return;
    };
    let (path, command) = said.trim_end().split_once('\n').unwrap();
    assert_eq!(path, path_read());
    let file = path.strip_prefix("/run/secrets/").unwrap();
    runs(&command.split(' ').collect::<Vec<_>>(), file);
}

#[test]
fn the_pod_mounts_what_the_backend_reads() {
    let script = r#"
assert (y["apiVersion"], y["kind"]) == ("v1", "Pod")
spec = y["spec"]
# The token of the service account would be mounted below /run/secrets, which is read-only.
assert spec["automountServiceAccountToken"] is False
volumes = {volume["name"]: volume for volume in spec["volumes"]}
for container in spec["containers"]:
    for mount in container["volumeMounts"]:
        for item in volumes[mount["name"]]["secret"]["items"]:
            print(mount["mountPath"] + "/" + item["path"])
    print(" ".join(container["command"]))
"#;
    let Some(said) = python("kind: Pod", script) else {
        return;
    };
    let (path, command) = said.trim_end().split_once('\n').unwrap();
    assert_eq!(path, path_read());
    let file = path.strip_prefix("/run/secrets/").unwrap();
    runs(&command.split(' ').collect::<Vec<_>>(), file);
}

#[test]
fn the_ci_job_runs() {
    let script = "print('\\n'.join(y['test']['script']))";
    let Some(script) = python("API_KEY_FILE", script) else {
        return;
    };
    let home = Home::new();
    let key = home.write("from-gitlab", "s3cret");
    home.install("mxm-secrets", program_under_test());
    home.link(&["mktemp", "install"]);
    home.fake("integration-test", "echo \"$PROD_API_KEY\"");
    let script = script.replace("./integration-test", "integration-test");
    let mut command = home.command("/bin/sh");
    command.args(["-ec", &script]).env("API_KEY_FILE", key);
    command.env("TMPDIR", home.path());
    transcript(&mut command).is(0, "s3cret\n", "");
}

#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "the kernel keyring is a part of Linux"
)]
fn the_keyring_recipe_runs_in_a_session_without_the_users_keys() {
    if program("keyctl").is_none() || emulated("qemu has no keyctl call") {
        return;
    }
    let shown = Command::new("keyctl")
        .arg("show")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !shown.unwrap().success() {
        return not_run("keyctl is not allowed here");
    }
    let home = Home::new();
    home.link(&["keyctl"]);
    home.install("mxm-secrets", program_under_test());
    // A name of its own, since the keyring of the user is one for all.
    let name = format!("recipe/{}", std::process::id());
    let script = format!(
        "trap 'keyctl unlink \"$id\" @u || :' EXIT\n{}",
        example("keyctl").replace("prod/api-key", &name)
    );
    let mut command = home.command(find("keyctl").unwrap());
    command.args(["session", "-", "/bin/sh", "-ec", &script]);
    transcript(&mut command).has(0, "s3cret\n", &[]);
}
