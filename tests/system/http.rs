//! A blocking HTTP/1.1 client that never retries: a test must know exactly what it sent and what came back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take, so that a hang fails a test instead of stalling it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One complete response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text, damaged characters replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): status {}, {}", self.status, self.text()))
    }
}

/// A connection kept open between requests; after an error the next request opens a new one.
pub struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// Connects at the first request.
    pub fn new(address: SocketAddr) -> Connection {
        Connection { address, stream: None }
    }

    /// `GET path`, which must be answered.
    pub fn get(&mut self, path: &str) -> Answer {
        self.get_as(path, "application/json")
    }

    /// `GET path` with this `Accept`, which must be answered.
    pub fn get_as(&mut self, path: &str, accept: &str) -> Answer {
        self.request("GET", path, &[("accept", accept)], b"").unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// `POST /v1/traces` with a protobuf body. An error means that the outcome is unknown to the client.
    pub fn export(&mut self, body: &[u8]) -> io::Result<Answer> {
        self.request("POST", "/v1/traces", &[("content-type", "application/x-protobuf")], body)
    }

    /// One request and its answer.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address)?,
        };
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        stream.get_mut().write_all(&message)?;
        let answer = read_answer(&mut stream)?;
        if !answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// `GET path` on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    Connection::new(address).get(path)
}

/// A query-string value in percent encoding.
pub fn query_value(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(BufReader::new(stream))
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let first = read_line(stream)?;
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| invalid(&format!("bad status line {first:?}")))?;
    let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("header without a colon"))?;
        answer.headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = usize::from_str_radix(&read_line(stream)?, 16).map_err(|_| invalid("bad chunk size"))?;
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk)?;
            answer.body.extend_from_slice(&chunk);
            read_line(stream)?;
            if size == 0 {
                return Ok(answer);
            }
        }
    }
    let length = answer.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    answer.body = vec![0; length];
    stream.read_exact(&mut answer.body)?;
    Ok(answer)
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
