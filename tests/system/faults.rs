//! The binary over a store that fails on purpose: what it acknowledges is there, and nobody gets such a store by mistake.

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::Backend;
use crate::accounting::assert_balanced;
use crate::http::Connection;
use crate::process::{Setup, binary, variable};
use crate::traffic::{Found, Ledger, batch, find, seed};

/// Bytes spoilt twice in a row are damage, so those faults come by number.
const FAULTS: &str = "seed=7; latency=2ms~300ms; put 20% error-after; put 10% slowdown; put 5% conflict; \
                      get,get_range 5% error; list 5% slowdown; get_range #5 short; get_range #9 flip";

#[test]
fn what_is_acknowledged_over_a_failing_store_is_there() {
    let setup = Setup::new(Backend::Directory)
        .with("storage.faults", FAULTS)
        .with_variable("SPANLAKE_ALLOW_FAULTS", "1")
        .with("storage.retry.budget_percent", "100")
        .noisy();
    let server = setup.start();
    let mut random = StdRng::seed_from_u64(seed("faults"));
    let ledger = Ledger::default();
    let mut connection = Connection::new(server.otlp_http);
    for _ in 0..40 {
        assert!(ledger.send(&mut connection, batch(&mut random, 2, 4, "faults")), "the server answers");
    }
    let acknowledged = ledger.take_acknowledged();
    assert!(acknowledged.len() >= 30, "only {} of 40 requests were acknowledged", acknowledged.len());
    let mut reader = Connection::new(server.http);
    for trace in acknowledged.iter().flat_map(|batch| &batch.traces) {
        assert_eq!(find(&mut reader, trace), Found::Exactly, "trace {}", trace.hex());
    }
    assert_balanced(&server);
    assert!(server.log().contains("fail on purpose"), "the log says what is going on:\n{}", server.log());
    server.stop();
}

#[test]
fn faults_need_a_permission_in_the_environment() {
    let output = binary()
        .args(["serve", "--storage-url", "memory://"])
        .env(variable("storage.faults"), FAULTS)
        .output()
        .expect("the binary starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("SPANLAKE_ALLOW_FAULTS"), "{error}");
}
