//! The roles a process can play, and the set of them it was asked to play.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// One part of the system. Roles meet only in object storage, so any subset can share a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Receives spans and writes blocks.
    Ingester,
    /// Reads blocks and answers queries.
    Querier,
    /// Watches how many blocks wait to be merged.
    Compactor,
}

impl Role {
    /// Every role there is.
    pub const ALL: [Self; 3] = [Self::Ingester, Self::Querier, Self::Compactor];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingester => "ingester",
            Self::Querier => "querier",
            Self::Compactor => "compactor",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim();
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| {
            let hint = super::suggest::nearest(name, Self::ALL.map(Self::name).into_iter());
            let hint = hint.map_or_else(String::new, |near| format!(": did you mean {near:?}?"));
            format!("unknown role {name:?}{hint} (the roles are ingester, querier and compactor)")
        })
    }
}

/// A set of roles, never empty; written as a list, or in one text with commas. `all` stands for every role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// Whether the process plays this role.
    pub fn contains(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut roles = Vec::new();
        for name in names {
            if name.trim() == "all" {
                roles.extend(Role::ALL);
            } else {
                roles.push(Role::parse(name)?);
            }
        }
        roles.sort();
        roles.dedup();
        if roles.is_empty() {
            return Err("a process needs at least one role (ingester, querier or compactor)".to_owned());
        }
        Ok(Self(roles))
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self(Role::ALL.to_vec())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, role) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, role.name())?;
        }
        Ok(())
    }
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|role| role.name()))
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Roles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of roles such as [\"ingester\", \"querier\"]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Roles, E> {
                Roles::parse(text.split(',')).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Roles, A::Error> {
                let mut names = Vec::<String>::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Roles::parse(names.iter().map(String::as_str)).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Names)
    }
}
