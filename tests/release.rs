//! What is handed out: the package for cargo, the tarball, the Debian package, and the step to the next version.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::rights::in_own_mounts;
use crate::support::{Home, copy_program, program, program_under_test, transcript};

const TARGET: &str = "x86_64-unknown-linux-musl";

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command of this machine and gives what it prints; it must succeed.
#[track_caller]
fn output(command: &mut Command) -> String {
    let seen = transcript(command);
    assert_eq!(seen.status, Some(0), "{command:?}: {}", seen.stderr);
    String::from_utf8(seen.stdout).unwrap()
}

/// Runs a script of .ci on the program under test, without what a debugger needs, and gives the folder it fills.
fn packed(home: &Home, script: &str, folder: &str) -> Option<PathBuf> {
    let small = home.path().join("mxm-secrets");
    output(
        Command::new(program("strip")?)
            .arg("-o")
            .arg(&small)
            .arg(program_under_test()),
    );
    let folder = home.path().join(folder);
    output(
        Command::new(checkout().join(".ci").join(script))
            .arg(TARGET)
            .env("PROGRAM", small)
            .env("DIST", &folder)
            .env("SOURCE_DATE_EPOCH", "1700000000")
            // A make that runs the tests has flags of its own.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL"),
    );
    Some(folder)
}

#[test]
fn the_package_for_cargo_has_the_source_and_what_a_user_reads() {
    let listed = output(
        Command::new(env!("CARGO"))
            .args([
                "package",
                "--list",
                "--allow-dirty",
                "--offline",
                "--locked",
            ])
            .current_dir(checkout()),
    );
    let source = |file: &str| file.starts_with("src/") && file.ends_with(".rs");
    let others: Vec<&str> = listed.lines().filter(|file| !source(file)).collect();
    let expected = [
        ".cargo_vcs_info.json",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "Cargo.toml.orig",
        "LICENSE",
        "README.md",
        "completions/_mxm-secrets",
        "completions/mxm-secrets.bash",
        "completions/mxm-secrets.fish",
        "man/mxm-secrets.1",
        // Drawn into the man page.
        "src/cli/docs/manual.mdoc",
        // Compiled in.
        "src/config/recipes.yaml",
    ];
    assert_eq!(others, expected);
}

/// Built without optimisation beside what these tests were built from, so that nothing but the package's own source is
/// compiled once more; what comes of it goes elsewhere, since other tests run the program that is there.
#[test]
fn the_package_for_cargo_installs_and_runs() {
    let home = Home::new();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let cargo = |arguments: &[&OsStr]| {
        let mut command = Command::new(env!("CARGO"));
        // What cargo says of these tests; build scripts would take it for a change.
        for (variable, _) in env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
                command.env_remove(&variable);
            }
        }
        output(
            command
                .args(arguments)
                .args(["--offline", "--locked", "--quiet", "--target-dir"])
                .arg(home.path().join("target"))
                .env("CARGO_BUILD_BUILD_DIR", scratch.parent().unwrap())
                .current_dir(checkout()),
        )
    };
    cargo(&["package", "--no-verify", "--allow-dirty"].map(OsStr::new));
    let name = concat!("mxm-secrets-", env!("CARGO_PKG_VERSION"));
    let package = home
        .path()
        .join("target/package")
        .join(format!("{name}.crate"));
    assert!(fs::metadata(&package).unwrap().len() < 1 << 20);

    // The same place every time: cargo keeps what it has built of every other one. With the time of now: cargo would
    // take files of 2006, as they are in the package, for those that it knows.
    let source = scratch.join(name);
    let _ = fs::remove_dir_all(&source);
    output(
        Command::new("tar")
            .args(["--touch", "-xzf"])
            .arg(package)
            .current_dir(scratch),
    );
    let words = ["install", "--debug", "--path"].map(OsStr::new);
    let root = [OsStr::new("--root"), home.path().as_os_str()];
    cargo(&[&words[..], &[source.as_os_str()], &root].concat());

    let installed = home.path().join("bin/mxm-secrets");
    let mut get = home.command(&installed);
    get.args(["get", "prod/api-key"])
        .env("PROD_API_KEY", "s3cret");
    transcript(&mut get).is(0, "s3cret\n", "");
    // What nobody has asked for is there, too: every backend.
    let mut list = home.command(&installed);
    let listed = output(list.args(["list-backends", "--backend", "env"]));
    assert!(!listed.contains("not built in"), "{listed}");
}

