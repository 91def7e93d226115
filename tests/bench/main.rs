//! The benchmark: whole processes, two side by side in turn, the medians and their ratio beside the goal, as a table in
//! Markdown: the README's.
//!
//! `make bench` runs all of it; a word as argument runs the parts whose titles have it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

#[cfg(feature = "age")]
mod age;
#[cfg(feature = "config")]
mod config;
mod core;
mod exec;
#[cfg(all(feature = "credentials", feature = "keyring"))]
mod mounts;
#[cfg(feature = "vault")]
mod vault;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::Home;

/// What is measured, and how often.
pub struct Bench {
    /// The program under test: the release build, copied as an installation copies it. Run where the linker has put
    /// it together, piece by piece, it starts up to a third slower: the cached file lies in smaller pieces.
    pub program: PathBuf,
    place: Home,
    words: Vec<String>,
}

fn main() {
    let program = std::env::var_os("MXM_SECRETS_BENCH")
        .expect("MXM_SECRETS_BENCH names the program: use make bench");
    let words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let place = Home::new();
    let bench = Bench {
        program: copy(&place, program.as_ref(), "mxm-secrets"),
        place,
        words,
    };
    println!("{}\n", circumstances());
    println!("| {:58} |       A |       B |  A/B | goal |", "A / B");
    println!("| {:58} |    ---: |    ---: | ---: | ---: |", "---");
    core::run(&bench);
    #[cfg(feature = "vault")]
    vault::run(&bench);
    exec::run(&bench);
    #[cfg(feature = "age")]
    age::run(&bench);
    #[cfg(feature = "config")]
    config::run(&bench);
    #[cfg(all(feature = "credentials", feature = "keyring"))]
    mounts::run(&bench);
}

impl Bench {
    /// The program built without `feature`, where `make bench` has built it.
    pub fn without(&self, feature: &str) -> Option<PathBuf> {
        let built = PathBuf::from(std::env::var_os("MXM_SECRETS_BENCH_WITHOUT")?).join(feature);
        Some(copy(&self.place, &built, &format!("without-{feature}")))
    }

    /// Whether the part with this title is asked for.
    pub fn wants(&self, title: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| title.contains(word.as_str()))
    }

    /// Times A and B in turn and prints the medians, and the median of the ratios A/B beside its goal. Both must
    /// end with status 0.
    pub fn ratio(
        &self,
        title: &str,
        goal: f64,
        mut a: impl FnMut() -> Command,
        mut b: impl FnMut() -> Command,
    ) {
        if !self.wants(title) {
            return;
        }
        let (first, second) = (time(&mut a()), time(&mut b()));
        // Six seconds worth of pairs, but no fewer than 15.
        let pairs = (6.0 / (first + second).as_secs_f64()).clamp(15.0, 400.0) as usize;
        let times: Vec<(f64, f64)> = (0..pairs)
            .map(|_| (time(&mut a()).as_secs_f64(), time(&mut b()).as_secs_f64()))
            .collect();
        let a = median(times.iter().map(|(a, _)| *a));
        let b = median(times.iter().map(|(_, b)| *b));
        let ratio = median(times.iter().map(|(a, b)| a / b));
        let verdict = if ratio <= goal { "" } else { ", missed" };
        println!(
            "| {title:58} | {:>4.2} ms | {:>4.2} ms | {ratio:>4.2} | {goal:>4.2}{verdict} |",
            a * 1e3,
            b * 1e3
        );
    }

    /// Prints a figure that is not a time beside its goal; the title names its unit.
    pub fn figure(&self, title: &str, goal: u64, measure: impl FnOnce() -> Option<u64>) {
        if !self.wants(title) {
            return;
        }
        match measure() {
            Some(value) => {
                let verdict = if value <= goal { "" } else { ", missed" };
                println!("| {title:58} | {value:>7} | | | {goal}{verdict} |");
            }
            None => println!("| {title:58} | not measured | | | {goal} |"),
        }
    }
}

/// A copy of `program` in `place`, as an installation makes it.
fn copy(place: &Home, program: &Path, name: &str) -> PathBuf {
    let copy = place.path().join(name);
    std::fs::copy(program, &copy).expect("the program is there");
    copy
}

/// The machine, and what is compared with.
fn circumstances() -> String {
    let first_line = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(
            text.lines()
                .next()?
                .split([',', '('])
                .next()?
                .trim()
                .to_owned(),
        )
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut all = vec![format!(
        "{cores} cores of {}",
        model.unwrap_or("unknown make")
    )];
    all.extend(first_line("uname", "-sr"));
    all.extend(first_line("age", "--version").map(|version| format!("age {version}")));
    let built = [("rage", "--version"), ("vault", "version")];
    for (name, argument) in built {
        let path = support::program(name);
        all.extend(path.and_then(|path| first_line(path.to_str()?, argument)));
    }
    all.extend(first_line("curl", "--version"));
    all.join("; ")
}

/// One whole process, from its start to its end, its output read through a pipe as `$(...)` reads it.
fn time(command: &mut Command) -> Duration {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    output.read_to_end(&mut Vec::new()).unwrap();
    let status = child.wait().unwrap();
    let took = started.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
