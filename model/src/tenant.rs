//! Tenant names: the one piece of user text that becomes part of an object key, so it is checked here, once.

use std::fmt;
use std::sync::Arc;

/// A checked tenant name, safe as one segment of an object key. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Arc<str>);

/// Why a text is not a tenant name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// No name was given.
    #[error("no org id")]
    Absent,
    /// The name is longer than [`Tenant::MAX_BYTES`].
    #[error("tenant ID is too long: {len} bytes, at most {} are allowed", Tenant::MAX_BYTES)]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// The name is `.` or `..`.
    #[error("tenant ID is '.' or '..'")]
    PathTrick,
    /// The name has a character outside letters, digits and `!-_.*'()`.
    #[error("tenant ID '{name}' contains unsupported character '{found}': letters, digits and !-_.*'() are allowed")]
    Character {
        /// The name as given.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
}

impl Tenant {
    /// The longest name, in bytes (as Grafana's servers have it).
    pub const MAX_BYTES: usize = 150;

    /// The tenant of everything when tenancy is off.
    pub fn single() -> Self {
        Self(Arc::from("single-tenant"))
    }

    /// Checks a name from a header or from gRPC metadata.
    ///
    /// # Errors
    /// [`TenantError`] says what is wrong; [`TenantError::Absent`] is an authentication failure, the rest bad requests.
    pub fn parse(name: &str) -> Result<Self, TenantError> {
        if name.is_empty() {
            return Err(TenantError::Absent);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(TenantError::TooLong { len: name.len() });
        }
        if name == "." || name == ".." {
            return Err(TenantError::PathTrick);
        }
        match name.chars().find(|c| !c.is_ascii_alphanumeric() && !"!-_.*'()".contains(*c)) {
            Some(found) => Err(TenantError::Character { name: name.to_owned(), found }),
            None => Ok(Self(Arc::from(name))),
        }
    }

    /// Checks a list of names joined by `|`, as a query over several tenants gives them. Sorted, without repeats.
    ///
    /// # Errors
    /// As [`Tenant::parse`], for the first name that is wrong; an empty part is [`TenantError::Absent`].
    pub fn parse_many(names: &str) -> Result<Vec<Self>, TenantError> {
        let mut tenants = names.split('|').map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        tenants.sort();
        tenants.dedup();
        Ok(tenants)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, ok: bool| assert_eq!(Tenant::parse(name).is_ok(), ok, "{name:?}");
        check("team-a", true);
        check("a.b_c!*'()", true);
        check("...", true);
        check(&"x".repeat(150), true);
        check(&"x".repeat(151), false);
        check("", false);
        check(".", false);
        check("..", false);
        check("../x", false);
        check("a/b", false);
        check("a|b", false);
        check("a b", false);
        check("a\0", false);
        check("naïve", false);
    }

    #[test]
    fn lists_of_names() {
        let names = |text| Tenant::parse_many(text).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names("b|a|b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names("a|"), Err(TenantError::Absent));
        assert_eq!(names("|a"), Err(TenantError::Absent));
        assert_eq!(names("a||b"), Err(TenantError::Absent));
    }
}
