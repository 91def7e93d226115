//! Programs that backends start: gopass, one of the user's own, a plugin of age. Fakes, since no real one does this.

use std::fs;

use super::{is_gone, run};
use crate::support::Home;

/// A fault of a program, and what is made of it.
struct Fault {
    name: &'static str,
    /// What the program does; `None` when it is not there.
    script: Option<&'static str>,
    /// The status and a part of the message: of gopass, then of a program of the user's own. A value is printed where
    /// the status is 0.
    gopass: (i32, &'static str),
    own: (i32, &'static str),
}

/// The value, and how half of it is printed.
const VALUE: &str = "canary-value\n";

const KILLED: &str = "gave no answer in time and was killed";

const FAULTS: &[Fault] = &[
    Fault {
        name: "not installed",
        script: None,
        gopass: (4, "gopass is not installed"),
        own: (4, "program is not installed"),
    },
    Fault {
        name: "hangs",
        script: Some("sleep 1000"),
        gopass: (4, KILLED),
        own: (4, KILLED),
    },
    Fault {
        name: "hangs with half a value printed",
        script: Some("printf canary; sleep 1000"),
        gopass: (4, KILLED),
        own: (4, KILLED),
    },
    Fault {
        name: "ends, while a grandchild holds its output",
        script: Some("sleep 1000 & echo $! >>children; echo canary-value"),
        gopass: (4, KILLED),
        own: (4, KILLED),
    },
    Fault {
        name: "hangs, with a grandchild",
        script: Some("sleep 1000 & echo $! >>children; wait"),
        gopass: (4, KILLED),
        own: (4, KILLED),
    },
    Fault {
        name: "closes its output and hangs",
        script: Some("exec >&- 2>&-; sleep 1000"),
        gopass: (4, KILLED),
        own: (4, KILLED),
    },
    Fault {
        name: "floods standard output",
        script: Some("exec head -c 1073741824 /dev/zero"),
        gopass: (4, "wrote more than 16 MiB and was killed"),
        own: (4, "wrote more than 16 MiB and was killed"),
    },
    Fault {
        name: "floods standard error",
        script: Some("head -c 1073741824 /dev/zero >&2; echo canary-value"),
        gopass: (0, ""),
        own: (0, ""),
    },
    Fault {
        name: "floods both and hangs",
        script: Some("head -c 9999999 /dev/zero; head -c 9999999 /dev/zero >&2; sleep 1000"),
        gopass: (4, KILLED),
        own: (4, KILLED),
    },
    Fault {
        name: "dies by a signal with half a value printed",
        script: Some("printf canary; kill -9 $$"),
        gopass: (4, "ended with signal 9"),
        own: (4, "ended with signal 9"),
    },
    Fault {
        name: "fails with half a value printed",
        script: Some("printf canary; echo canary >&2; exit 7"),
        gopass: (4, "ended with status 7"),
        own: (4, "ended with status 7"),
    },
    Fault {
        name: "says nothing at all",
        script: Some("exit 0"),
        gopass: (1, "a is missing"),
        own: (1, "a is missing"),
    },
    Fault {
        name: "answers slowly, byte by byte",
        script: Some("for c in c a n a r y - v a l u e; do printf $c; sleep 0.02; done; echo"),
        gopass: (0, ""),
        own: (0, ""),
    },
    Fault {
        name: "does not read its input, and wants some",
        script: Some("read line && exit 3; echo canary-value"),
        gopass: (0, ""),
        own: (0, ""),
    },
    Fault {
        name: "cannot be run",
        script: Some("#!/no/such/interpreter"),
        gopass: (4, "cannot be run: No such file"),
        own: (4, "cannot be run: No such file"),
    },
];

/// A home with the fake as gopass and as a program of the user's own.
fn home(fault: &Fault) -> Home {
    let home = Home::new();
    home.link(&["sleep", "head"]);
    home.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets:\n  own: {command: [program, \"{name}\"]}\n",
    );
    for name in ["gopass", "program"] {
        match fault.script {
            Some(script) if script.starts_with("#!") => home.fake(name, script),
            Some(script) => home.fake(name, &format!("echo $$ >>children; {script}")),
            None => {}
        }
    }
    home
}

/// Checks one fault of one backend, in every subcommand that asks; gives what is wrong.
fn check(fault: &Fault, backend: &str, (status, message): (i32, &str)) -> Vec<String> {
    let home = home(fault);
    // On a slow machine no other fault may become one of being late.
    let timeout = if message == KILLED { "1" } else { "60" };
    let ask = |arguments: &[&str]| {
        let options = ["--backend", backend, "--timeout", timeout];
        run(&mut home.mxm_secrets(arguments.iter().chain(&options)))
    };
    let mut wrong = Vec::new();
    let mut expect = |what: &str, right: bool, seen: &dyn std::fmt::Debug| {
        if !right {
            wrong.push(format!("{backend} {}: {what}: {seen:?}", fault.name));
        }
    };
    let told = |text: &str| text.contains(message) && !text.contains("canary");

    let seen = ask(&["get", "a", "--default", "V"]);
    let (value, code) = match status {
        0 => (VALUE, 0),
        1 => ("V\n", 3),
        _ => ("", status),
    };
    let right = seen.status == Some(code) && seen.stdout == value.as_bytes();
    expect("get", right && (status == 1 || told(&seen.stderr)), &seen);
    if status == 4 {
        let seen = ask(&["resolve", "a"]);
        let right = seen.status == Some(4) && seen.stdout.is_empty() && told(&seen.stderr);
        expect("resolve", right, &seen);
    }
    if status != 0 {
        let mut command = home.mxm_secrets(["exec", "--backend", backend, "--timeout", timeout]);
        command.args(["--secret", "a", "--secret", "b", "--", "/bin/sh", "-c"]);
        let seen = run(command.arg("echo started"));
        let right = seen.status == Some(125) && seen.stdout.is_empty() && told(&seen.stderr);
        let names = |line: &str, name| line.split([' ', ':', '(', ')']).any(|word| word == name);
        let both = ["a", "b"].map(|name| seen.stderr.lines().any(|line| names(line, name)));
        expect("exec", right && both == [true; 2], &seen);
    }
    let children = fs::read_to_string(home.path().join("children")).unwrap_or_default();
    for pid in children.lines() {
        expect("a process is left", is_gone(pid), &pid);
    }
    wrong
}

#[test]
fn every_fault_of_a_program_has_its_answer() {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let cells = FAULTS.iter().flat_map(|fault| {
            [("gopass", fault.gopass), ("own", fault.own)]
                .map(|(backend, expected)| scope.spawn(move || check(fault, backend, expected)))
        });
        let cells: Vec<_> = cells.collect();
        cells
            .into_iter()
            .flat_map(|cell| cell.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}