#[test]
fn the_tarball_is_whole_and_the_same_every_time() {
    let home = Home::new();
    let Some(one) = packed(&home, "dist", "one") else {
        return;
    };
    let two = packed(&home, "dist", "two").unwrap();
    let sums = fs::read_to_string(one.join("SHA256SUMS")).unwrap();
    assert_eq!(fs::read_to_string(two.join("SHA256SUMS")).unwrap(), sums);
    output(
        Command::new("sha256sum")
            .args(["--check", "SHA256SUMS"])
            .current_dir(&one),
    );
    let name = format!("mxm-secrets-{}-{TARGET}", env!("CARGO_PKG_VERSION"));
    let listed = output(
        Command::new("tar")
            .arg("-tf")
            .arg(one.join(format!("{name}.tar.gz"))),
    );
    let files: Vec<&str> = listed
        .lines()
        .filter(|path| !path.ends_with('/'))
        .map(|path| path.split_once('/').unwrap().1)
        .collect();
    let expected = [
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "completions/_mxm-secrets",
        "completions/mxm-secrets.bash",
        "completions/mxm-secrets.fish",
        "man/mxm-secrets.1",
        "mxm-secrets",
        "sbom.cdx.json",
        "systemd/mxm-secrets-credential.socket",
        "systemd/mxm-secrets-credential@.service",
    ];
    assert_eq!(files, expected);
    let inside = fs::read_to_string(one.join(format!("{name}.cdx.json"))).unwrap();
    assert!(inside.contains("pkg:cargo/lexopt@"), "{inside}");
    assert!(!inside.contains("pkg:cargo/assert_cmd@"), "{inside}");
}

#[test]
fn the_image_has_one_layer_and_is_the_same_every_time() {
    let home = Home::new();
    let Some(one) = packed(&home, "image", "one") else {
        return;
    };
    let two = packed(&home, "image", "two").unwrap();
    let name = format!("mxm-secrets-{}-amd64.oci.tar", env!("CARGO_PKG_VERSION"));
    let archive = fs::read(one.join(&name)).unwrap();
    assert!(fs::read(two.join(&name)).unwrap() == archive);
    let folder = home.path().join("image");
    fs::create_dir(&folder).unwrap();
    let tar = |option: &str, archive: &Path| {
        let mut tar = Command::new("tar");
        output(tar.arg(option).arg(archive).current_dir(&folder))
    };
    tar("-xf", &one.join(name));
    // From the index to the layer, each blob is what its digest says.
    let blob = |digest: &str| {
        let path = folder.join("blobs/sha256").join(digest);
        let sum = output(Command::new("sha256sum").arg(&path));
        assert!(sum.starts_with(digest), "{sum}");
        path
    };
    let digests = |text: &str| -> Vec<String> {
        let parts = text.split("\"digest\":\"sha256:").skip(1);
        parts.map(|part| part[..64].to_owned()).collect()
    };
    let index = fs::read_to_string(folder.join("index.json")).unwrap();
    let manifest = fs::read_to_string(blob(&digests(&index)[0])).unwrap();
    let parts = digests(&manifest);
    assert_eq!(parts.len(), 2, "{manifest}");
    blob(&parts[0]);
    let listed = tar("-tvf", &blob(&parts[1]));
    let files: Vec<&str> = listed
        .lines()
        .filter(|line| line.starts_with('-'))
        .collect();
    assert!(
        files.len() == 2 && files.iter().all(|line| line.contains(" 0/0 ")),
        "{listed}"
    );
    assert!(files[0].starts_with("-rw-r--r--") && files[0].ends_with(" ./LICENSE"));
    assert!(files[1].starts_with("-rwxr-xr-x") && files[1].ends_with(" ./mxm-secrets"));
}

