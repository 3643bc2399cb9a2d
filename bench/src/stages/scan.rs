//! The scan stages: attribute conditions over one block, from the plan to matching traces. Bytes come from memory.

use spanlake_block::{Condition, Field, Literal, Op, Scope, Written};

use super::cheapest;
use super::read::Opened;
use super::report::Scan;
use super::samples::{NEEDLE_KEY, Samples};
use crate::Error;

fn attribute(scope: Scope, key: &str, op: Op, value: Literal) -> Condition {
    Condition { field: Field::Attribute { scope, key: key.to_owned() }, op, value }
}

/// The conditions to measure. Those a corpus has no value for find nothing, which is measured too.
fn conditions(opened: &Opened, samples: &Samples) -> Vec<(String, Condition)> {
    let text = |text: &str| Literal::String(text.to_owned());
    let span = |key: &str, op, value| attribute(Scope::Span, key, op, value);
    let needle = samples.needle.as_deref().unwrap_or("none");
    let service = samples.service.as_deref().unwrap_or("none");
    let second = Literal::Int(1_000_000_000);
    let mut all = vec![
        ("needle".to_owned(), span(NEEDLE_KEY, Op::Eq, text(needle))),
        ("absent needle".to_owned(), span(NEEDLE_KEY, Op::Eq, text("00000000-0000-4000-8000-000000000000"))),
        ("needle, anywhere".to_owned(), attribute(Scope::Any, NEEDLE_KEY, Op::Eq, text(needle))),
        ("rare value: status = 500".to_owned(), span("http.response.status_code", Op::Eq, Literal::Int(500))),
        ("common value: rpc.system = grpc".to_owned(), span("rpc.system", Op::Eq, text("grpc"))),
        ("substring of SQL".to_owned(), span("db.query.text", Op::Contains, text("stock"))),
        (
            format!("resource: service.name = {service}"),
            attribute(Scope::Resource, "service.name", Op::Eq, text(service)),
        ),
        ("duration > 1 s".to_owned(), Condition { field: Field::DurationNanos, op: Op::Gt, value: second }),
        ("error status".to_owned(), Condition { field: Field::StatusCode, op: Op::Eq, value: Literal::Int(2) }),
        ("name = GET /cart".to_owned(), Condition { field: Field::Name, op: Op::Eq, value: text("GET /cart") }),
    ];
    let columns = opened.block.attribute_columns();
    let residual = opened.search.keys().iter().filter(|(key, _)| columns.iter().all(|column| column.key != key.key));
    if let Some((key, _)) = residual.max_by_key(|(_, count)| *count) {
        all.push((format!("key without a column: {}", key.key), span(&key.key, Op::Exists, Literal::None)));
    }
    all
}

/// Measures each condition over the block.
pub(super) fn scan(opened: &Opened, written: &Written, samples: &Samples, repeat: u32) -> Result<Vec<Scan>, Error> {
    conditions(opened, samples)
        .into_iter()
        .map(|(what, condition)| one(opened, written, what, condition, repeat))
        .collect()
}

fn one(opened: &Opened, written: &Written, what: String, condition: Condition, repeat: u32) -> Result<Scan, Error> {
    let Opened { block, search } = opened;
    let conditions = [condition];
    let ((row_groups, fetched_bytes, traces), cost) = cheapest(repeat, || {
        let plans = block.plan_scan(search, &conditions);
        let (row_groups, mut fetched, mut traces) = (plans.len(), 0, 0);
        for plan in plans {
            let slice = |range: &std::ops::Range<u64>| written.bytes.slice(range.start as usize..range.end as usize);
            let bytes: Vec<_> = plan.ranges.iter().map(slice).collect();
            fetched += bytes.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            traces += block.matching_traces(search, &plan, bytes).map_err(Error::stage("scan"))?.len();
        }
        Ok((row_groups, fetched, traces))
    })?;
    let cpu_millis = cost.cpu.as_secs_f64() * 1e3;
    Ok(Scan {
        what,
        cpu_millis,
        spans_per_second: written.meta.span_count as f64 / cost.cpu.as_secs_f64().max(1e-9),
        row_groups,
        row_groups_of_block: block.row_group_count(),
        fetched_bytes,
        traces,
    })
}
