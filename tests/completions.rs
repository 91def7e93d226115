//! The completions, asked of the shells themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::terminal::Terminal;
use crate::support::{Home, program, program_under_test, transcript};

/// Long enough for the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn completion(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("completions")
        .join(file)
}

/// A command in a home with a program `tool` that has a completion of its own: alpha and beta.
fn command(home: &Home, shell: &Path) -> Command {
    let mut command = home.command(shell);
    let path = format!("{}/bin:/usr/bin:/bin", home.path().display());
    command
        .env("PATH", path)
        .env("TERM", "xterm")
        .env("AN_EXPORTED_ONE", "1");
    command
}

/// Refs, and backends of the user's own; a set whose key looks like one of a backend.
const CONFIGURATION: &str = "mxm_secrets:
  backends: [own]
  own: {command: [asked, \"{name}\"], names: any}
  my-own_2: {command: [asked, \"{name}\"]}
  sets: {names: {A: key}}
  stores: {red: {backend: own, root: r}}
  policies: {p: {allowed_principals: []}}
  refs:
    key: {store: red, path: a/b, policy: p}
    key_2: {store: red, path: c, policy: p}
    part: {store: blue, path: c, policy: p}
";

/// A home with a configuration, a second one, a wrong one, and the program on the PATH.
fn configured() -> Home {
    let home = Home::new();
    home.fake("tool", "");
    home.fake("asked", "echo secret");
    home.install("mxm-secrets", program_under_test());
    home.write(
        "mxm-config-store/apps/mxm-secrets/default.yaml",
        CONFIGURATION,
    );
    home.write("other.yaml", CONFIGURATION.replace("key:", "elsewhere:"));
    home.write(
        "wrong.yaml",
        CONFIGURATION.replace("policy: p", "policy: q"),
    );
    home
}

/// What is offered at the end of a line.
type Offers = Box<dyn Fn(&str) -> Vec<String>>;

/// A shell that says what it offers at the end of a line; lines are given as the words that bash makes of them.
struct Shell {
    name: &'static str,
    offers: Offers,
}

impl Shell {
    #[track_caller]
    fn offers(&self, line: &str, some: &[&str], not: &[&str]) {
        let offered = (self.offers)(line);
        for word in some {
            let there = offered.iter().any(|offer| offer == word);
            assert!(there, "{}: {line:?}: no {word} in {offered:?}", self.name);
        }
        for word in not {
            let there = offered.iter().any(|offer| offer == word);
            assert!(!there, "{}: {line:?}: {word} in {offered:?}", self.name);
        }
    }
}

/// What the shells have in common. Values are given without what stands before them in the word.
fn common(shell: &Shell) {
    let all = ["get", "exec", "resolve", "list-backends"];
    shell.offers("mxm-secrets ", &all, &["--raw"]);
    shell.offers("mxm-secrets re", &["resolve"], &["get"]);
    shell.offers(
        "mxm-secrets -",
        &["--help", "--version"],
        &["--raw", "--json"],
    );
    shell.offers(
        "mxm-secrets get -",
        &["--raw", "--default-ok", "--json", "--help"],
        &["--check", "--secret"],
    );
    shell.offers(
        "mxm-secrets resolve --",
        &["--explain", "--json"],
        &["--raw", "--secret"],
    );
    shell.offers(
        "mxm-secrets exec --",
        &["--clean-env"],
        &["--raw", "--json"],
    );
    shell.offers(
        "mxm-secrets list-backends --",
        &["--json"],
        &["--raw", "--on-error"],
    );
    shell.offers("mxm-secrets help ", &["get", "exec"], &["--raw"]);
    shell.offers("mxm-secrets help re", &["resolve"], &["get"]);
    // A secret may be called like a subcommand.
    shell.offers("mxm-secrets resolve get --", &["--explain"], &["--raw"]);
    shell.offers(
        "mxm-secrets get --on-error ",
        &["stop", "continue"],
        &["get", "--raw"],
    );
    shell.offers("mxm-secrets exec --keep AN_EXP", &["AN_EXPORTED_ONE"], &[]);
    shell.offers("mxm-secrets get --backend ", &["gopass", "env"], &["stop"]);
    for line in [
        "mxm-secrets get prod",
        "mxm-secrets get --config wrong.yaml ",
        "mxm-secrets exec --file k",
        "mxm-secrets exec --value A=",
    ] {
        assert_eq!((shell.offers)(line), [""; 0], "{}: {line}", shell.name);
    }
    if cfg!(feature = "config") {
        configured_names(shell);
    }
    // After -- of exec stands a command, and what it completes itself.
    shell.offers(
        "mxm-secrets exec --secret a -- too",
        &["tool"],
        &["--secret"],
    );
    shell.offers(
        "mxm-secrets exec --secret a -- tool ",
        &["alpha", "beta"],
        &["--secret", "get"],
    );
    shell.offers("mxm-secrets exec -- tool al", &["alpha"], &["beta"]);
}

/// The names in refs and the user's own backends, from the configuration that the line names; no other name is known.
fn configured_names(shell: &Shell) {
    let refs = ["key", "key_2", "part"];
    shell.offers("mxm-secrets get ", &refs, &["get", "a/b", "red", "own"]);
    shell.offers("mxm-secrets resolve key ke", &["key", "key_2"], &["part"]);
    shell.offers("mxm-secrets exec --secret ", &refs, &["tool", "--"]);
    shell.offers("mxm-secrets exec --stdin k", &["key"], &["part"]);
    for file in ["other.yaml", "~/other.yaml"] {
        let line = format!("mxm-secrets get --config {file} ");
        shell.offers(&line, &["elsewhere", "part"], &["key"]);
    }
    let own = ["own", "my-own_2", "gopass"];
    shell.offers("mxm-secrets get --backend ", &own, &["sets", "stores"]);
    shell.offers("mxm-secrets get --backend my", &["my-own_2"], &["own"]);
    shell.offers(
        "mxm-secrets get --config wrong.yaml --backend ",
        &["gopass", "env"],
        &["own"],
    );
}

fn bash(with_bash_completion: bool) -> Option<Shell> {
    let program = program("bash")?;
    let library = Path::new("/usr/share/bash-completion/bash_completion");
    if with_bash_completion && !library.is_file() {
        crate::support::not_run("bash-completion is not installed");
        return None;
    }
    let home = configured();
    let source = if with_bash_completion {
        format!("source {}\n", library.display())
    } else {
        String::new()
    };
    let script = format!(
        "{source}source {}\ncomplete -W 'alpha beta' tool\n\
         COMP_LINE=$1 COMP_POINT=${{#1}}; shift; COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n\
         _mxm_secrets 2>/dev/null; ((${{#COMPREPLY[@]}} == 0)) || printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        completion("mxm-secrets.bash").display()
    );
    home.write("script", script);
    let offers = move |line: &str| {
        let mut command = command(&home, &program);
        // bash splits words at = too.
        let spread = line.replace('=', " = ");
        let end = if line.ends_with('=') {
            spread.trim_end()
        } else {
            &spread
        };
        command.arg("script").arg(line).args(end.split(' '));
        let seen = transcript(&mut command);
        assert_eq!(home.log("asked"), [""; 0]);
        String::from_utf8(seen.stdout)
            .unwrap()
            .lines()
            .map(|offer| offer.trim_end().to_owned())
            .collect()
    };
    Some(Shell {
        name: "bash",
        offers: Box::new(offers),
    })
}

#[test]
fn bash_completes() {
    let Some(shell) = bash(true) else { return };
    common(&shell);
    shell.offers("mxm-secrets get --backend=", &["gopass", "env"], &["--raw"]);
    shell.offers(
        "mxm-secrets get --backend env,",
        &["env,gopass"],
        &["env,env"],
    );
    shell.offers(
        "mxm-secrets get --backend=env,go",
        &["env,gopass"],
        &["env,env"],
    );
    shell.offers("mxm-secrets get --on-error=s", &["stop"], &["continue"]);
    if cfg!(feature = "config") {
        for line in [
            "mxm-secrets exec --secret KEY=",
            "mxm-secrets exec --file KEY=k",
            "mxm-secrets exec --secret=KEY=k",
            "mxm-secrets get --config=other.yaml --config wrong.yaml --config ~/mxm-config-store/apps/mxm-secrets/default.yaml k",
        ] {
            shell.offers(line, &["key", "key_2"], &["KEY=key", "elsewhere"]);
        }
        shell.offers("mxm-secrets get --backend=own,my", &["own,my-own_2"], &[]);
    }
    // A flag before the subcommand.
    shell.offers("mxm-secrets --backend=env get --", &["--raw"], &["--check"]);
    shell.offers(
        "mxm-secrets exec --secret A=b --",
        &["--clean-env"],
        &["--raw"],
    );
    shell.offers(
        "mxm-secrets exec --secret A=b -- tool ",
        &["alpha", "beta"],
        &[],
    );
}

#[test]
fn bash_completes_without_bash_completion() {
    let Some(shell) = bash(false) else { return };
    shell.offers("mxm-secrets resolve --", &["--explain"], &["--raw"]);
    shell.offers(
        "mxm-secrets exec --secret a -- too",
        &["tool"],
        &["--secret"],
    );
}

#[test]
fn bash_completes_for_a_person() {
    let Some(program) = program("bash") else {
        return;
    };
    let home = Home::new();
    let mut command = command(&home, &program);
    command
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", "ready> ")
        .env("INPUTRC", "/dev/null");
    let mut terminal = Terminal::start(command);
    terminal.shows("ready> ");
    terminal.types(&format!(
        "source {}; echo so\"\"urced\n",
        completion("mxm-secrets.bash").display()
    ));
    terminal.shows("sourced\n");
    terminal.types("mxm-secrets resol\t--exp\t--backend=go\t");
    terminal.shows("mxm-secrets resolve --explain --backend=gopass");
    terminal.types("\x15exit\n");
    terminal.ends();
}

#[test]
fn zsh_completes() {
    let Some(program) = program("zsh") else {
        return;
    };
    let setup = format!(
        "PS1='ready> '\nfpath=({} $fpath)\nautoload -U compinit; compinit -u -D\n\
         _tool() {{ compadd alpha beta }}; compdef _tool tool\n\
         compadd() {{\n  local a; local -a found\n  for a; do [[ $a == (-|--) ]] && break\n\
         [[ $a == -[OAD]* ]] && {{ builtin compadd \"$@\"; return }}; done\n\
         builtin compadd -O found \"$@\"; print -rl -- $found >>offered; builtin compadd \"$@\"\n}}\n\
         offer() {{ : >offered; _main_complete; : >done }}; zle -C offer list-choices offer; bindkey '^T' offer\n",
        completion("").display()
    );
    let offers = move |line: &str| {
        let home = configured();
        home.write("setup", &setup);
        let mut command = command(&home, &program);
        command.args(["-f", "-i"]);
        let mut terminal = Terminal::start(command);
        terminal.types("source ./setup\n");
        terminal.shows("ready> ");
        terminal.types(&format!("{line}\x14"));
        let end = Instant::now() + PATIENCE;
        while !home.path().join("done").exists() {
            assert!(Instant::now() < end, "no answer: {}", terminal.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(home.log("asked"), [""; 0]);
        let offered = fs::read_to_string(home.path().join("offered")).unwrap();
        offered
            .lines()
            .filter(|offer| !offer.is_empty())
            .map(|offer| offer.trim_end_matches('=').to_owned())
            .collect()
    };
    let shell = Shell {
        name: "zsh",
        offers: Box::new(offers),
    };
    common(&shell);
    shell.offers("mxm-secrets get --backend=", &["gopass", "env"], &["--raw"]);
    shell.offers("mxm-secrets get --backend env,", &["gopass"], &["env"]);
    if cfg!(feature = "config") {
        for line in [
            "mxm-secrets exec --secret KEY=",
            "mxm-secrets exec --file KEY=k",
            "mxm-secrets exec --secret=KEY=k",
        ] {
            shell.offers(line, &["key", "key_2"], &["tool"]);
        }
    }
    shell.offers(
        "mxm-secrets get --on-error=",
        &["stop", "continue"],
        &["--raw"],
    );
}

#[test]
fn fish_completes() {
    let Some(program) = program("fish") else {
        return;
    };
    let home = configured();
    let offers = move |line: &str| {
        let mut command = command(&home, &program);
        command.args(["--no-config", "-c"]).arg(format!(
            "source {}; complete -c tool -f -a 'alpha beta'; complete -C \"$argv\"",
            completion("mxm-secrets.fish").display()
        ));
        let seen = transcript(command.arg(line));
        assert_eq!(home.log("asked"), [""; 0]);
        let text = String::from_utf8(seen.stdout).unwrap();
        text.lines()
            .map(|offer| offer.split('\t').next().unwrap_or_default().to_owned())
            .collect()
    };
    let shell = Shell {
        name: "fish",
        offers: Box::new(offers),
    };
    common(&shell);
    shell.offers(
        "mxm-secrets get --backend=",
        &["--backend=gopass", "--backend=env"],
        &[],
    );
    shell.offers(
        "mxm-secrets get --backend env,",
        &["env,gopass"],
        &["env,env"],
    );
    shell.offers(
        "mxm-secrets get --backend=env,",
        &["--backend=env,gopass"],
        &["--backend=env,env"],
    );
    shell.offers(
        "mxm-secrets get --on-error=",
        &["--on-error=stop", "--on-error=continue"],
        &[],
    );
    if cfg!(feature = "config") {
        shell.offers("mxm-secrets exec --secret KEY=", &["KEY=key"], &["key"]);
        shell.offers("mxm-secrets exec --file KEY=k", &["KEY=key_2"], &["key_2"]);
        shell.offers(
            "mxm-secrets exec --secret=KEY=k",
            &["--secret=KEY=key"],
            &[],
        );
    }
}
