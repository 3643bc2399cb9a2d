//! Names of attributes and their values, in Tempo's first and second version.

use std::collections::BTreeSet;

use ::http::{HeaderMap, StatusCode, Uri};
use axum::extract::State;
use axum::response::Response;
use spanlake_model::Tenant;
use spanlake_traceql::Value;

use super::params::{MAX_TAG_BYTES, Names, NamesAsked, Values, identifiers, tag_name_in_path};
use super::refusal::Refusal;
use super::request::{Observed, encoded, now_unix_nanos, params, tenants};
use super::tempopb::{
    MetadataMetrics, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsResponse, SearchTagsV2Response,
    SearchTagsV2Scope, TagValue, text,
};
use crate::engine::{Stats, TagScope};
use crate::querier::Querier;

/// Where the first version lists the values of an attribute.
const V1_VALUES: &str = "/api/search/tag/";
/// Where the second version does.
const V2_VALUES: &str = "/api/v2/search/tag/";
/// What every span has, as editors are told; those of the tree are left out, as Tempo does.
const INTRINSICS: [&str; 25] = [
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "link:spanID",
    "link:traceID",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:id",
    "span:kind",
    "span:name",
    "span:parentID",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:id",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
];

/// `/api/search/tags`
pub(crate) async fn names_v1(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "tags_v1");
    let result = async {
        let tenants = tenants(&querier, &headers)?;
        let asked = params(&uri)?.tag_names(now_unix_nanos()).map_err(Refusal::bad)?;
        let found = find_names_v1(&querier, &tenants, &asked).await?;
        encoded(&querier, &headers, found.tag_names.len() as u64, found, SearchTagsResponse::to_json).await
    };
    let result = result.await;
    observed.end(result)
}

/// `/api/v2/search/tags`
pub(crate) async fn names_v2(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "tags_v2");
    let result = async {
        let tenants = tenants(&querier, &headers)?;
        let asked = params(&uri)?.tag_names(now_unix_nanos()).map_err(Refusal::bad)?;
        let found = find_names_v2(&querier, &tenants, &asked).await?;
        let item_count = found.scopes.iter().map(|scope| scope.tags.len() as u64).sum();
        encoded(&querier, &headers, item_count, found, SearchTagsV2Response::to_json).await
    };
    let result = result.await;
    observed.end(result)
}

/// `/api/search/tag/{name}/values`
pub(crate) async fn values_v1(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "tag_values_v1");
    let result = async {
        let tenants = tenants(&querier, &headers)?;
        let name = decoded(name_in_path(&uri, V1_VALUES)?)?;
        let asked = params(&uri)?.plain_tag_values(&name, now_unix_nanos()).map_err(Refusal::bad)?;
        let found = find_values_v1(&querier, &tenants, asked).await?;
        encoded(&querier, &headers, found.tag_values.len() as u64, found, SearchTagValuesResponse::to_json).await
    };
    let result = result.await;
    observed.end(result)
}

/// `/api/v2/search/tag/{identifier}/values`
pub(crate) async fn values_v2(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "tag_values_v2");
    let result = async {
        let tenants = tenants(&querier, &headers)?;
        let once = decoded(name_in_path(&uri, V2_VALUES)?)?;
        // Some front ends encode the name twice. What has values as it is, is meant as it is.
        let twice = decoded(&once).ok().filter(|twice| *twice != once);
        let names: Vec<&str> = [Some(once.as_str()), twice.as_deref()].into_iter().flatten().collect();
        let (params, now) = (params(&uri)?, now_unix_nanos());
        let mut found = SearchTagValuesV2Response::default();
        for field in identifiers(&names).map_err(Refusal::bad)? {
            let asked = params.tag_values(field, now).map_err(Refusal::bad)?;
            found = find_values_v2(&querier, &tenants, asked).await?;
            if !found.tag_values.is_empty() {
                break;
            }
        }
        encoded(&querier, &headers, found.tag_values.len() as u64, found, SearchTagValuesV2Response::to_json).await
    };
    let result = result.await;
    observed.end(result)
}

fn name_in_path<'a>(uri: &'a Uri, prefix: &str) -> Result<&'a str, Refusal> {
    tag_name_in_path(uri.path(), prefix)
        .ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("404 page not found: {} lacks /values", uri.path())))
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<String, Refusal> {
    let not_text = || Refusal::bad("please provide a valid tagName: it is not UTF-8 in percent-encoding");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    after
                }
                _ => {
                    bytes.push(b'%');
                    tail
                }
            },
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8(bytes).map_err(|_| not_text())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Names of all scopes in one list.
pub(crate) async fn find_names_v1(
    querier: &Querier,
    tenants: &[Tenant],
    asked: &Names,
) -> Result<SearchTagsResponse, Refusal> {
    let (scopes, stats) = find_names(querier, tenants, asked).await?;
    let mut names: BTreeSet<String> = scopes.into_iter().flat_map(|scope| scope.tags).collect();
    if asked.of == NamesAsked::Intrinsics {
        names.extend(INTRINSICS.map(str::to_owned));
    }
    let tag_names = names.into_iter().take(asked.limit).collect();
    Ok(SearchTagsResponse { tag_names, metrics: Some(MetadataMetrics::from(&stats)) })
}