/// A database of one advisory, against every version of a crate, as RustSec's are laid out.
fn advisory(home: &Home, krate: &str) -> PathBuf {
    let database = home.path().join(krate);
    home.write(
        &format!("{krate}/crates/{krate}/RUSTSEC-2026-9999.md"),
        format!(
            "```toml\n[advisory]\nid = \"RUSTSEC-2026-9999\"\npackage = \"{krate}\"\ndate = \"2026-01-01\"\n\
            \n[versions]\npatched = []\n```\n\n# It is made up\n\nFor a test.\n"
        ),
    );
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["commit", "--quiet", "--message=One"],
    ] {
        output(
            Command::new("git")
                .args(["-c", "user.name=a", "-c", "user.email=a@b.example"])
                .args(arguments)
                .current_dir(&database)
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap())
                .env("HOME", home.path())
                .env("GIT_COMMITTER_DATE", "2026-02-03T12:00:00Z"),
        );
    }
    database
}

#[test]
fn an_advisory_against_what_is_linked_is_found() {
    if program("cargo-deny").is_none() || program("git").is_none() {
        return;
    }
    let home = Home::new();
    let deny = |database: Option<&Path>| {
        let mut command = Command::new(checkout().join(".ci/deny"));
        command.env_remove("MXM_SECRETS_ADVISORY_DB");
        if let Some(database) = database {
            command.env("MXM_SECRETS_ADVISORY_DB", database);
        }
        transcript(&mut command)
    };
    let seen = deny(Some(&advisory(&home, "lexopt")));
    assert_eq!(seen.status, Some(1), "{}", seen.stderr);
    assert!(seen.stderr.contains("RUSTSEC-2026-9999"), "{}", seen.stderr);
    let said = String::from_utf8(seen.stdout).unwrap();
    assert!(said.contains("as of 2026-02-03: 1 of them"), "{said}");

    // One that nothing here needs, and none at all.
    let seen = deny(Some(&advisory(&home, "left-pad")));
    assert_eq!(seen.status, Some(0), "{}", seen.stderr);
    let seen = deny(None);
    seen.has(0, &seen.stdout, &["\nNOT CHECKED: advisories: "]);
}

