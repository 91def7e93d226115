//! Generated stores, read by us and by OmegaConf and PyYAML: the same chain and values, or both an error.

use std::fs;
use std::process::Command;

use crate::support::{self, Home, transcript};

/// How many stores there are.
const CASES: u64 = 700;

/// Small random numbers, the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }

    /// Yes, in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    pub fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.roll(items.len())]
    }
}

/// Plain scalars of every kind.
const PLAIN: &[&str] = &[
    "",
    "~",
    "null",
    "Null",
    "yes",
    "No",
    "on",
    "OFF",
    "true",
    "False",
    "y",
    "n",
    "tRue",
    "0",
    "-0",
    "1",
    "44",
    "010",
    "08",
    "0o7",
    "0x1F",
    "0X1F",
    "0b101",
    "-0b11",
    "1_000",
    "1__0",
    "_1",
    "1_",
    "1:30",
    "1:60",
    "-1:30",
    "190:20:30",
    "1.5",
    "1.",
    ".5",
    "-.5",
    "+.5",
    "1e3",
    "1E-2",
    "1e+2",
    ".5e3",
    ".5e-3",
    "1_0.5_0",
    "1__0.5",
    "1:30.5",
    "12e03",
    ".inf",
    "-.inf",
    ".Inf",
    "inf",
    "nan",
    "+12",
    "-3",
    "++1",
    "2026-11-24",
    "2026-11-24 10:00:00",
    "abc",
    "a b",
    "a#b",
    "a:b",
    "é日本",
    "http://x:80/y",
    "x-y_z",
    "a'b",
    "a\"b",
    "a\\b",
    "$",
    "a$b",
    "100%",
    "1.2.3",
    "...a",
    "-a",
    "????",
    "stop",
    "any",
    "env",
    "e5",
    "1e",
    "0x",
    "0b",
    "0.1",
    "0.001",
    "86400",
    "86401",
    "60",
    "2.50",
];

const QUOTED: &[&str] = &[
    "'abc'",
    "\"abc\"",
    "'yes'",
    "\"10\"",
    "''",
    "\"\"",
    "'it''s'",
    "\"tab\\tnewline\\n\"",
    "\"\\x41\\u00e9\\U0001F600\"",
    "' a '",
    "'a: b'",
    "'# no comment'",
    "\"a\\\\b\"",
    "'???'",
    "'null'",
    "!!str 10",
    "!!str yes",
    "!!int \"10\"",
    "!!int 0x10",
    "!!float 1",
    "!!float \"1e3\"",
    "!!bool \"yes\"",
    "!!bool no",
    "!!null ''",
    "! 10",
    "'true'",
    "\"on\"",
    "!!str ~",
    "'1.5'",
    "\"1.5\"",
    "'44'",
];

const INTERPOLATED: &[&str] = &[
    "${texts.a}",
    "${texts.b}",
    "${numbers.i}",
    "${numbers.f}",
    "${numbers.s}",
    "${flags.t}",
    "${flags.n}",
    "${deep.one.two}",
    "${deep.one.up}",
    "${deep[one][two]}",
    "${list.0}",
    "${list[1]}",
    "x${texts.a}y",
    "${texts.a}${texts.b}",
    "${texts.a}-${numbers.i}",
    "f${numbers.f}",
    "h${numbers.h}",
    "t${flags.t}",
    "n${flags.n}",
    "${oc.env:Y,d}",
    "${oc.env:Y,10}",
    "${oc.env:Y,true}",
    "${oc.env:Y,null}",
    "${oc.env:Y,1e3}",
    "${oc.env:Y,-0.50}",
    "${oc.env:Y,'q, r'}",
    "${oc.env:Y,\"q\"}",
    "${oc.env:Y,${texts.a}}",
    "${oc.env:Y,p${numbers.i}q}",
    "${oc.env:Y,http://h:1/x}",
    "${oc.env:Y,}",
    "${oc.env:X,d}",
    "${oc.env: X }",
    "${oc.env:${texts.name},d}",
    "a${oc.env:X}b",
    "${texts.${texts.key}}",
    "${chain.one}",
    "\\${texts.a}",
    "\\\\${texts.a}",
    "a\\b${texts.a}",
    "${ texts.a }",
    "$${texts.a}",
    "{${texts.a}}",
    "${oc.env:Y,1_000}",
    "${oc.env:Y,01}",
    "${oc.env:Y,a b}",
    "${oc.env:Y,a\\,b}",
    "${oc.env:Y,nan}",
    "${oc.env:Y,.5}",
    "${...texts.a}",
    "${oc.env:X,d}",
];

