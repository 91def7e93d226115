//! HTTP for one server: connections opened, through a proxy or not, and kept for the next request; redirects followed
//! once, retries if the user wants them.
//!
//! It is not left to a client library: with ureq 3, a hundred secrets take six times as long, Unix sockets and the name
//! in a certificate can be set only through an interface without promises, a key that does not match its certificate
//! panics, and copies of tokens and bodies stay in buffers that nobody wipes.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::address::{Address, Place};
use super::message::{
    HEAD_LIMIT, Problem, Request, Response, is_close, is_temporary, read_head, read_response,
};
use super::socket::{Patience, Socket};
use super::tls::{self, Bytes, Tls, Trust};
use crate::backend::Reason;
use crate::deadline;
use crate::secret::{Secret, SecretBuffer};
use crate::{sys, watch};

/// The pause before a retry.
const PAUSE: Duration = Duration::from_secs(1);

/// One server, and how to talk to it.
#[derive(Debug)]
pub struct Client {
    pub address: Address,
    pub proxy: Option<Proxy>,
    pub trust: Trust,
    /// How often a request is sent again that the server could not answer.
    pub retries: u32,
    /// Whether a redirect is followed.
    pub redirects: bool,
    /// The longest time for one request.
    pub timeout: Option<Duration>,
    /// What is to be said of the files that were read.
    pub warnings: Warnings,
    tls: Mutex<Option<Tls>>,
    idle: Mutex<Vec<Connection>>,
}

/// What is to be said by whoever asks next.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<Reason>>);

impl Warnings {
    pub fn add(&self, doubt: Option<Reason>) {
        let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.extend(doubt);
    }

    pub fn take(&self) -> Vec<Reason> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An HTTP proxy.
#[derive(Debug)]
pub struct Proxy {
    pub address: Address,
    /// `USER:PASSWORD`, and the same as the value of Proxy-Authorization.
    pub user: Option<(Secret, Secret)>,
}

impl Proxy {
    /// The value of Proxy-Authorization.
    pub fn authorization(&self) -> Option<&Secret> {
        self.user.as_ref().map(|(_, header)| header)
    }