/// Names by scope.
pub(crate) async fn find_names_v2(
    querier: &Querier,
    tenants: &[Tenant],
    asked: &Names,
) -> Result<SearchTagsV2Response, Refusal> {
    let (mut scopes, stats) = find_names(querier, tenants, asked).await?;
    if matches!(asked.of, NamesAsked::All | NamesAsked::Intrinsics) {
        let tags = INTRINSICS.iter().take(asked.limit).map(|name| (*name).to_owned()).collect();
        scopes.push(SearchTagsV2Scope { name: word(TagScope::Intrinsic).to_owned(), tags });
    }
    Ok(SearchTagsV2Response { scopes, metrics: Some(MetadataMetrics::from(&stats)) })
}

/// Names of attributes by scope, as many as fit an answer. Scopes without any are left out.
async fn find_names(
    querier: &Querier,
    tenants: &[Tenant],
    asked: &Names,
) -> Result<(Vec<SearchTagsV2Scope>, Stats), Refusal> {
    let Some(request) = asked.request() else { return Ok((Vec::new(), Stats::default())) };
    let found = querier.tag_names(tenants, &request).await?;
    let mut left = MAX_TAG_BYTES;
    let mut fits = |name: &String| match left.checked_sub(name.len() as u64) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let mut scopes = Vec::with_capacity(found.scopes.len() + 1);
    for (scope, names) in found.scopes {
        let tags: Vec<String> = names.into_iter().take(asked.limit).take_while(&mut fits).collect();
        if !tags.is_empty() {
            scopes.push(SearchTagsV2Scope { name: word(scope).to_owned(), tags });
        }
    }
    Ok((scopes, found.stats))
}

fn word(scope: TagScope) -> &'static str {
    match scope {
        TagScope::Resource => "resource",
        TagScope::Span => "span",
        TagScope::Event => "event",
        TagScope::Link => "link",
        TagScope::Instrumentation => "instrumentation",
        TagScope::Intrinsic => "intrinsic",
    }
}

/// Values as texts.
pub(crate) async fn find_values_v1(
    querier: &Querier,
    tenants: &[Tenant],
    asked: Values,
) -> Result<SearchTagValuesResponse, Refusal> {
    let stored = matches!(asked, Values::Stored(_));
    let (values, stats) = find_values(querier, tenants, asked).await?;
    let mut tag_values: Vec<String> = values.iter().map(text).collect();
    if stored {
        tag_values.sort_unstable();
        tag_values.dedup();
    }
    Ok(SearchTagValuesResponse { tag_values, metrics: Some(MetadataMetrics::from(&stats)) })
}

/// Values with their types.
pub(crate) async fn find_values_v2(
    querier: &Querier,
    tenants: &[Tenant],
    asked: Values,
) -> Result<SearchTagValuesV2Response, Refusal> {
    let (values, stats) = find_values(querier, tenants, asked).await?;
    let tag_values = values.iter().map(TagValue::from).collect();
    Ok(SearchTagValuesV2Response { tag_values, metrics: Some(MetadataMetrics::from(&stats)) })
}

async fn find_values(querier: &Querier, tenants: &[Tenant], asked: Values) -> Result<(Vec<Value>, Stats), Refusal> {
    match asked {
        Values::Known(values) => Ok((values, Stats::default())),
        Values::Stored(request) => {
            let found = querier.tag_values(tenants, &request).await?;
            Ok((found.values, found.stats))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths() {
        let check = |path: &str, expect: Option<&str>| {
            let uri: Uri = path.parse().expect("a path");
            let name = name_in_path(&uri, V2_VALUES).ok().map(|name| decoded(name).expect("a text"));
            assert_eq!(name.as_deref(), expect, "{path}");
        };
        check("/api/v2/search/tag/span.a/values", Some("span.a"));
        check("/api/v2/search/tag/span.a/b/values?q=%7B%7D", Some("span.a/b"));
        check("/api/v2/search/tag/span.a%2Fb/values", Some("span.a/b"));
        check("/api/v2/search/tag/span.a/values/values", Some("span.a/values"));
        check("/api/v2/search/tag/span.a%2520b/values", Some("span.a%20b"));
        check("/api/v2/search/tag/span.a+b/values", Some("span.a+b"));
        check("/api/v2/search/tag/span.%22a%20b%22/values", Some("span.\"a b\""));
        check("/api/v2/search/tag/span.100%/values", Some("span.100%"));
        check("/api/v2/search/tag/span.%C3%A9%23%3F/values", Some("span.\u{e9}#?"));
        check("/api/v2/search/tag/span.a", None);
        check("/api/v2/search/tag/span.a/value", None);
        assert!(decoded("%ff").is_err());
    }
}
