//! One query, measured: first with empty caches, then warm.

use spanlake_bench::{Error, Latencies, process_cpu};
use spanlake_storage::{Counts, Store};

use super::answer::{self, Answer};
use super::golden::Expected;
use super::questions::Question;
use super::report::{Verdict, Warm};
use super::world::World;

/// Asks once with empty caches and then `runs` times.
///
/// # Errors
/// [`Error::Stage`] for an answer that is not 200 or cannot be read.
pub(super) async fn warm(store: &Store, question: &Question, runs: u32) -> Result<Warm, Error> {
    let world = World::new(store);
    let before = store.meter().counts();
    let (first_body, first) = world.ask(question.request()).await?;
    let cold = store.meter().counts().since(&before);

    let before = store.meter().counts();
    let cpu = process_cpu();
    let mut latencies = Latencies::default();
    let mut body = first_body.clone();
    for _ in 0..runs {
        let (next, elapsed) = world.ask(question.request()).await?;
        latencies.add(elapsed);
        body = next;
    }
    let cpu = process_cpu().saturating_sub(cpu);
    let spent = store.meter().counts().since(&before);

    let read = |body: &[u8]| answer::read(&question.asked, body).map_err(Error::stage(question.name));
    let (first_answer, answer): (Answer, Answer) = (read(&first_body)?, read(&body)?);
    let mut inspected_spans = answer.inspected_spans;
    if let Some(request) = question.telling_request() {
        inspected_spans = answer::inspected_spans(&world.ask(request).await?.0);
    }
    let each = |sum: f64| sum / f64::from(runs.max(1));
    Ok(Warm {
        name: question.name,
        aim_millis: question.aim_millis,
        p50_millis: latencies.quantiles().p50_millis,
        cpu_millis: each(cpu.as_secs_f64() * 1e3),
        first_millis: first.as_secs_f64() * 1e3,
        inspected_spans,
        inspected_bytes: answer.inspected_bytes,
        warm_requests: each(spent.request_count() as f64),
        warm_bytes: each(read_bytes(&spent) as f64),
        cold_requests: cold.request_count(),
        cold_bytes: read_bytes(&cold),
        answer_bytes: body.len() as u64,
        found_count: answer.lines.len() as u64,
        verdict: if first_answer.lines == answer.lines { Verdict::NotChecked } else { Verdict::Wrong },
        difference: None,
        found: Expected::from_lines(answer.lines),
    })
}

fn read_bytes(counts: &Counts) -> u64 {
    counts.get.bytes + counts.get_range.bytes
}
