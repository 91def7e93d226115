//! HTTP/1.1 for one server: requests and answers in memory that is wiped, connections kept for the next request,
//! redirects followed once, retries where the user wants them.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::address::{Address, Place};
use super::socket::{Patience, Socket};
use super::tls::{self, Bytes, Tls, Trust};
use crate::backend::Reason;
use crate::process;
use crate::secret::{LIMIT, Progress, Secret, SecretBuffer};
use crate::sys;

/// The longest head of an answer, in bytes.
const HEAD_LIMIT: usize = 64 << 10;
/// The longest line that announces a chunk, and the longest trailer, in bytes.
const LINE_LIMIT: usize = 4 << 10;
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
    tls: OnceLock<Result<Tls, Reason>>,
    idle: Mutex<Vec<Connection>>,
}

/// An HTTP proxy.
#[derive(Debug)]
pub struct Proxy {
    pub address: Address,
    /// The value of Proxy-Authorization.
    pub authorization: Option<Secret>,
}

/// What is asked of the server.
#[derive(Debug)]
pub struct Request<'a> {
    pub method: &'static str,
    /// Begins with a slash; encoded.
    pub path: &'a str,
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// JSON.
    pub body: Option<&'a [u8]>,
}

/// What the server answers.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: Secret,
    location: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The server has closed the connection without a word.
    Closed,
    /// The connection could not be made, or broke.
    Broken,
    /// Nothing that another try would change.
    Final,
}

impl<T: Into<Reason>> From<T> for Failure {
    fn from(reason: T) -> Failure {
        Failure {
            reason: reason.into(),
            kind: Kind::Final,
        }
    }
}