/// Those that lead nowhere, at least at times.
const ASTRAY: &[&str] = &[
    "${list.9}",
    "${nowhere}",
    "${texts.nowhere}",
    "${texts.a.b}",
    "${texts}",
    "${list}",
    "${oc.env:X}",
    "${oc.env:Y}",
    "${oc.env:Z}",
    "${oc.env:Y,a,b}",
    "${${texts.key}}",
    "${loop.a}",
    "${loop.self}",
    "${missing}",
    "${foo:x}",
    "${env.prefix}",
    "${mxm_secrets.gopass.prefix}",
    "${.prefix}",
    "${..timeout}",
    "${....texts}",
    "${mxm_secrets}",
    "???",
];

/// What the interpolations lead to.
const ELSEWHERE: &str = "texts: {a: alpha, b: 'b b', key: a, name: X}
numbers: {i: 12, f: 1e16, s: 1:30, h: 0x1F, z: 1.50}
flags: {t: yes, n: ~}
list: [one, 2, [three]]
deep: {one: {two: '2', up: '${.two}', far: '${..other}'}, other: o}
chain: {one: '${.two}', two: '${.three}', three: end}
loop: {a: '${loop.b}', b: '${loop.a}', self: '${.self}'}
missing: ???
backends_of: {x: {prefix: PX}, y: {prefix: '${texts.a}', required: yes}}
names: [gopass, env]
shared: &shared {prefix: shared, required: no}
other: &other {prefix: other}
broken: {a: '${no.where}', b: '${oc.env:NOT_SET_ANYWHERE}'}
";

