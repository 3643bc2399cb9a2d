//! The words every other crate shares: ids, tenants, time ranges, and the sizes and durations of configuration.
//!
//! It knows nothing of wire formats, columns, storage or HTTP.
//!
//! ```
//! use spanlake_model::{Tenant, TraceId};
//!
//! let id = TraceId::parse_hex("2f3e0cee77ae5dc9")?;
//! assert_eq!(id.to_string(), "00000000000000002f3e0cee77ae5dc9");
//! assert!(Tenant::parse("../etc").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod byte_size;
mod human_duration;
mod id;
mod tenant;
mod time;
pub mod world;

pub use byte_size::{ByteSize, ByteSizeError};
pub use human_duration::{HumanDuration, HumanDurationError};
pub use id::{IdError, SpanId, TraceId};
pub use tenant::{Tenant, TenantError};
pub use time::TimeRange;
