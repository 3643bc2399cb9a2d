//! Questions asked while everything goes on, each held against what was acknowledged before it.

use std::rc::Rc;

use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_model::{Tenant, TraceId};
use spanlake_querier::Error;

use crate::cluster::QuerierProcess;
use crate::invariants::{check_search, check_traceql, flatten, may_fail, search_for, traceql_for};
use crate::run::{Scene, pause, pick};

/// What came of a question.
enum Came {
    /// An answer, and what is wrong with it, if anything.
    Answer(Result<(), String>),
    /// The query failed.
    Failure(Error),
    /// The process died.
    Nothing,
}

/// Asks for traces by id, by tags and by TraceQL.
pub async fn ask(scene: &Scene, mut random: StdRng) {
    loop {
        pause(&mut random, 1_000).await;
        let process = Rc::clone(&pick(&mut random, &scene.queriers).borrow());
        let traces = scene.ledger.borrow().traces();
        if traces.is_empty() {
            continue;
        }
        let came = if random.random_bool(0.6) {
            let (tenant, id) = pick(&mut random, &traces).clone();
            let asked_for = if random.random_bool(0.9) { &tenant } else { pick(&mut random, &scene.tenants) };
            by_id(scene, &process, &tenant, asked_for, id).await
        } else {
            let number = random.random_range(0..scene.ledger.borrow().requests.len());
            by_search(scene, &process, number, random.random_bool(0.5)).await
        };
        let history = &scene.cluster.history;
        match came {
            Came::Answer(checked) => {
                scene.answers.set(scene.answers.get() + 1);
                checked.unwrap_or_else(|what| history.violate(what));
            }
            Came::Failure(error) => {
                scene.failures.set(scene.failures.get() + 1);
                history.note(format_args!("a query fails: {error}"));
                if !may_fail(&error, scene.damages) {
                    history.violate(format!("a query fails: {error}"));
                }
            }
            Came::Nothing => {}
        }
    }
}

/// One tenant's trace, asked for by it or by another.
async fn by_id(scene: &Scene, process: &QuerierProcess, tenant: &Tenant, asked_for: &Tenant, id: TraceId) -> Came {
    let expected = scene.ledger.borrow().expect(tenant, id);
    let question = process.querier.trace(std::slice::from_ref(asked_for), id, None);
    let answer = match process.process.gate.hear(question).await {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => return Came::Failure(error),
        None => return Came::Nothing,
    };
    Came::Answer(if asked_for == tenant {
        scene.ledger.borrow_mut().check(&expected, &flatten(answer.trace))
    } else if answer.span_count > 0 {
        Err(format!("trace {id} of {tenant} is shown to {asked_for}"))
    } else {
        Ok(())
    })
}

/// The spans of one request, by tags or by TraceQL.
async fn by_search(scene: &Scene, process: &QuerierProcess, number: usize, by_query: bool) -> Came {
    let (tenant, marker, wanted) = {
        let ledger = scene.ledger.borrow();
        let request = &ledger.requests[number];
        (request.tenant.clone(), request.marker.clone(), ledger.want(number))
    };
    let (tenants, gate) = (std::slice::from_ref(&tenant), &process.process.gate);
    if by_query {
        let query = traceql_for(&marker);
        return match gate.hear(process.querier.traceql_search(tenants, &query, None)).await {
            Some(Ok(answer)) => Came::Answer(check_traceql(&answer, &scene.ledger.borrow(), &wanted)),
            Some(Err(error)) => Came::Failure(error),
            None => Came::Nothing,
        };
    }
    let search = search_for(&marker);
    match gate.hear(process.querier.search(tenants, &search)).await {
        Some(Ok(answer)) => Came::Answer(check_search(&answer, &scene.ledger.borrow(), &wanted)),
        Some(Err(error)) => Came::Failure(error),
        None => Came::Nothing,
    }
}
