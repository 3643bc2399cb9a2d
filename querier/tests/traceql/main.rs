//! The engine over blocks against the reference over plain spans: random traces, random spread over blocks, random
//! queries.
//!
//! `SPANLAKE_TEST_CASES` sets how many worlds are made for each test, `SPANLAKE_TEST_SEED` the first of them. A
//! failure names the
//! seed, the query, and the fewest spans found with which engine and reference still differ.

mod answers;
mod comparing;
mod overview;
mod question;
mod shrink;
mod world;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use comparing::Comparing;
use overview::Overview;
use question::Question;
use world::{Layout, World};

/// Worlds of each test; a world costs about as much as its queries.
const DEFAULT_CASES: u64 = 120;
const QUESTIONS_PER_WORLD: usize = 6;

#[test]
fn searches_answer_as_the_reference_does() {
    check("searches_answer_as_the_reference_does", Question::search);
}

#[test]
fn metrics_queries_answer_as_the_reference_does() {
    check("metrics_queries_answer_as_the_reference_does", Question::metrics);
}

#[test]
fn overviews_count_what_a_slow_count_does() {
    let (runtime, seeds) = begin("overviews_count_what_a_slow_count_does");
    for seed in seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let layout = Layout::random(&mut rng);
        let overview = Overview::random(&mut rng);
        let outcome = runtime.block_on(async {
            let world = World::new(&layout).await;
            overview.difference(&world, &layout).await
        });
        if let Err(difference) = outcome {
            panic!("{difference}\n\n{overview:?}\n\nrepeat with SPANLAKE_TEST_SEED={seed} SPANLAKE_TEST_CASES=1");
        }
    }
}

#[test]
fn comparisons_count_what_a_slow_count_does() {
    let (runtime, seeds) = begin("comparisons_count_what_a_slow_count_does");
    for seed in seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let layout = Layout::random(&mut rng);
        let comparing = Comparing::random(&mut rng);
        let outcome = runtime.block_on(async {
            let world = World::new(&layout).await;
            comparing.difference(&world, &layout).await
        });
        if let Err(difference) = outcome {
            panic!("{difference}\n\n{comparing:?}\n\nrepeat with SPANLAKE_TEST_SEED={seed} SPANLAKE_TEST_CASES=1");
        }
    }
}

fn begin(test: &str) -> (tokio::runtime::Runtime, impl Iterator<Item = u64>) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("SPANLAKE_TEST_SEED").unwrap_or_else(rand::random);
    let cases = number("SPANLAKE_TEST_CASES").unwrap_or(DEFAULT_CASES);
    println!("{test}: SPANLAKE_TEST_SEED={first}");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    (runtime, (0..cases).map(move |case| first.wrapping_add(case)))
}

fn check(test: &str, ask: impl Fn(&mut StdRng) -> Question) {
    let (runtime, seeds) = begin(test);
    for seed in seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let layout = Layout::random(&mut rng);
        let questions: Vec<Question> = (0..QUESTIONS_PER_WORLD).map(|_| ask(&mut rng)).collect();
        let failed = runtime.block_on(async {
            let world = World::new(&layout).await;
            for question in &questions {
                if question.difference(&world, &layout).await.is_some() {
                    return Some(question.clone());
                }
            }
            None
        });
        if let Some(question) = failed {
            let (layout, difference) = runtime.block_on(shrink::shrink(layout, &question));
            panic!(
                "{difference}\n\n{question}\n\n{layout}\nrepeat with SPANLAKE_TEST_SEED={seed} SPANLAKE_TEST_CASES=1"
            );
        }
    }
}
