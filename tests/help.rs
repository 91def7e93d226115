//! The help, the man page, and where `make install` puts them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Home, program, program_under_test, transcript};

const COMMANDS: [&str; 8] = [
    "get",
    "exec",
    "resolve",
    "list-backends",
    "config",
    "credential",
    "help",
    "version",
];

fn page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man/mxm-secrets.1")
}

/// The help that these arguments give.
fn help(arguments: &[&str]) -> String {
    let seen = Home::new().run(arguments);
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(0), ""));
    String::from_utf8(seen.stdout).unwrap()
}

/// The long flags that a help lists.
fn flags(help: &str) -> Vec<&str> {
    let (_, options) = help.split_once("\nOptions:\n").unwrap();
    let listed = options
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("       "));
    let flags: Vec<&str> = listed
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")))
        .collect();
    assert!(!flags.is_empty());
    flags
}

#[test]
fn the_man_page_has_nothing_to_complain_of() {
    let Some(mandoc) = program("mandoc") else {
        return;
    };
    let seen = transcript(Command::new(mandoc).arg("-Tlint").arg(page()));
    // The base systems of the BSDs leave it out; ours has the version in it.
    let line = "STYLE: operating system explicitly specified: Os mxm-secrets";
    let others: Vec<&str> = std::str::from_utf8(&seen.stdout)
        .unwrap()
        .lines()
        .filter(|said| !said.contains(line))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(seen.stderr, "");
}

/// The page as text, without the strikes over that make letters bold.
fn rendered(command: &mut Command) -> String {
    let mut plain = String::new();
    let seen = transcript(command.env("MANWIDTH", "78").env("LC_ALL", "C"));
    for c in String::from_utf8(seen.stdout).unwrap().chars() {
        if c == '\x08' {
            plain.pop();
        } else {
            plain.push(c);
        }
    }
    plain
}

#[test]
fn the_page_has_its_version_and_date_with_man_db_and_mandoc() {
    let version = concat!("mxm-secrets ", env!("CARGO_PKG_VERSION"));
    for (name, arguments) in [("mandoc", "-Tascii"), ("man", "-l")] {
        let Some(program) = program(name) else {
            continue;
        };
        let text = rendered(Command::new(program).arg(arguments).arg(page()));
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let (first, last) = (lines[0], lines[lines.len() - 1]);
        assert!(first.starts_with("MXM-SECRETS(1)"), "{first}");
        assert!(
            first.contains("General Commands Manual") && !first.contains("BSD"),
            "{first}"
        );
        assert!(last.contains(version) && last.contains(" 2026"), "{last}");
    }
}

/// Every variable that the source reads by its name is in the manual.
#[test]
fn every_variable_that_is_read_is_in_the_manual() {
    fn sources(directory: &Path, all: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(path).unwrap();
                // What unit tests read is theirs.
                all.push_str(text.split("#[cfg(test)]\nmod ").next().unwrap());
            }
        }
    }
    let mut all = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let manual = fs::read_to_string(page()).unwrap();
    let mut read = 0;
    for call in ["variable(\"", "env::var(\"", "env::var_os(\""] {
        for rest in all.split(call).skip(1) {
            let name = rest.split('"').next().unwrap();
            // MXM_SECRETS_DOCS is for make docs, REQUEST_METHOD is a convention that only forbids.
            if name.ends_with('_') || ["MXM_SECRETS_DOCS", "REQUEST_METHOD"].contains(&name) {
                continue;
            }
            read += 1;
            assert!(manual.contains(name), "{name} is not in the man page");
        }
    }
    assert!(read >= 10, "{read}");
}

#[test]
fn every_flag_is_in_help_and_man_page() {
    let Some(mandoc) = program("mandoc") else {
        return;
    };
    let plain = rendered(
        Command::new(mandoc)
            .args(["-Tascii", "-Owidth=78"])
            .arg(page()),
    );
    let sections = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "COMMANDS",
        "OPTIONS",
        "CONFIGURATION",
        "BACKENDS",
        "ENVIRONMENT",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "SECURITY",
        "SEE ALSO",
        "CAVEATS",
    ];
    for section in sections {
        assert!(plain.contains(&format!("\n{section}\n")), "no {section}");
    }
    // What one command alone has, its own short help shows.
    let (short, whole) = (help(&["-h"]), help(&["--help"]));
    let everywhere = |flag: &&str| {
        let known = |command: &&&str| flags(&help(&[command, "-h"])).contains(flag);
        COMMANDS.iter().filter(known).count() > 1
    };
    let general: Vec<&str> = flags(&whole).into_iter().filter(everywhere).collect();
    assert_eq!(flags(&short), general);
    let mut of_commands = Vec::new();
    for command in COMMANDS {
        let (short, whole) = (help(&[command, "-h"]), help(&[command, "--help"]));
        assert_eq!(flags(&short), flags(&whole), "{command}");
        of_commands.extend(flags(&whole).into_iter().map(str::to_owned));
        assert!(
            plain.contains(&format!("mxm-secrets {command}")),
            "{command}"
        );
    }
    for flag in flags(&whole) {
        assert!(of_commands.iter().any(|known| known == flag), "{flag}");
        let item = |line: &str| line.split([' ', ',']).any(|word| word == flag);
        assert!(plain.lines().any(item), "{flag} is not in the man page");
    }
}