#[test]
fn the_debian_package_installs_runs_and_goes_away() {
    let home = Home::new();
    if ["dpkg", "lintian", "man"]
        .iter()
        .any(|name| program(name).is_none())
    {
        return;
    }
    let Some(folder) = packed(&home, "deb", "dist") else {
        return;
    };
    let name = format!("mxm-secrets_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
    let package = folder.join(name);
    let mut check = Command::new("lintian");
    check.args(["--allow-root", "--fail-on=none"]);
    if env::var_os("MXM_SECRETS_TEST_PROGRAM").is_none() {
        // The program of the tests is linked as tests are.
        check.args([
            "--suppress-tags",
            "missing-depends-line,undeclared-elf-prerequisites,mismatched-override",
        ]);
    }
    assert_eq!(output(check.arg(&package)), "");

    installs_below(&home, &package);
    installs_whole(&home, &package);
}

/// Into a folder that stands for a machine: anyone can do that.
fn installs_below(home: &Home, package: &Path) {
    let root = home.path().join("root");
    let admin = root.join("var/lib/dpkg");
    for folder in ["info", "updates", "triggers"] {
        fs::create_dir_all(admin.join(folder)).unwrap();
    }
    for file in ["status", "available"] {
        fs::write(admin.join(file), "").unwrap();
    }
    let run = |arguments: &[&str]| {
        output(
            Command::new("dpkg")
                .arg(format!("--root={}", root.display()))
                .args(["--force-not-root", "--force-bad-path", "--log=/dev/null"])
                .args(arguments),
        )
    };
    run(&["--install", package.to_str().unwrap()]);
    let version = output(
        home.command(root.join("usr/bin/mxm-secrets"))
            .arg("--version"),
    );
    let expected = format!("mxm-secrets {}", env!("CARGO_PKG_VERSION"));
    assert!(version.starts_with(&expected), "{version}");
    run(&["--remove", "mxm-secrets"]);
    assert!(!root.join("usr").exists());
}

/// As users do it, so that man finds the page and nothing stays behind: on a copy of this machine, as what stands
/// there must not change under the tests that run beside this one.
fn installs_whole(home: &Home, package: &Path) {
    let script = format!(
        r#"
        traces() {{ find /etc /usr/bin /usr/lib /usr/share /var/lib/dpkg -name '*mxm-secrets*'; }}
        dpkg --purge mxm-secrets >/dev/null 2>&1
        test -z "$(traces)"
        dpkg --install '{}' >/dev/null
        PROD_API_KEY=s3cret /usr/bin/mxm-secrets get prod/api-key
        man -w mxm-secrets
        cd /usr/share
        ls bash-completion/completions/mxm-secrets fish/vendor_completions.d/mxm-secrets.fish \
            zsh/vendor-completions/_mxm-secrets
        # Every file is as its sum in the package says.
        dpkg --verify mxm-secrets
        dpkg --purge mxm-secrets >/dev/null
        test -z "$(traces)"
        if dpkg-query --status mxm-secrets 2>/dev/null; then exit 9; fi"#,
        package.display()
    );
    let mut command = home.command("/bin/sh");
    command.args(["-euc", &script]);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let copy = r#"
        mount -t tmpfs tmpfs /mnt
        for folder in etc usr var; do
            mkdir -p /mnt/$folder/changes /mnt/$folder/work
            mount -t overlay overlay -o lowerdir=/$folder,upperdir=/mnt/$folder/changes,workdir=/mnt/$folder/work /$folder
        done"#;
    let Some(mut command) = in_own_mounts(home, copy, home.path(), &command) else {
        return;
    };
    let expected = "s3cret
/usr/share/man/man1/mxm-secrets.1.gz
bash-completion/completions/mxm-secrets
fish/vendor_completions.d/mxm-secrets.fish
zsh/vendor-completions/_mxm-secrets
";
    transcript(&mut command).is(0, expected, "");
}

#[test]
fn the_next_version_is_one_command() {
    let home = Home::new();
    let clone = home.path().join("clone");
    fs::create_dir_all(clone.join("src/cli/docs")).unwrap();
    fs::create_dir(clone.join(".ci")).unwrap();
    fs::create_dir(clone.join("fuzz")).unwrap();
    let files = [
        "Cargo.toml",
        "Cargo.lock",
        "fuzz/Cargo.lock",
        "CHANGELOG.md",
        "src/cli/docs/manual.mdoc",
    ];
    for file in files {
        fs::copy(checkout().join(file), clone.join(file)).unwrap();
    }
    let script = clone.join(".ci/version");
    copy_program(&checkout().join(".ci/version"), &script);
    let version = |new: &str| {
        let mut command = Command::new(&script);
        transcript(command.arg(new).env("SOURCE_DATE_EPOCH", "4102444800"))
    };
    let old = env!("CARGO_PKG_VERSION");
    version("1.2").is(
        2,
        "",
        "make version: NEW=1.2 is not a version such as 1.2.3\n",
    );
    version("0.0.1").is(2, "", &format!("make version: 0.0.1 is before {old}\n"));

    version("99.0.0").is(0, "", "");
    let read = |file: &str| fs::read_to_string(clone.join(file)).unwrap();
    assert!(read("Cargo.toml").contains("\nversion = \"99.0.0\"\n"));
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        assert!(read(lock).contains("name = \"mxm-secrets\"\nversion = \"99.0.0\"\n"));
    }
    assert!(read("CHANGELOG.md").contains("## [Unreleased]\n\n## [99.0.0] - 2100-01-01\n"));
    assert!(read("src/cli/docs/manual.mdoc").contains("\n.Dd January 1, 2100\n"));
    version("99.0.0").is(2, "", "make version: CHANGELOG.md already has 99.0.0\n");
}
