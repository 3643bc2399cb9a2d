//! Checks at start that a store does what everything else relies on.

use bytes::Bytes;

use crate::error::{Error, Kind};
use crate::store::{Created, Store};

/// Creates of one key that the probe lets race.
const RACERS: usize = 4;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A step failed: credentials, network, rights, a bucket that is not there.
    #[error("the object store does not work: {step} failed: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// What happened.
        source: Error,
    },
    /// Two creates of one key both succeeded.
    #[error(
        "the object store lacks conditional create: {winner_count} creates of {key:?} succeeded where one may. Spanlake \
         needs PUT with If-None-Match: * to be honoured (AWS S3, GCS, Azure, MinIO, Ceph, SeaweedFS since 2026 and \
         directories with hard links do)"
    )]
    NoConditionalCreate {
        /// The key that was created more than once.
        key: String,
        /// How many creates succeeded.
        winner_count: usize,
    },
    /// What was read or listed is not what was written.
    #[error("the object store is not consistent: {what} right after the object {key:?} was created")]
    Inconsistent {
        /// The object's key.
        key: String,
        /// What was seen.
        what: &'static str,
    },
}

impl Store {
    /// Checks that the store can be listed, creates objects once and only once, shows them at once, and deletes them. Works
    /// on one small object under `probe/`, which it removes. About 15 requests.
    ///
    /// # Errors
    /// [`ProbeError`] says what is missing.
    pub async fn probe(&self) -> Result<(), ProbeError> {
        let failed = |step| move |source| ProbeError::Step { step, source };
        let key = format!("probe/{:032x}", rand::random::<u128>());
        self.list_up_to("probe/", None, 1).await.map_err(failed("listing"))?;
        let outcome = self.probe_object(&key).await;
        let deleted = self.delete(&key).await.map_err(failed("deleting"));
        outcome.and(deleted)
    }

    async fn probe_object(&self, key: &str) -> Result<(), ProbeError> {
        let failed = |step| move |source| ProbeError::Step { step, source };
        let bodies = (0..RACERS).map(|i| Bytes::from(format!("spanlake probe {i}, may be deleted\n")));
        let racers = bodies.clone().map(|body| self.create(key, body));
        let mut winner = None;
        let mut winner_count = 0;
        for (body, outcome) in bodies.clone().zip(futures::future::join_all(racers).await) {
            match outcome {
                Ok(Created::New | Created::Ours) => {
                    winner_count += 1;
                    winner = Some(body);
                }
                Err(error) if error.kind() == Kind::AlreadyExists => {}
                Err(error) => return Err(failed("creating an object")(error)),
            }
        }
        match self.create(key, Bytes::from_static(b"spanlake probe, one more\n")).await {
            Ok(_) => winner_count += 1,
            Err(error) if error.kind() == Kind::AlreadyExists => {}
            Err(error) => return Err(failed("creating an object again")(error)),
        }
        if winner_count != 1 {
            return Err(ProbeError::NoConditionalCreate { key: key.to_owned(), winner_count });
        }
        let inconsistent = |what| ProbeError::Inconsistent { key: key.to_owned(), what };
        let body = self.get(key).await.map_err(failed("reading"))?;
        if Some(&body) != winner.as_ref() {
            return Err(inconsistent("other bytes were read"));
        }
        let listed = self.list("probe/", None).await.map_err(failed("listing"))?;
        if !listed.iter().any(|object| object.key == key) {
            return Err(inconsistent("it was not listed"));
        }
        Ok(())
    }
}
