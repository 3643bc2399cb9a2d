//! Questions to a store that this process opens itself: catalog, querier and the router that a server has, without a port.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use futures::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use prometheus_client::registry::Registry;
use spanlake_catalog::Catalog;
use spanlake_querier::Querier;
use spanlake_storage::Store;
use tower::ServiceExt as _;

use super::failure::Failure;
use super::{Ask, Pieces};
use crate::cli::SettingArgs;
use crate::config::{self, Config};

/// An open store with a querier over it.
pub struct OpenStore {
    router: Router,
}

/// Reads the settings of a store: file and environment as for `serve`, and this URL over them.
///
/// # Errors
/// [`config::Problems`] with everything that is wrong.
pub fn settings(url: &str, file: Option<&std::path::Path>, set: &[String]) -> Result<Config, config::Problems> {
    let settings = SettingArgs {
        config: file.map(Into::into),
        storage_url: Some(with_scheme(url)),
        set: set.to_vec(),
        ..SettingArgs::default()
    };
    Ok(config::load(&settings, std::env::vars_os())?.config)
}

/// A path stands for the directory it names.
pub fn with_scheme(url: &str) -> String {
    if url.contains("://") {
        return url.to_owned();
    }
    match std::path::absolute(url) {
        Ok(path) => format!("file://{}", path.display()),
        Err(_) => url.to_owned(),
    }
}

/// The directory that a store's URL names, if it names one.
pub fn directory(url: &str) -> Option<PathBuf> {
    match url.strip_prefix("file://") {
        Some(path) => Some(path.into()),
        None => (!url.contains("://")).then(|| url.into()),
    }
}

/// Opens the store that the settings name. No request; a directory must be there already, since reading makes none.
///
/// # Errors
/// If it cannot be opened.
pub fn open(config: &Config) -> Result<Store, Failure> {
    if let Some(path) = directory(&config.storage.url).filter(|path| !path.is_dir()) {
        let path = path.display();
        return Err(Failure::error(format!("there is no store at {path}: the directory does not exist (--storage)")));
    }
    Store::open(&config.storage).map_err(|error| Failure::error(format!("cannot open {}: {error}", config.storage.url)))
}

impl OpenStore {
    /// Opens a store to read. No request yet.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn new(config: &Config, has_tenant: bool) -> Result<Self, Failure> {
        let store = open(config)?;
        let mut registry = Registry::default();
        let catalog = Catalog::new(store, config.catalog.clone());
        let querier_config = spanlake_querier::Config {
            tenancy_enabled: has_tenant || config.tenancy.enabled,
            column_cache_bytes: config.cache.memory_bytes,
            ..config.querier.clone()
        };
        let querier = Querier::new(querier_config, catalog, &mut registry);
        Ok(Self { router: spanlake_querier::router(querier) })
    }

    pub(super) async fn ask(&self, ask: &Ask, headers: &HeaderMap) -> Result<(StatusCode, HeaderMap, Pieces), Failure> {
        let mut request = Request::builder().method(ask.method.clone()).uri(ask.target());
        request = request.header(http::header::ACCEPT, ask.accept);
        let body = match &ask.body {
            Some((content_type, body)) => {
                request = request.header(http::header::CONTENT_TYPE, *content_type);
                Body::from(body.clone())
            }
            None => Body::empty(),
        };
        if let Some(all) = request.headers_mut() {
            all.extend(headers.clone());
        }
        let request = request.body(body).map_err(|error| Failure::usage(error.to_string()))?;
        let response = self.router.clone().oneshot(request).await;
        let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
        let body = body
            .into_data_stream()
            .map(|piece| piece.map_err(|error| Failure::error(format!("the answer broke off: {error}"))));
        Ok((parts.status, parts.headers, Box::pin(body)))
    }
}
