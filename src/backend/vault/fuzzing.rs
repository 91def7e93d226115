//! What a server may answer, for [`crate::fuzzing`].

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use super::address::Address;
use super::http::Connection;
use super::socket::Socket;
use super::tls::Bytes;
use super::*;
use crate::backend::State;
use crate::fuzzing::{TOKEN, ask, context};

/// A connection on which every request gets the next one of the answers.
struct Script {
    /// It stays open and says nothing.
    socket: Socket,
    _other_end: UnixStream,
    answers: Arc<Mutex<VecDeque<Vec<u8>>>>,
    answer: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Read for Script {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.answer.get(self.at..).unwrap_or_default();
        let count = rest.len().min(into.len()).min(self.piece);
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        self.answer = answers.pop_front().unwrap_or_default();
        self.at = 0;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Bytes for Script {
    fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }
}

pub fn vault_answers(flags: u8, piece: usize, answers: &[&[u8]]) {
    let settings = Settings::read(&Section::default());
    let Ok(mut setup) = settings.and_then(Setup::new) else {
        panic!("the environment of the target is wrong")
    };
    setup.settings.version = match flags & 3 {
        0 => None,
        1 => Some(Version::V1),
        _ => Some(Version::V2),
    };
    let script: VecDeque<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
    let script = Arc::new(Mutex::new(script));
    for _ in 0..2 {
        let (Some(api), Ok((here, there))) = (&setup.api, UnixStream::pair()) else {
            panic!("the environment of the target is wrong")
        };
        api.client.keep(Connection(Box::new(Script {
            socket: Socket::of(here),
            _other_end: there,
            answers: script.clone(),
            answer: Vec::new(),
            at: 0,
            piece: piece.max(1),
        })));
    }
    let vault = Vault { setup: Ok(setup) };
    if flags & 8 != 0 {
        let context = context();
        let status = vault.status(&context);
        assert_eq!(status.state == State::Ready, status.reason.is_none());
        // The health is asked for without the token, so what the server says then is not searched for it.
        assert!(status.reason.is_none_or(|reason| !reason.text.is_empty()));
    } else if let Ok(name) = Name::parse(if flags & 4 != 0 { "a/b#user" } else { "a/b" }) {
        let lookup = ask(Box::new(vault), &name);
        for problem in lookup.report.problems() {
            // What the server says of an error is told, and the names of the fields are, as they are.
            let fields = problem.text.contains("it has ") || problem.text.contains(" no value in ");
            assert!(fields || !problem.text.contains(TOKEN), "{problem}");
        }
    }
}

pub fn vault_address(text: &str) {
    if let Some(address) = Address::parse(text) {
        let again = Address::parse(&address.to_string());
        assert_eq!(
            again.map(|again| again.place),
            Some(address.place),
            "{text:?}"
        );
    }
    let (tcp, unix) = (
        Address::parse("https://h:8200"),
        Address::parse("unix:///s"),
    );
    for address in [tcp, unix].iter().flatten() {
        if let Some(there) = address.join(text) {
            let sane = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(sane(&there.path) && sane(&there.authority()), "{text:?}");
        }
    }
}