struct Connection(Box<dyn Bytes + Send>);

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
            tls: OnceLock::new(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Makes sure that there is a connection, so that the next request is on its way at once.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn connect(&self, patience: Patience) -> Result<(), Failure> {
        let patience = self
            .timeout
            .map_or(patience, |limit| patience.at_most(limit));
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
            let limited = self
                .timeout
                .map_or(patience, |limit| patience.at_most(limit));
            let result = self.follow(request, limited);
            let again = match &result {
                Ok(response) => {
                    matches!(response.status, 412 | 429 | 500..) && response.status != 501
                }
                Err(failure) => failure.kind != Kind::Final,
            };
            let time = patience
                .deadline
                .remaining()
                .is_none_or(|left| left > PAUSE);
            if !again || left == 0 || !time || process::interrupted() {
                return result;
            }
            left -= 1;
            let _ = sys::wait_readable([None], Some(PAUSE));
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
            .ok_or_else(|| format!("{here} redirects to nowhere"))?;
        match (&here.place, &there.place) {
            (Place::Tcp { tls: true, .. }, Place::Tcp { tls: false, .. }) => {
                return Err(format!("{here} redirects from https to {there}: not followed").into());
            }
            (Place::Tcp { host, .. }, Place::Tcp { host: other, .. }) if host != other => {
                return Err(Reason::from(format!(
                    "{here} redirects to another host, {there}, which gets no token: not followed"
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
                // It had been closed at the other end just before.
                Err(Failure {
                    kind: Kind::Closed, ..
                }) => {}
                result => return result,
            }
        }
        let connection = self.open(address, patience)?;
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
        let message = self.message(address, request)?;
        let (response, reusable) = connection
            .0
            .write_all(message.expose())
            .and_then(|()| connection.0.flush())
            .map_err(|error| match is_close(&error) {
                true => Problem::Closed,
                false => Problem::Io(error),
            })
            .and_then(|()| read_response(&mut *connection.0))
            .map_err(|problem| problem.into_failure(address, "cannot talk to"))?;
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

    fn keep(&self, connection: Connection) {
        self.idle().push(connection);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a connection to `address`.
    fn open(&self, address: &Address, patience: Patience) -> Result<Connection, Failure> {
        let cannot = |address: &Address| {
            let address = address.clone();
            move |error: io::Error| Problem::from(error).into_failure(&address, "cannot connect to")
        };
        let (tls, host, port) = match &address.place {
            Place::Unix(path) => {
                let socket = Socket::unix(path, patience).map_err(cannot(address))?;
                return Ok(Connection(Box::new(socket)));
            }
            Place::Tcp { tls, host, port } => (*tls, host, *port),
        };
        let tls = match tls {
            true => Some(self.tls.get_or_init(|| Tls::new(&self.trust)).clone()?),
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
                    return Err(format!("the proxy {} is none over http", proxy.address).into());
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

    /// The bytes of `request`.
    fn message(&self, address: &Address, request: &Request) -> Result<SecretBuffer, Failure> {
        let mut headers = vec![("Host", address.authority().into_bytes())];
        headers.push((
            "User-Agent",
            concat!("mxm-secrets/", env!("CARGO_PKG_VERSION")).into(),
        ));
        headers.push(("Accept", "application/json".into()));
        if let Some(body) = request.body {
            headers.push(("Content-Type", "application/json".into()));
            headers.push(("Content-Length", body.len().to_string().into_bytes()));
        }
        let plain_proxy = match (&self.proxy, &address.place) {
            (Some(proxy), Place::Tcp { tls: false, .. }) => Some(proxy),
            _ => None,
        };
        // A proxy is told the whole address.
        let origin = plain_proxy.map(|_| address.to_string()).unwrap_or_default();
        let authorization = plain_proxy.and_then(|proxy| proxy.authorization.as_ref());
        let all = headers
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .chain(authorization.map(|value| ("Proxy-Authorization", value.expose())))
            .chain(request.headers.iter().copied());
        let mut message = SecretBuffer::new(LIMIT);
        let start: [&[u8]; 6] = [
            request.method.as_bytes(),
            b" ",
            origin.as_bytes(),
            address.path.as_bytes(),
            request.path.as_bytes(),
            b" HTTP/1.1\r\n",
        ];
        let mut fits = start.iter().all(|part| message.extend(part));
        for (name, value) in all {
            if value.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
                return Err(
                    format!("the value for the header {name} has a control character").into(),
                );
            }
            let line: [&[u8]; 4] = [name.as_bytes(), b": ", value, b"\r\n"];
            fits &= line.iter().all(|part| message.extend(part));
        }
        fits &= message.extend(b"\r\n") && message.extend(request.body.unwrap_or_default());
        if !fits {
            return Err("the request is larger than 16 MiB".into());
        }
        Ok(message)
    }
}

impl Response {
    fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 307 | 308)
    }
}

/// What went wrong on a connection.
enum Problem {
    Io(io::Error),
    /// Closed before the first byte of an answer.
    Closed,
    /// What came is not what HTTP allows.
    NotHttp(&'static str),
    TooLarge,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        Problem::Io(error)
    }
}

impl Problem {
    /// `what` could not be done with the server at `address`.
    fn into_failure(self, address: &Address, what: &str) -> Failure {
        let error = match self {
            Problem::Io(error) => error,
            Problem::Closed => {
                return Failure {
                    reason: format!("{address} closed the connection without an answer").into(),
                    kind: Kind::Closed,
                };
            }
            Problem::NotHttp(why) => return format!("the answer of {address} {why}").into(),
            Problem::TooLarge => {
                return format!("the answer of {address} is larger than 16 MiB").into();
            }
        };
        if process::interrupted() {
            return "interrupted".into();
        }
        if let Some((text, hint)) = tls::explain(&error) {
            let mut reason = Reason::from(format!("{what} {address}: {text}"));
            reason.hint = hint.map(str::to_owned);
            return reason.into();
        }
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                format!("{address} gave no answer in time").into()
            }
            _ => Failure {
                reason: format!("{what} {address}: {error}").into(),
                kind: Kind::Broken,
            },
        }
    }
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
    if let Some(authorization) = &proxy.authorization {
        let line: [&[u8]; 3] = [b"Proxy-Authorization: ", authorization.expose(), b"\r\n"];
        fits &= line.iter().all(|part| message.extend(part));
    }
    if !(fits && message.extend(b"\r\n")) {
        return Err("the request to the proxy is larger than 64 KiB".into());
    }
    let failure =
        |problem: Problem| problem.into_failure(&proxy.address, "cannot talk to the proxy");
    socket
        .write_all(message.expose())
        .map_err(|error| failure(error.into()))?;
    let mut raw = SecretBuffer::new(HEAD_LIMIT);
    let head = read_head(socket, &mut raw).map_err(failure)?;
    if head.status / 100 != 2 {
        let (status, proxy) = (head.status, &proxy.address);
        return Err(
            format!("the proxy {proxy} does not connect to {host}: status {status}").into(),
        );
    }
    Ok(())
}

/// The head of an answer.
struct Head {
    status: u16,
    location: Option<String>,
    body: Framing,
    keep_alive: bool,
    /// Where the body begins.
    end: usize,
}

/// Where a body ends.
enum Framing {
    Length(usize),
    Chunked,
    Close,
}

/// Reads an answer. The flag says whether the connection can take another request.
fn read_response(stream: &mut dyn Bytes) -> Result<(Response, bool), Problem> {
    let mut raw = SecretBuffer::new(LIMIT + HEAD_LIMIT);
    let head = read_head(stream, &mut raw)?;
    let (body, end) = match head.body {
        Framing::Length(length) => {
            if length > LIMIT {
                return Err(Problem::TooLarge);
            }
            let end = head.end + length;
            while raw.expose().len() < end {
                more(stream, &mut raw)?;
            }
            (Secret::copy_of(&raw.expose()[head.end..end]), Some(end))
        }
        Framing::Chunked => {
            let (body, end) = read_chunks(stream, &mut raw, head.end)?;
            (body, Some(end))
        }
        Framing::Close => {
            while read_once(stream, &mut raw)? {}
            (Secret::copy_of(&raw.expose()[head.end..]), None)
        }
    };
    let response = Response {
        status: head.status,
        body,
        location: head.location,
    };
    Ok((response, head.keep_alive && end == Some(raw.expose().len())))
}

/// Reads up to the end of a head, past those that only announce another one.
fn read_head(stream: &mut dyn Bytes, raw: &mut SecretBuffer) -> Result<Head, Problem> {
    let mut start = 0;
    loop {
        match parse_head(raw.expose(), start)? {
            Some(head) if head.status / 100 != 1 => return Ok(head),
            Some(head) => start = head.end,
            None if raw.expose().len() > HEAD_LIMIT => {
                return Err(Problem::NotHttp("has a head that does not end"));
            }
            None if raw.expose().is_empty() => match read_once(stream, raw) {
                Ok(true) => {}
                Ok(false) => return Err(Problem::Closed),
                Err(Problem::Io(error)) if is_close(&error) => return Err(Problem::Closed),
                Err(problem) => return Err(problem),
            },
            None => more(stream, raw)?,
        }
    }
}

fn is_close(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// The head that begins at `start`, if all of it is there.
fn parse_head(raw: &[u8], start: usize) -> Result<Option<Head>, Problem> {
    let not_http = Problem::NotHttp;
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Response::new(&mut headers);
    let length = match parsed.parse(raw.get(start..).unwrap_or_default()) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(not_http("is not HTTP")),
    };
    let status = parsed.code.unwrap_or_default();
    let mut head = Head {
        status,
        location: None,
        body: Framing::Close,
        keep_alive: parsed.version == Some(1),
        end: start + length,
    };
    let mut sized = None;
    for header in parsed.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let number = std::str::from_utf8(value)
                .ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse::<usize>().ok())
                .ok_or(not_http("has a length that is no number"))?;
            if sized.is_some_and(|other| other != number) {
                return Err(not_http("has two lengths"));
            }
            sized = Some(number);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") || matches!(head.body, Framing::Chunked) {
                return Err(not_http("has an unknown transfer encoding"));
            }
            head.body = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("content-encoding") {
            if !value.eq_ignore_ascii_case(b"identity") {
                return Err(not_http("is compressed, which was not asked for"));
            }
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.keep_alive &= !value.eq_ignore_ascii_case(b"close");
        } else if header.name.eq_ignore_ascii_case("location") {
            head.location = std::str::from_utf8(value).ok().map(str::to_owned);
        }
    }
    match (&head.body, sized) {
        (Framing::Chunked, Some(_)) => return Err(not_http("has a length and chunks")),
        (Framing::Close, Some(length)) => head.body = Framing::Length(length),
        _ => {}
    }
    if matches!(status, 204 | 304) || status / 100 == 1 {
        head.body = Framing::Length(0);
    }
    Ok(Some(head))
}