    /// All that no message may hold.
    pub fn credentials(&self) -> impl Iterator<Item = &[u8]> {
        let user = self.user.iter();
        user.flat_map(|(user, header)| {
            let user = user.expose();
            let password = user.splitn(2, |&byte| byte == b':').nth(1);
            let header = header.expose().strip_prefix(b"Basic ");
            [Some(user), password, header].into_iter().flatten()
        })
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub reason: Reason,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No connection could be made: nothing was sent.
    Unreached,
    /// The server has closed the connection without a word.
    Closed,
    /// The connection broke.
    Broken,
    /// Nothing that another try would change.
    Final,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure {
            reason,
            kind: Kind::Final,
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Reason::from(text).into()
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Reason {
        failure.reason
    }
}

/// A connection that can be kept.
pub struct Connection(pub Box<dyn Bytes + Send>);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Client {
    /// A client without proxy, retries and redirects. Nothing is opened or read yet.
    pub fn new(address: Address, trust: Trust) -> Client {
        Client {
            address,
            proxy: None,
            trust,
            retries: 0,
            redirects: false,
            timeout: None,
            warnings: Warnings::default(),
            tls: Mutex::new(None),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// `patience` for one request.
    pub fn limited(&self, patience: Patience) -> Patience {
        match self.timeout {
            Some(limit) if patience.after_signal.is_zero() => patience.at_most(limit),
            _ => patience,
        }
    }

    /// Makes sure that there is a connection, so that the next request is on its way at once.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn connect(&self, patience: Patience) -> Result<(), Failure> {
        let patience = self.limited(patience);
        let connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.open(&self.address, patience)?,
        };
        self.keep(connection);
        Ok(())
    }

    /// Sends `request`, and again as often as is wanted while the server cannot answer.
    ///
    /// # Errors
    /// Why there is no answer. An answer of any status is one.
    pub fn send(&self, request: &Request, patience: Patience) -> Result<Response, Failure> {
        let mut left = self.retries;
        loop {
            let result = self.follow(request, self.limited(patience));
            // A proxy answers for a server that may have done it.
            let again = match &result {
                Ok(response) => {
                    let undone = matches!(response.status, 412 | 429 | 503);
                    is_temporary(response.status) && (undone || !request.once)
                }
                Err(failure) => match failure.kind {
                    Kind::Unreached => true,
                    Kind::Closed | Kind::Broken => !request.once,
                    Kind::Final => false,
                },
            };
            let time = patience
                .deadline
                .remaining()
                .is_none_or(|left| left > PAUSE);
            if !again || left == 0 || !time || deadline::interrupted() {
                return result;
            }
            left -= 1;
            let _ = watch::wait_readable([None], Some(PAUSE));
        }
    }

    /// Sends `request`, and once more to where the answer points. The secrets in it go to no other host.
    fn follow(&self, request: &Request, patience: Patience) -> Result<Response, Failure> {
        let response = self.exchange(&self.address, request, patience)?;
        if !self.redirects || !response.is_redirect() {
            return Ok(response);
        }
        let here = &self.address;
        let there = response
            .location
            .as_deref()
            .and_then(|location| here.join(location))
            .ok_or_else(|| format!("{here} redirects without saying where to"))?;
        match (&here.place, &there.place) {
            (Place::Tcp { tls: true, .. }, Place::Tcp { tls: false, .. }) => {
                return Err(format!("{here} redirects from https to {there}: not followed").into());
            }
            (Place::Tcp { host, .. }, Place::Tcp { host: other, .. }) if host != other => {
                return Err(Reason::from(format!(
                    "{here} redirects to another host, {there}: not followed, so that no token is sent to it"
                ))
                .hint("if it is the active node of the cluster, give its address")
                .into());
            }
            (Place::Unix(_), Place::Tcp { .. }) | (Place::Tcp { .. }, Place::Unix(_)) => {
                return Err(format!("{here} redirects to {there}: not followed").into());
            }
            _ => {}
        }
        let request = Request {
            path: &there.path,
            headers: request.headers.clone(),
            ..*request
        };
        let there = Address {
            path: String::new(),
            ..there.clone()
        };
        let response = self.exchange(&there, &request, patience)?;
        if response.is_redirect() {
            return Err(format!("{here} redirects more than once").into());
        }
        Ok(response)
    }

    /// Sends `request` to `address`, over a kept connection if there is one.
    fn exchange(
        &self,
        address: &Address,
        request: &Request,
        patience: Patience,
    ) -> Result<Response, Failure> {
        let known = address.place == self.address.place;
        if let Some(connection) = known.then(|| self.take_idle()).flatten() {
            match self.attempt(connection, address, request, patience) {
                // It was closed at the other end just before, as far as one can tell.
                Err(Failure {
                    kind: Kind::Closed, ..
                }) if !request.once => {}
                result => return result,
            }
        }
        let connection = self
            .open(address, patience)
            .map_err(|failure| match failure.kind {
                Kind::Final => failure,
                _ => Failure {
                    kind: Kind::Unreached,
                    ..failure
                },
            })?;
        self.attempt(connection, address, request, patience)
    }

    fn attempt(
        &self,
        mut connection: Connection,
        address: &Address,
        request: &Request,
        patience: Patience,
    ) -> Result<Response, Failure> {
        connection.0.socket().set_patience(patience);
        // Of a request without TLS a proxy is told the whole address.
        let proxy = match (&self.proxy, &address.place) {
            (Some(proxy), Place::Tcp { tls: false, .. }) => Some(proxy),
            _ => None,
        };
        let origin = proxy.map(|_| address.to_string()).unwrap_or_default();
        let message = request.encode(
            &address.authority(),
            &format!("{origin}{}", address.path),
            proxy.and_then(Proxy::authorization),
        )?;
        let (response, reusable) = connection
            .0
            .write_all(message.expose())
            .and_then(|()| connection.0.flush())
            .map_err(|error| match is_close(&error) {
                true => Problem::Closed,
                false => Problem::Io(error),
            })
            .and_then(|()| read_response(&mut *connection.0))
            .map_err(|problem| Failure::of(problem, address, "cannot talk to"))?;
        if reusable && address.place == self.address.place {
            self.keep(connection);
        }
        Ok(response)
    }

    fn take_idle(&self) -> Option<Connection> {
        loop {
            // Others shall not wait for the look at it.
            let mut connection = self.idle().pop()?;
            if connection.0.socket().is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub fn keep(&self, connection: Connection) {
        self.idle().push(connection);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all connections share; the first one to need it reads the files.
    fn tls(&self, patience: Patience) -> Result<Tls, Reason> {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tls) = &*tls {
            return Ok(tls.clone());
        }
        let read = Tls::new(&self.trust, &self.warnings, patience.deadline)?;
        Ok(tls.insert(read).clone())
    }

    /// Opens a connection to `address`.
    fn open(&self, address: &Address, patience: Patience) -> Result<Connection, Failure> {
        let cannot = |address: &Address| {
            let address = address.clone();
            move |error: io::Error| Failure::of(error.into(), &address, "cannot connect to")
        };
        let (tls, host, port) = match &address.place {
            Place::Unix(path) => {
                let socket = Socket::unix(path, patience).map_err(cannot(address))?;
                return Ok(Connection(Box::new(socket)));
            }
            Place::Tcp { tls, host, port } => (*tls, host, *port),
        };
        let tls = match tls {
            true => Some(self.tls(patience)?),
            false => None,
        };
        let socket = match &self.proxy {
            None => Socket::tcp(host, port, patience).map_err(cannot(address))?,
            Some(proxy) => {
                let Place::Tcp {
                    tls: false,
                    host: by,
                    port: at,
                } = &proxy.address.place
                else {
                    return Err(
                        format!("the proxy {} is not an http:// address", proxy.address).into(),
                    );
                };
                let mut socket = Socket::tcp(by, *at, patience).map_err(cannot(&proxy.address))?;
                if tls.is_some() {
                    tunnel(&mut socket, proxy, host, port)?;
                }
                socket
            }
        };
        Ok(match tls {
            None => Connection(Box::new(socket)),
            Some(tls) => {
                let stream = tls.connect(host, socket).map_err(cannot(address))?;
                Connection(Box::new(stream))
            }
        })
    }
}

impl Failure {
    /// `what` could not be done with the server at `address`.
    fn of(problem: Problem, address: &Address, what: &str) -> Failure {
        let error = match problem {
            Problem::Io(error) => error,
            Problem::Closed => {
                let text = format!("{address} closed the connection without an answer");
                return Failure {
                    reason: Reason::from(text).transient(true),
                    kind: Kind::Closed,
                };
            }
            Problem::NotHttp(why) => return format!("the answer of {address} {why}").into(),
            Problem::TooLarge => {
                return format!("the answer of {address} is larger than 16 MiB").into();
            }
        };
        if deadline::interrupted() {
            return Reason::from("interrupted").into();
        }
        if let Some((text, hint)) = tls::explain(&error) {
            let mut reason = Reason::from(format!("{what} {address}: {text}"));
            reason.hint = hint.map(str::to_owned);
            return reason.into();
        }
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => late(address).into(),
            // Whatever else it is, the server is not there, or not any more.
            _ => Failure {
                reason: Reason::of(format_args!("{what} {address}"), &error)
                    .transient(!sys::is_lasting(&error)),
                kind: Kind::Broken,
            },
        }
    }
}

/// The server at `address` was too slow.
pub fn late(address: &Address) -> Reason {
    Reason::from(format!("{address} gave no answer in time")).transient(true)
}

/// Asks `proxy` for a way through to `host`.
fn tunnel(socket: &mut Socket, proxy: &Proxy, host: &str, port: u16) -> Result<(), Failure> {
    let host = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut message = SecretBuffer::new(HEAD_LIMIT);
    let start = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n");
    let mut fits = message.extend(start.as_bytes());
    if let Some(authorization) = proxy.authorization() {
        let line: [&[u8]; 3] = [b"Proxy-Authorization: ", authorization.expose(), b"\r\n"];
        fits &= line.iter().all(|part| message.extend(part));
    }
    if !(fits && message.extend(b"\r\n")) {
        return Err(Reason::from("the request to the proxy is larger than 64 KiB").into());
    }
    let failure =
        |problem: Problem| Failure::of(problem, &proxy.address, "cannot talk to the proxy");
    socket
        .write_all(message.expose())
        .map_err(|error| failure(error.into()))?;
    let mut raw = SecretBuffer::new(HEAD_LIMIT);
    let head = read_head(socket, &mut raw).map_err(failure)?;
    if head.status / 100 != 2 {
        let (status, proxy) = (head.status, &proxy.address);
        let text = format!("the proxy {proxy} does not connect to {host}: status {status}");
        return Err(Reason::from(text).transient(is_temporary(status)).into());
    }
    Ok(())
}
