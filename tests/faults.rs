//! The matrix of faults: every backend with everything that can be in its way. Each cell has one status and one message,
//! to the letter, and each is here: [`matrix::ROWS`] is the table, `asked.rs` stages what happens to those who are asked,
//! `system.rs` what the system does to us.
//!
//! More of what is peculiar to one backend stands with that backend: files that are cut anywhere in age/damage.rs,
//! answers of a server in vault_faults.rs, plugins of age in age/plugin.rs.

mod asked;
mod file_misses;
mod limits;
mod matrix;
mod misses;
mod system;

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::place::Place;
use crate::support::vault::Scripted;
use crate::support::{Home, Transcript, transcript};

/// Runs a command that nothing may make hang.
fn run(command: Command) -> Transcript {
    const FOREVER: Duration = Duration::from_secs(120);
    let (began, mut command) = (Instant::now(), command);
    let seen = transcript(&mut command);
    assert!(began.elapsed() < FOREVER, "{command:?} hung");
    seen
}

/// What makes trouble for a command.
type Arrange = dyn Fn(&Scene, Command) -> Command + Send + Sync;

/// A backend in trouble.
struct Scene {
    owner: Owner,
    /// What an undisturbed lookup prints.
    whole: Vec<u8>,
    /// Makes the trouble for a command, unless it is made already.
    arrange: Box<Arrange>,
    /// How the command is run to its end.
    run: fn(Command) -> Transcript,
    /// Whether only what `get` prints matters.
    get_alone: bool,
}

enum Owner {
    Home(Home),
    Place(Place),
    Server(Scripted, Home),
}

impl Scene {
    /// In this home trouble is made already.
    fn of(owner: Owner, whole: impl Into<Vec<u8>>) -> Scene {
        Scene {
            owner,
            whole: whole.into(),
            arrange: Box::new(|_, command| command),
            run,
            get_alone: false,
        }
    }

    fn home(&self) -> &Home {
        match &self.owner {
            Owner::Home(home) | Owner::Server(_, home) => home,
            Owner::Place(place) => place.home(),
        }
    }

    /// A command in its environment.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match &self.owner {
            Owner::Place(place) => place.command(program),
            _ => self.home().command(program),
        }
    }

    /// The program under test, in its trouble.
    fn mxm_secrets(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(crate::support::program_under_test());
        command.args(arguments);
        (self.arrange)(self, command)
    }

    /// `text` with the names of this scene in their places.
    fn fill_in(&self, text: &str) -> String {
        let address = match &self.owner {
            Owner::Server(server, _) => server.address(),
            Owner::Place(place) => place.address().to_owned(),
            Owner::Home(_) => String::new(),
        };
        text.replace("{home}", &self.home().path().display().to_string())
            .replace("{address}", &address)
    }
}
