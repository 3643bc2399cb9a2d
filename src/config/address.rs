//! Addresses to listen on, as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host (name or IP address) and a port. Port 0 asks the system for a free one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListenAddress {
    /// Name or IP address; IPv6 without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why a text is not an address to listen on: a sentence for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address to listen on: {problem}")]
pub struct AddressError {
    text: String,
    problem: &'static str,
}

impl ListenAddress {
    /// The address of one port of this machine, reachable from this machine only.
    pub fn loopback(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |problem| AddressError { text: text.to_owned(), problem };
        if text.contains("://") {
            return Err(error("write host:port without a scheme"));
        }
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| error("write host:port, such as 127.0.0.1:3200 or [::1]:3200"))?;
        let port = port.parse().map_err(|_| error("the port is not a number from 0 to 65535"))?;
        if host.is_empty() {
            return Err(error("it has no host: write 0.0.0.0 before the port to listen on every interface"));
        }
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(host) => host,
            None if host.contains(':') => return Err(error("write an IPv6 address in brackets, such as [::1]:3200")),
            None => host,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/[]@".contains(c)) {
            return Err(error("the host is neither a name nor an IP address"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_from_text() {
        let check = |text: &str, expect: Option<(&str, u16)>| {
            let address = text.parse::<ListenAddress>().ok();
            assert_eq!(address.as_ref().map(|a| (a.host.as_str(), a.port)), expect, "{text:?}");
            if let Some(address) = address {
                assert_eq!(address.to_string(), text);
            }
        };
        check("127.0.0.1:3200", Some(("127.0.0.1", 3200)));
        check("localhost:0", Some(("localhost", 0)));
        check("[::1]:4317", Some(("::1", 4317)));
        check("", None);
        check("3200", None);
        check(":3200", None);
        check("::1:3200", None);
        check("host:99999", None);
        check("host:", None);
        check("http://host:80", None);
        check("a b:80", None);
    }
}
