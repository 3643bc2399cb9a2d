//! A querier over a store, asked through its HTTP router without a network.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use spanlake_bench::Error;
use spanlake_catalog::Catalog;
use spanlake_model::Tenant;
use spanlake_querier::Querier;
use spanlake_storage::Store;
use tower::ServiceExt as _;

/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// A querier with caches of its own.
#[derive(Clone)]
pub(super) struct World {
    catalog: Catalog,
    router: Router,
}

impl World {
    /// A querier with the default settings and empty caches. No requests.
    pub(super) fn new(store: &Store) -> Self {
        let catalog = Catalog::new(store.clone(), spanlake_catalog::Config::default());
        Self::over(catalog)
    }

    /// A querier over a catalog that others share.
    pub(super) fn over(catalog: Catalog) -> Self {
        let querier = Querier::new(spanlake_querier::Config::default(), catalog.clone(), &mut Registry::default());
        Self { catalog, router: spanlake_querier::router(querier) }
    }

    /// Reads the manifest, which a process does once until there is a newer one.
    ///
    /// # Errors
    /// [`Error::Stage`].
    pub(super) async fn read_manifest(&self) -> Result<(), Error> {
        self.catalog.snapshot(&Tenant::single()).await.map(drop).map_err(Error::stage("snapshot"))
    }

    /// The body of the answer and the time to its last byte.
    ///
    /// # Errors
    /// [`Error::Stage`] with the status and the sentence, for anything but 200.
    pub(super) async fn ask(&self, request: Request<Body>) -> Result<(Bytes, Duration), Error> {
        let router = self.router.clone();
        let uri = request.uri().to_string();
        // On a worker, as a server would.
        let asked = tokio::spawn(async move {
            let start = Instant::now();
            let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
            let status = response.status();
            let body = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await;
            (status, body, start.elapsed())
        });
        let (status, body, elapsed) = asked.await?;
        let body = body.map_err(Error::stage("answer"))?;
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body);
            return Err(Error::stage("answer")(format!("{uri}: {status}: {text}")));
        }
        Ok((body, elapsed))
    }
}