#[test]
fn help_and_version_are_commands() {
    let home = Home::new();
    assert_eq!(help(&["help"]), help(&["--help"]));
    assert_eq!(help(&["version"]), help(&["--version"]));
    for command in COMMANDS {
        assert_eq!(help(&["help", command]), help(&[command, "--help"]));
    }
    for (arguments, words) in [
        (&["help", "gte"][..], "did you mean get?"),
        (&["help", "get", "exec"], "help: give one command"),
        (&["version", "get"], "version takes no operand"),
        (&["help", "--json"], "help has no option --json"),
    ] {
        home.run(arguments).has(2, "", &[words]);
    }
}

#[test]
fn the_short_help_is_a_screen() {
    for arguments in [vec!["-h"], vec!["exec", "-h"], vec!["resolve", "-h"]] {
        let text = help(&arguments);
        assert!(text.lines().count() <= 40, "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}

#[test]
fn an_undeclared_flag_is_refused_with_the_nearest() {
    let home = Home::new();
    for (given, words) in [
        ("--rwa", "unknown option --rwa: did you mean --raw?"),
        (
            "--bakcend=env",
            "unknown option --bakcend: did you mean --backend?",
        ),
        ("--frobnicate", "unknown option --frobnicate"),
        ("-x", "unknown option -x"),
        ("--explain", "get has no option --explain"),
    ] {
        home.run(["get", given, "a"]).has(2, "", &[words]);
    }
    home.run(["got", "a"]).has(2, "", &["did you mean get?"]);
}

#[test]
fn make_install_puts_everything_in_its_place_and_uninstall_takes_it_away() {
    let Some(make) = program("make") else { return };
    let home = Home::new();
    let run = |target: &str| {
        let mut command = Command::new(&make);
        command
            .arg("-C")
            .arg(env!("CARGO_MANIFEST_DIR"))
            .args([target, "PREFIX=/opt/mxm"]);
        command.arg(format!("DESTDIR={}", home.path().join("root").display()));
        command.arg(format!("PROGRAM={}", program_under_test().display()));
        // Root, who installs, need not have it.
        command.arg("CARGO=false");
        // A make that runs the tests has flags of its own.
        command
            .env_remove("MAKEFLAGS")
            .env_remove("MFLAGS")
            .env_remove("MAKELEVEL");
        let seen = transcript(&mut command);
        assert_eq!(seen.status, Some(0), "{}", seen.stderr);
    };
    let place = |file: &str| home.path().join("root/opt/mxm").join(file);
    let files = [
        ("bin/mxm-secrets", ""),
        ("share/man/man1/mxm-secrets.1", "man/mxm-secrets.1"),
        (
            "share/bash-completion/completions/mxm-secrets",
            "completions/mxm-secrets.bash",
        ),
        (
            "share/zsh/site-functions/_mxm-secrets",
            "completions/_mxm-secrets",
        ),
        (
            "share/fish/vendor_completions.d/mxm-secrets.fish",
            "completions/mxm-secrets.fish",
        ),
        (
            "lib/systemd/system/mxm-secrets-credential.socket",
            ".ci/systemd/mxm-secrets-credential.socket",
        ),
        (
            "lib/systemd/system/mxm-secrets-credential@.service",
            ".ci/systemd/mxm-secrets-credential@.service",
        ),
    ];
    run("install");
    for (file, source) in files {
        let installed = fs::read(place(file)).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        assert!(
            source.is_dir() || installed == fs::read(source).unwrap(),
            "{file}"
        );
    }
    let version = transcript(Command::new(place("bin/mxm-secrets")).arg("--version"));
    assert_eq!(version.status, Some(0));
    run("uninstall");
    for (file, _) in files {
        assert!(!place(file).exists(), "{file}");
    }
}
