//! The object store goes away and comes back: a refusal that clients repeat, never a lost acknowledgement, no restart.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::accounting::assert_balanced;
use crate::http::{Connection, get};
use crate::link::Link;
use crate::process::Setup;
use crate::traffic::{Found, batch, find, seed};
use crate::{Backend, s3};

/// Exporters give up after ten seconds and must hear of the failure before that.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn store_that_goes_away_and_comes_back() {
    let link = Link::to(s3::address());
    let setup = Setup::new(Backend::S3).with("storage.s3.endpoint", &format!("http://{}", link.address)).noisy();
    let server = setup.start();
    let mut random = StdRng::seed_from_u64(seed("outage"));
    let mut connection = Connection::new(server.otlp_http);
    let mut acknowledged = Vec::new();
    let before = batch(&mut random, 3, 4, "before");
    assert_eq!(connection.export(&before.body).expect("an answer").status, 200);
    acknowledged.push(before);

    link.cut();
    let lost = batch(&mut random, 3, 4, "during");
    let started = Instant::now();
    let answer = connection.export(&lost.body).expect("an answer");
    println!("refused after {:?}: {}", started.elapsed(), answer.text());
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(started.elapsed() < REFUSAL_LIMIT, "the refusal took {:?}", started.elapsed());
    assert!(answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()), "{answer:?}");

    link.mend();
    let mended = Instant::now();
    loop {
        // As a client would, the same batch again.
        if connection.export(&lost.body).expect("an answer").status == 200 {
            acknowledged.push(lost);
            break;
        }
        assert!(mended.elapsed() < RECOVERY_LIMIT, "spans are still refused");
        sleep(Duration::from_millis(100));
    }
    println!("accepting again {:?} after the store came back", mended.elapsed());
    while get(server.http, "/ready").status != 200 {
        assert!(mended.elapsed() < RECOVERY_LIMIT, "/ready still refuses");
        sleep(Duration::from_millis(50));
    }
    let mut reader = Connection::new(server.http);
    for trace in acknowledged.iter().flat_map(|batch| &batch.traces) {
        assert_eq!(find(&mut reader, trace), Found::Exactly, "trace {}", trace.hex());
    }
    assert_balanced(&server);
    server.stop();
}