fn value(dice: &mut Dice) -> String {
    match dice.roll(10) {
        0..5 => dice.pick(PLAIN).to_owned(),
        5..7 => dice.pick(QUOTED).to_owned(),
        7 if dice.chance(20) => single_quoted(dice.pick(ASTRAY)),
        _ => single_quoted(dice.pick(INTERPOLATED)),
    }
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value that is likely to be good for a key, else any.
fn likely(dice: &mut Dice, good: &[&str]) -> String {
    if dice.chance(94) {
        dice.pick(good).to_owned()
    } else {
        value(dice)
    }
}

/// Our section, or a part of it, in lines that are indented by `indent`.
fn section(dice: &mut Dice, indent: usize, fullness: usize) -> String {
    let mut text = String::new();
    let blanks = " ".repeat(indent);
    let line = |text: &mut String, line: String| {
        text.push_str(&blanks);
        text.push_str(&line);
        text.push('\n');
    };
    if dice.chance(fullness) {
        let chains = [
            "[gopass, env]",
            "[env]",
            "env",
            "${names}",
            "'${names}'",
            "[gopass, '${list.0}']",
            "\n    - env\n    - gopass",
        ];
        let bad = [
            "[env, env]",
            "[]",
            "['${texts.b}']",
            "[env, ~]",
            "{a: b}",
            "[env, [gopass]]",
            "[own, env]",
        ];
        let chain = if dice.chance(90) {
            likely(dice, &chains)
        } else {
            dice.pick(&bad).to_owned()
        };
        let chain = chain.replace("\n    ", &format!("\n{blanks}  "));
        line(&mut text, format!("backends: {chain}"));
    }
    if dice.chance(fullness) {
        let value = likely(
            dice,
            &[
                "stop",
                "continue",
                "'stop'",
                "\"continue\"",
                "${oc.env:Y,stop}",
            ],
        );
        line(&mut text, format!("on_error: {value}"));
    }
    if dice.chance(fullness) {
        let value = likely(
            dice,
            &[
                "10",
                "0.5",
                "1:30",
                "1e2",
                "'5'",
                "0x10",
                "${numbers.s}",
                "'${oc.env:Y,7}'",
                "5.",
            ],
        );
        line(&mut text, format!("timeout: {value}"));
    }
    for name in ["gopass", "env"] {
        if !dice.chance(fullness) {
            continue;
        }
        match dice.roll(12) {
            0 => line(&mut text, format!("{name}: ${{backends_of.x}}")),
            1 => line(&mut text, format!("{name}: '${{backends_of.y}}'")),
            2 => line(&mut text, format!("{name}:")),
            3 if name == "gopass" => line(&mut text, format!("{name}: {}", value(dice))),
            _ => {
                line(&mut text, format!("{name}:"));
                let mut any = false;
                if dice.chance(70) {
                    line(&mut text, format!("  prefix: {}", value(dice)));
                    any = true;
                }
                if dice.chance(40) {
                    let value = likely(dice, &["yes", "no", "'on'", "true", "${flags.t}", "~"]);
                    line(&mut text, format!("  required: {value}"));
                    any = true;
                }
                if name == "gopass" && dice.chance(40) {
                    line(
                        &mut text,
                        format!(
                            "  command: {}",
                            likely(dice, &["pass", "gopass", "'my gopass'"])
                        ),
                    );
                    any = true;
                }
                if !any {
                    line(&mut text, "  prefix: |".to_owned());
                    line(&mut text, "    two".to_owned());
                    line(&mut text, "    lines ${texts.a}".to_owned());
                }
            }
        }
    }
    if dice.chance(fullness) {
        line(&mut text, "own:".to_owned());
        let commands = [
            "[tool, \"{name}\"]",
            "[tool, get, \"x-{name}\", \"{field}\"]",
            "[\"${texts.a}\", '{name}', 10, yes]",
            "[tool]",
            "tool",
            "[]",
            "[tool, \"{name}\", ~]",
            "{a: b}",
        ];
        if dice.chance(97) {
            let value = if dice.chance(92) {
                commands[dice.roll(3)]
            } else {
                dice.pick(&commands)
            };
            line(&mut text, format!("  command: {value}"));
        }
        if dice.chance(50) {
            let value = likely(
                dice,
                &[
                    "[44]",
                    "44",
                    "[1, 0x2C]",
                    "['7']",
                    "[1:30]",
                    "[300]",
                    "[0]",
                    "[1.0]",
                    "[]",
                ],
            );
            line(&mut text, format!("  miss: {value}"));
        }
        if dice.chance(30) {
            line(
                &mut text,
                format!("  names: {}", likely(dice, &["any", "plain", "'any'"])),
            );
        }
        if dice.chance(30) {
            line(
                &mut text,
                format!("  required: {}", likely(dice, &["yes", "no"])),
            );
        }
    }
    if dice.chance(10) {
        line(
            &mut text,
            "stores: {main: {backend: gopass, root: '${no.where.either}'}}"
                .replace("${no.where.either}", "r"),
        );
    }
    if dice.chance(2) {
        line(&mut text, "env: {prefix: twice}".to_owned());
    }
    if text.is_empty() {
        line(&mut text, "on_error: stop".to_owned());
    }
    text
}

fn default(dice: &mut Dice) -> String {
    let mut text = ELSEWHERE.to_owned();
    match dice.roll(20) {
        0 => text.push_str("mxm_secrets:\n"),
        1 => {}
        2 => text.push_str(
            "mxm_secrets: {env: {<<: *shared}, gopass: {<<: [*other, *shared], command: pass}}\n",
        ),
        3 => text.push_str("mxm_secrets: {env: {<<: *shared, prefix: own}, gopass: *other}\n"),
        4 => text.push_str(
            "mxm_secrets: '${ours}'\nours: {env: {prefix: '${..on_error}'}, on_error: stop}\n",
        ),
        _ => {
            text.push_str("mxm_secrets:\n");
            text.push_str(&section(dice, 2, 45));
        }
    }
    text
}

/// One of the layers' files.
fn layer(dice: &mut Dice, selectors: &[&str], selected: &str) -> String {
    let mut text = String::new();
    for selector in selectors {
        match dice.roll(25) {
            0 => continue,
            1 if *selector != selected => {
                text.push_str(&format!("{selector}: '${{{selected}}}'\n"))
            }
            2 => text.push_str(&format!("{selector}: {{mxm_secrets: ~}}\n")),
            3 => text.push_str(&format!(
                "{selector}: {{mxm_secrets: {{env: {}}}}}\n",
                dice.pick(&["~", "[1]", "text", "'???'"])
            )),
            4 => text.push_str(&format!(
                "{selector}: {{texts: {{a: over}}, numbers: {{i: 7}}, list: [other]}}\n"
            )),
            5 => text.push_str(&format!(
                "{selector}: {}\n",
                dice.pick(&["{}", "~", "[1]", "text"])
            )),
            6 => text.push_str(&format!(
                "{selector}: {{mxm_secrets: {{backends: '???', timeout: '???'}}}}\n"
            )),
            _ => {
                text.push_str(&format!("{selector}:\n  mxm_secrets:\n"));
                text.push_str(&section(dice, 4, 25));
            }
        }
    }
    if text.is_empty() {
        "{}\n".to_owned()
    } else {
        text
    }
}

const DIMENSIONS: [(&str, &[&str]); 4] = [
    ("environment", &["dev", "prod"]),
    ("machine", &["bridge", "laptop", "m-3"]),
    ("substrate", &["local-process", "docker-container"]),
    ("role", &["trader", "ops"]),
];

#[test]
fn generated_stores_read_as_python_reads_them() {
    let Some(python) = support::program("python") else {
        return;
    };
    let home = Home::new();
    for seed in 0..CASES {
        let mut dice = Dice(seed * 7919 + 1);
        let case = format!("cases/{seed:04}");
        let app = format!("{case}/apps/mxm-secrets");
        home.write(&format!("{app}/default.yaml"), default(&mut dice));
        let mut command = home.mxm_secrets(["config", "--json"]);
        let mut identity = String::new();
        for (dimension, selectors) in DIMENSIONS {
            let selected = dice.pick(selectors);
            identity.push_str(&format!("\"{dimension}\":\"{selected}\","));
            command.env(format!("MXM_{}", dimension.to_uppercase()), selected);
            if dice.chance(60) {
                home.write(
                    &format!("{app}/{dimension}.yaml"),
                    layer(&mut dice, selectors, selected),
                );
            }
        }
        let mut variables = Vec::new();
        for (variable, values) in [("X", ["ex", "10"]), ("Z", ["", "yes"])] {
            if dice.chance(80) {
                let value = dice.pick(&values);
                command.env(variable, value);
                variables.push(format!("\"{variable}\":\"{value}\""));
            }
        }
        command.env("MXM_CONFIG_STORE", home.path().join(&case));
        let ours = transcript(&mut command);
        home.write(
            &format!("{case}/case.json"),
            format!("{{{identity}\"variables\":{{{}}}}}", variables.join(",")),
        );
        // What comes from a variable is shown as it is written: where it leads is seen in a locator.
        let mut resolved = "null".to_owned();
        if String::from_utf8_lossy(&ours.stdout).contains("${") {
            let mut resolve = home.mxm_secrets(["resolve", "--json", "--backend", "env", "a"]);
            resolve.envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            resolved = String::from_utf8(transcript(&mut resolve).stdout).unwrap();
        }
        let status = ours.status.expect("no signal ends it");
        assert!(matches!(status, 0 | 2), "{seed}: {ours:?}");
        let settings = String::from_utf8(ours.stdout)
            .unwrap()
            .trim_end()
            .replace('\n', ",");
        let error = ours
            .stderr
            .replace('\\', "/")
            .replace('"', "'")
            .replace('\n', " ");
        home.write(
            &format!("{case}/ours.json"),
            format!("{{\"status\":{status},\"error\":\"{error}\",\"settings\":[{settings}],\"resolved\":{resolved}}}"),
        );
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/reference.py");
    let theirs = transcript(
        Command::new(python)
            .arg(script)
            .arg(home.path().join("cases")),
    );
    let report = String::from_utf8(theirs.stdout).unwrap();
    let last = report.lines().last().unwrap_or_default().to_owned();
    if let Some(kept) = std::env::var_os("MXM_SECRETS_TEST_KEEP") {
        let _ = Command::new("cp")
            .arg("-r")
            .arg(home.path().join("cases"))
            .arg(kept)
            .status();
    }
    assert_eq!(report.lines().count(), 1, "{report}{}", theirs.stderr);
    // Enough of them are good, and enough are not.
    let errors: u64 = last
        .split_once(" cases, ")
        .and_then(|(_, rest)| rest.split_once(' '))
        .and_then(|(errors, _)| errors.parse().ok())
        .unwrap_or_else(|| panic!("{last}{}", theirs.stderr));
    assert!(errors > CASES / 10 && errors < CASES * 9 / 10, "{last}");
    let _ = fs::remove_dir_all(home.path().join("cases"));
}
