//! The messages of HTTP/1.1: a request as bytes, and an answer out of bytes, in memory that is wiped.

use std::io;

use super::tls::Bytes;
use crate::backend::Reason;
use crate::secret::{LIMIT, Progress, Secret, SecretBuffer};
use crate::watch;

/// The longest head of an answer, in bytes.
pub const HEAD_LIMIT: usize = 64 << 10;
/// A request without its body is hardly ever longer, in bytes.
const USUAL: usize = 511;
/// The longest line that announces a chunk, and the longest trailer, in bytes.
const LINE_LIMIT: usize = 4 << 10;

/// What is asked of the server.
#[derive(Debug)]
pub struct Request<'a> {
    pub method: &'static str,
    /// Begins with a slash; encoded.
    pub path: &'a str,
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// JSON.
    pub body: Option<&'a [u8]>,
    /// Whether doing it twice differs from doing it once: it is not sent again unless it was surely not done.
    pub once: bool,
}

/// What the server answers.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: Secret,
    /// Where it points to.
    pub location: Option<String>,
}

impl Request<'_> {
    /// The bytes of it for the server called `host`, with `base` before its path. `authorization` is for a proxy.
    ///
    /// # Errors
    /// A header that cannot be sent, or more than may be sent.
    pub fn encode(
        &self,
        host: &str,
        base: &str,
        authorization: Option<&Secret>,
    ) -> Result<SecretBuffer, Reason> {
        let mut headers = vec![
            ("Host", host.as_bytes()),
            (
                "User-Agent",
                concat!("mxm-secrets/", env!("CARGO_PKG_VERSION")).as_bytes(),
            ),
            ("Accept", b"application/json"),
        ];
        let length = self.body.map(|body| body.len().to_string());
        if let Some(length) = &length {
            headers.push(("Content-Type", b"application/json"));
            headers.push(("Content-Length", length.as_bytes()));
        }
        headers.extend(authorization.map(|value| ("Proxy-Authorization", value.expose())));
        let mut message = SecretBuffer::with_room(LIMIT, USUAL + self.body.map_or(0, <[u8]>::len));
        let start: [&[u8]; 5] = [
            self.method.as_bytes(),
            b" ",
            base.as_bytes(),
            self.path.as_bytes(),
            b" HTTP/1.1\r\n",
        ];
        let mut fits = start.iter().all(|part| message.extend(part));
        for (name, value) in headers.iter().chain(&self.headers) {
            if value.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
                return Err(
                    format!("the value of the header {name} contains a control character").into(),
                );
            }
            let line: [&[u8]; 4] = [name.as_bytes(), b": ", value, b"\r\n"];
            fits &= line.iter().all(|part| message.extend(part));
        }
        fits &= message.extend(b"\r\n") && message.extend(self.body.unwrap_or_default());
        if !fits {
            return Err("the request is larger than 16 MiB".into());
        }
        Ok(message)
    }
}

impl Response {
    /// Whether it points to somewhere else.
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 307 | 308)
    }
}

/// Whether a server may answer another time that has answered with `status`.
pub fn is_temporary(status: u16) -> bool {
    matches!(status, 412 | 429) || status >= 500 && status != 501
}

/// What went wrong on a connection.
#[derive(Debug)]
pub enum Problem {
    /// The bytes could not be had.
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

/// The head of an answer.
pub struct Head {
    pub status: u16,
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
pub fn read_response(stream: &mut dyn Bytes) -> Result<(Response, bool), Problem> {
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
pub fn read_head(stream: &mut dyn Bytes, raw: &mut SecretBuffer) -> Result<Head, Problem> {
    let mut start = 0;
    if raw.expose().is_empty() {
        match read_once(stream, raw) {
            Ok(true) => {}
            Ok(false) => return Err(Problem::Closed),
            Err(Problem::Io(error)) if is_close(&error) => return Err(Problem::Closed),
            Err(problem) => return Err(problem),
        }
    }
    loop {
        match parse_head(raw.expose(), start)? {
            Some(head) if head.status / 100 != 1 => return Ok(head),
            Some(head) => start = head.end,
            None if raw.expose().len() > HEAD_LIMIT => {
                return Err(Problem::NotHttp("has a head that does not end"));
            }
            None => more(stream, raw)?,
        }
    }
}

/// Whether the other side has closed the connection.
pub fn is_close(error: &io::Error) -> bool {
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
                .ok_or(not_http("has a length that is not a number"))?;
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
                return Err(not_http(
                    "is compressed, although no compression was requested",
                ));
            }
        } else if header.name.eq_ignore_ascii_case("connection") {
            let mut options = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            head.keep_alive &= !options.any(|option| option.eq_ignore_ascii_case(b"close"));
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
    match watch::uninterrupted(|| raw.read_from(&mut stream))? {
        Progress::More => Ok(true),
        Progress::End => Ok(false),
        Progress::TooLarge => Err(Problem::TooLarge),
    }
}
