//! What a command takes: by when it has ended, and how much memory it had.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::Transcript;

/// How long after its deadline a command may end.
const MORE: Duration = Duration::from_millis(200);
/// The same where it is not optimized, beside all the other tests.
const MORE_UNOPTIMIZED: Duration = Duration::from_secs(3);
/// How much memory it may have at once, in bytes.
const MOST: u64 = 100_000_000;
/// How often it is tried: a machine that is busy with something else takes longer.
const TRIES: u32 = 6;

/// Runs what `command` makes, which has `--timeout` of that many seconds: it must end by then, on the clock, and must not
/// have had too much memory. `what` it reads. `make shipped` tells whether what is shipped does.
#[track_caller]
#[expect(clippy::print_stdout, reason = "figures, for --nocapture")]
pub fn in_time(what: &str, timeout: f64, command: impl Fn() -> Command) -> Transcript {
    let shipped = std::env::var_os("MXM_SECRETS_TEST_PROGRAM").is_some();
    let more = if shipped { MORE } else { MORE_UNOPTIMIZED };
    let most = Duration::from_secs_f64(timeout) + more;
    let mut all = Vec::new();
    for try_ in 0..TRIES {
        let (seen, took, memory) = measured(command());
        assert!(memory < MOST, "{what}: {memory} bytes");
        assert!(seen.status.is_some(), "{what}: a signal; {}", seen.stderr);
        assert!(seen.stderr.len() < 5000, "{what}: {:.5000}", seen.stderr);
        if took < most {
            println!(
                "bounds: {what}: {} ms, {} MB",
                took.as_millis(),
                memory / 1_000_000
            );
            return seen;
        }
        all.push(took);
        std::thread::sleep(Duration::from_millis(200) * try_);
    }
    panic!("{what}: {all:?}");
}

/// Runs a command to its end: what it has done, the time on the clock, and the most memory that it had at once.
fn measured(mut command: Command) -> (Transcript, Duration, u64) {
    let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let shown = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    // What the kernel says at the end counts the memory of the process that this one was forked from, too.
    let status: ExitStatus = loop {
        let text = fs::read_to_string(&shown).unwrap_or_default();
        let most = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|most| most.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        memory = most.map_or(memory, |most| most * 1024);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let took = started.elapsed();
    let all = |mut file: fs::File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let seen = Transcript {
        status: status.code().filter(|_| status.signal().is_none()),
        stdout: all(stdout),
        stderr: String::from_utf8_lossy(&all(stderr)).into_owned(),
    };
    (seen, took, memory)
}
