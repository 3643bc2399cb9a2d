//! Whose spans a request brings.

use http::HeaderMap;
use spanlake_model::{Tenant, TenantError};

use crate::config::ReceiverConfig;
use crate::error::PushError;

/// The header, and the gRPC metadata key, that names the tenant.
pub(crate) const TENANT_HEADER: &str = "x-scope-orgid";

/// The tenant that the headers name, or the default one; the single one, whatever they say, when tenancy is off.
///
/// # Errors
/// [`PushError::Tenant`] when there is none, several, or an invalid one.
pub(crate) fn tenant(headers: &HeaderMap, config: &ReceiverConfig) -> Result<Tenant, PushError> {
    if !config.tenancy_enabled {
        return Ok(Tenant::single());
    }
    let mut values = headers.get_all(TENANT_HEADER).iter();
    let Some(name) = values.next() else {
        return config.default_tenant.clone().ok_or(PushError::Tenant(TenantError::Absent));
    };
    // Several headers mean what one with commas means (RFC 9110, section 5.3), and a comma is in no name.
    let name = match values.next() {
        Some(second) => [name.as_bytes(), b",", second.as_bytes()].concat(),
        None => name.as_bytes().to_vec(),
    };
    Ok(Tenant::parse(&String::from_utf8_lossy(&name))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn tenants() {
        let check_with = |config: &ReceiverConfig, values: &[&[u8]], expect: Result<&str, bool>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TENANT_HEADER, HeaderValue::from_bytes(value).unwrap());
            }
            let found = tenant(&headers, config);
            match expect {
                Ok(name) => assert_eq!(found.unwrap().as_str(), name),
                Err(absent) => {
                    let Err(PushError::Tenant(error)) = found else { panic!("{found:?}") };
                    assert_eq!(error == TenantError::Absent, absent, "{error}");
                }
            }
        };
        let check = |tenancy_enabled: bool, values: &[&[u8]], expect: Result<&str, bool>| {
            check_with(&ReceiverConfig { tenancy_enabled, ..ReceiverConfig::default() }, values, expect);
        };
        let default_tenant = Some(Tenant::single());
        let lenient = ReceiverConfig { tenancy_enabled: true, default_tenant, ..ReceiverConfig::default() };
        check_with(&lenient, &[], Ok("single-tenant"));
        check_with(&lenient, &[b"demo"], Ok("demo"));
        check_with(&lenient, &[b"../x"], Err(false));
        check(false, &[], Ok("single-tenant"));
        check(false, &[b"../x"], Ok("single-tenant"));
        check(true, &[b"team-a"], Ok("team-a"));
        check(true, &[], Err(true));
        check(true, &[b""], Err(true));
        check(true, &[b"../x"], Err(false));
        check(true, &[b"a|b"], Err(false));
        check(true, &[b"a", b"b"], Err(false));
        check(true, &[b"\xff"], Err(false));
        check(true, &["x".repeat(151).as_bytes()], Err(false));
    }
}