/// Reads a body in chunks that begins at `at`; says where it ends.
fn read_chunks(
    stream: &mut dyn Bytes,
    raw: &mut SecretBuffer,
    mut at: usize,
) -> Result<(Secret, usize), Problem> {
    let bad = Problem::NotHttp("has a bad chunk");
    let mut body = SecretBuffer::new(LIMIT);
    loop {
        let rest = raw.expose().get(at..).unwrap_or_default();
        let (line, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) if rest.len() < LINE_LIMIT => {
                more(stream, raw)?;
                continue;
            }
            _ => return Err(bad),
        };
        at += line;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).map_err(|_| Problem::TooLarge)?;
        if size > LIMIT {
            return Err(Problem::TooLarge);
        }
        let end = at + size;
        while raw.expose().len() < end + 2 {
            more(stream, raw)?;
        }
        if !body.extend(&raw.expose()[at..end]) {
            return Err(Problem::TooLarge);
        }
        if raw.expose()[end..end + 2] != *b"\r\n" {
            return Err(bad);
        }
        at = end + 2;
    }
    // Trailers, up to an empty line.
    let first = at;
    loop {
        let rest = raw.expose().get(at..).unwrap_or_default();
        match rest.windows(2).position(|two| two == b"\r\n") {
            Some(0) => return Ok((body.finish(), at + 2)),
            Some(length) => at += length + 2,
            None if raw.expose().len() - first < LINE_LIMIT => more(stream, raw)?,
            None => return Err(bad),
        }
    }
}

/// Reads more of an answer that is not complete.
fn more(stream: &mut dyn Bytes, raw: &mut SecretBuffer) -> Result<(), Problem> {
    match read_once(stream, raw) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Problem::NotHttp("ends in the middle")),
        Err(Problem::Io(error)) if is_close(&error) => Err(Problem::NotHttp("ends in the middle")),
        Err(problem) => Err(problem),
    }
}

/// Reads once; says whether there was anything.
fn read_once(mut stream: &mut dyn Bytes, raw: &mut SecretBuffer) -> Result<bool, Problem> {
    loop {
        match raw.read_from(&mut stream) {
            Ok(Progress::More) => return Ok(true),
            Ok(Progress::End) => return Ok(false),
            Ok(Progress::TooLarge) => return Err(Problem::TooLarge),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
