//! Objects in a bucket, through the `object_store` crate with its retries turned off: repeating is `retry`'s business,
//! and only there is known what may be repeated.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    ClientConfigKey, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload,
};

use crate::config::{Config, S3Config};
use crate::driver::{Backend, Driver, Object, Page};
use crate::error::{Error, Kind, Operation};
use crate::location::{Bucket, Service};

mod explain;

use explain::explain;

/// Objects asked for in one page of a listing: the most S3 gives.
const PAGE_OBJECTS: usize = 1000;

struct Remote {
    description: String,
    /// Empty, or ending in a slash.
    prefix: String,
    store: Arc<dyn ObjectStore>,
    /// Listing by pages, where the client offers it.
    pages: Option<Arc<dyn PaginatedListStore>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

/// Makes the client of a bucket. No requests.
pub(crate) fn open(bucket: &Bucket, config: &Config) -> Result<Arc<dyn Driver>, Error> {
    let invalid = |message: String| Error::new(Kind::Invalid, Operation::List, &config.url, message);
    let retry = object_store::RetryConfig { max_retries: 0, ..object_store::RetryConfig::default() };
    let connect = format!("{} ms", config.connect_timeout.0.as_millis());
    // The whole request is bounded where it is made; this bound only has to be out of the way.
    let request = "1 day";
    let (store, pages): (Arc<dyn ObjectStore>, Option<Arc<dyn PaginatedListStore>>) = match bucket.service {
        Service::S3 => {
            let builder = s3_builder(&config.s3)
                .map_err(invalid)?
                .with_bucket_name(&bucket.name)
                .with_conditional_put(S3ConditionalPut::ETagMatch)
                .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), connect)
                .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), request)
                .with_retry(retry);
            let store = Arc::new(builder.build().map_err(|error| invalid(error.to_string()))?);
            (Arc::clone(&store) as _, Some(store))
        }
        Service::Gcs => {
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(&bucket.name)
                .with_config(GoogleConfigKey::Client(ClientConfigKey::ConnectTimeout), connect)
                .with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), request)
                .with_retry(retry);
            let store = Arc::new(builder.build().map_err(|error| invalid(error.to_string()))?);
            (Arc::clone(&store) as _, Some(store))
        }
        Service::Azure => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(&bucket.name)
                .with_config(AzureConfigKey::Client(ClientConfigKey::ConnectTimeout), connect)
                .with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), request)
                .with_retry(retry);
            (Arc::new(builder.build().map_err(|error| invalid(error.to_string()))?), None)
        }
    };
    let prefix = if bucket.prefix.is_empty() { String::new() } else { format!("{}/", bucket.prefix) };
    Ok(Arc::new(Remote { description: config.url.clone(), prefix, store, pages }))
}

/// The environment first, then what the settings say.
fn s3_builder(config: &S3Config) -> Result<AmazonS3Builder, String> {
    let mut builder = AmazonS3Builder::from_env();
    for (key, value) in [
        (AmazonS3ConfigKey::Endpoint, config.endpoint.as_str()),
        (AmazonS3ConfigKey::Region, config.region.as_str()),
        (AmazonS3ConfigKey::AccessKeyId, config.access_key_id.as_str()),
        (AmazonS3ConfigKey::SecretAccessKey, config.secret_access_key.expose()),
    ] {
        if !value.is_empty() {
            builder = builder.with_config(key, value);
        }
    }
    if config.allow_http {
        builder = builder.with_allow_http(true);
    }
    if config.virtual_hosted_style {
        builder = builder.with_virtual_hosted_style_request(true);
    }
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).unwrap_or_default();
    let allow_http = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    if endpoint.starts_with("http://") && allow_http.as_deref() != Some("true") {
        return Err(format!(
            "the endpoint {endpoint} is not encrypted: set storage.s3.allow_http = true to allow that"
        ));
    }
    if !endpoint.is_empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(format!("the endpoint {endpoint:?} is not a URL: write https://{endpoint}"));
    }
    let id = builder.get_config_value(&AmazonS3ConfigKey::AccessKeyId).is_some();
    let secret = builder.get_config_value(&AmazonS3ConfigKey::SecretAccessKey).is_some();
    match (id, secret) {
        (true, false) => Err("there is an access key id without a secret: set storage.s3.secret_access_key".to_owned()),
        (false, true) => Err("there is a secret without an access key id: set storage.s3.access_key_id".to_owned()),
        _ => Ok(builder),
    }
}

impl Remote {
    fn path(&self, operation: Operation, key: &str) -> Result<Path, Error> {
        Path::parse(format!("{}{key}", self.prefix))
            .map_err(|error| Error::new(Kind::Invalid, operation, key, error.to_string()))
    }

    fn object(&self, meta: &ObjectMeta) -> Option<Object> {
        let key = meta.location.as_ref().strip_prefix(self.prefix.as_str())?;
        Some(Object { key: key.to_owned(), object_bytes: meta.size, last_modified: meta.last_modified.into() })
    }

    async fn page(
        &self,
        pages: &dyn PaginatedListStore,
        prefix: &str,
        start_after: Option<String>,
        next: Option<String>,
        limit: usize,
    ) -> object_store::Result<Page> {
        let options = PaginatedListOptions {
            offset: start_after,
            max_keys: Some(limit.clamp(1, PAGE_OBJECTS)),
            page_token: next,
            ..PaginatedListOptions::default()
        };
        let page = pages.list_paginated((!prefix.is_empty()).then_some(prefix), options).await?;
        Ok(Page {
            objects: page.result.objects.iter().filter_map(|meta| self.object(meta)).collect(),
            next: page.page_token,
        })
    }

    /// For clients without pages: the whole listing, or its first `limit` objects, as one request.
    async fn stream(&self, prefix: &str, start_after: Option<String>, limit: usize) -> object_store::Result<Page> {
        let prefix = Path::parse(prefix)?;
        let mut listing = match start_after {
            Some(after) => self.store.list_with_offset(Some(&prefix), &Path::parse(after)?),
            None => self.store.list(Some(&prefix)),
        };
        let mut objects = VecDeque::new();
        while objects.len() < limit
            && let Some(meta) = listing.next().await
        {
            objects.extend(self.object(&meta?));
        }
        Ok(Page { objects: objects.into(), next: None })
    }
}

#[async_trait]
impl Driver for Remote {
    fn backend(&self) -> Backend {
        Backend::Remote
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        let operation = if range.is_some() { Operation::GetRange } else { Operation::Get };
        let path = self.path(operation, key)?;
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let read = async { self.store.get_opts(&path, options).await?.bytes().await };
        read.await.map_err(|error| explain(operation, key, error))
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let path = self.path(Operation::Put, key)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&path, PutPayload::from_bytes(body), options).await {
            Ok(_) => Ok(()),
            Err(error) => Err(explain(Operation::Put, key, error)),
        }
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page, Error> {
        let full_prefix = format!("{}{prefix}", self.prefix);
        let start_after = start_after.map(|after| format!("{}{after}", self.prefix));
        let page = match &self.pages {
            Some(pages) => self.page(pages.as_ref(), &full_prefix, start_after, next, limit).await,
            None => self.stream(&full_prefix, start_after, limit).await,
        };
        page.map_err(|error| explain(Operation::List, prefix, error))
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.path(Operation::Delete, key)?;
        self.store.delete(&path).await.map_err(|error| explain(Operation::Delete, key, error))
    }
}

#[cfg(test)]
mod tests;
