//! Every planted fault is found by the rules that should find it, and ordinary traces are left in peace.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use spanlake_analysis::breakdown::{Seen, ValueCounts, WEIGHT_ONE, breakdown};
use spanlake_analysis::{
    Baseline, Completeness, Confidence, Edge, EdgeCalls, History, Kind, NoHistory, Observed, Rule, SampledSlots,
    Settings, SiblingOrder, Trace, Traffic, UsualCalls, UsualTraffic, diagnose, from_otlp,
};
use spanlake_demo::{Fault, SERVICES, Shop, Story};

/// 2025-11-26 12:00:00 UTC.
const NOON: u64 = 1_764_158_400_000_000_000;
const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;

fn spans(story: &Story) -> impl Iterator<Item = &Span> {
    spans_of(&story.spans)
}

fn spans_of(messages: &[ResourceSpans]) -> impl Iterator<Item = &Span> {
    messages.iter().flat_map(|message| &message.scope_spans).flat_map(|scope| &scope.spans)
}

fn rules(story: &Story) -> BTreeSet<&'static str> {
    let traces = from_otlp(&story.spans);
    let [trace] = &traces[..] else { panic!("a story is one trace, not {}", traces.len()) };
    let diagnosis =
        diagnose(&trace.trace, &trace.attributes, &NoHistory, &Completeness::default(), &Settings::default());
    diagnosis.findings.iter().map(|finding| finding.rule.id()).collect()
}

#[test]
fn each_fault_raises_its_rule_and_ordinary_traces_raise_none() {
    let shop = Shop::new(1);
    let mut exact: BTreeMap<Fault, (usize, usize)> = BTreeMap::new();
    let mut others: BTreeMap<(Option<Fault>, String), usize> = BTreeMap::new();
    let (mut ordinary, mut false_alarms, mut failed) = (0, 0, 0);
    for story in shop.stories(NOON, NOON + HOUR) {
        let rules = rules(&story);
        let words: Vec<&str> = rules.iter().copied().collect();
        match story.fault {
            Some(fault) => {
                let (all, right) = exact.entry(fault).or_default();
                *all += 1;
                *right += usize::from(words == fault.rule().as_slice());
                if words != fault.rule().as_slice() {
                    *others.entry((story.fault, words.join(" "))).or_default() += 1;
                }
            }
            None => {
                let error = spans(&story).any(|span| span.status.as_ref().is_some_and(|status| status.code == 2));
                ordinary += 1;
                // A request that failed is to be found: that is no false alarm.
                failed += usize::from(error);
                false_alarms += usize::from(!error && !rules.is_empty());
                if !rules.is_empty() {
                    let root = spans(&story).find(|span| span.parent_span_id.is_empty()).expect("it has a root");
                    *others.entry((None, format!("{}: {}", root.name, words.join(" ")))).or_default() += 1;
                }
            }
        }
    }
    for (fault, (all, right)) in &exact {
        println!("{fault}: {right} of {all} raise exactly {:?}", fault.rule());
    }
    for ((fault, rules), count) in &others {
        println!("  {}: {count} raise [{rules}]", fault.map_or("ordinary", Fault::id));
    }
    println!("{false_alarms} of {ordinary} ordinary traces raise a false alarm; {failed} more failed");
    for fault in Fault::ALL {
        let (all, right) = exact.get(&fault).copied().unwrap_or_default();
        assert!(right > 0 && right * 2 >= all, "{fault}: {right} of {all} raise exactly {:?}", fault.rule());
    }
    assert!(false_alarms * 100 <= ordinary, "{false_alarms} of {ordinary}");
}

/// Text attributes of a span and its resource.
fn texts<'a>(message: &'a ResourceSpans, span: &'a Span) -> Vec<(&'a str, Seen<'a>)> {
    let resource = message.resource.iter().flat_map(|resource| &resource.attributes);
    let text = |attribute: &'a KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some((attribute.key.as_str(), Seen::Text(text.as_str()))),
        _ => None,
    };
    resource.chain(&span.attributes).filter_map(text).collect()
}

#[test]
fn the_bad_version_is_what_slow_payments_have_in_common() {
    let shop = Shop::new(1);
    let stories: Vec<Story> = shop.stories(NOON, NOON + HOUR).collect();
    let payments = || {
        let messages = stories.iter().flat_map(|story| &story.spans);
        let spans =
            messages.flat_map(|message| spans_of(std::slice::from_ref(message)).map(move |span| (message, span)));
        spans.filter(|(_, span)| span.name == "POST /authorize" && span.kind == 2)
    };
    let is_slow = |span: &Span| span.end_time_unix_nano - span.start_time_unix_nano > 500_000_000;
    let mut slow = ValueCounts::default();
    payments().filter(|(_, span)| is_slow(span)).for_each(|(message, span)| slow.add(WEIGHT_ONE, texts(message, span)));
    let mut rest = ValueCounts::beside(&slow);
    payments()
        .filter(|(_, span)| !is_slow(span))
        .for_each(|(message, span)| rest.add(WEIGHT_ONE, texts(message, span)));
    let found = breakdown(&slow, &rest, &[]);
    let at = |key: &str, value: &str| {
        found.differences.iter().position(|one| one.key == key && one.value.as_deref() == Some(value))
    };
    let version = at("service.version", "2.4.1").expect("the version is found");
    let region = at("cloud.region", "eu-west-1").expect("the region is found");
    assert!(found.differences[version].score > 0.8 && version < region, "{:#?}", found.differences);
}

#[test]
fn the_page_has_every_query() {
    let page = include_str!("../../docs/demo.md");
    for fault in Fault::ALL {
        assert!(page.contains(&format!("\n{}\n", fault.query())), "{fault}");
    }
}

#[test]
fn ranges_fit_together() {
    let whole: Vec<Story> = Shop::new(7).stories(NOON + 17, NOON + 3 * MINUTE).collect();
    let middle = NOON + MINUTE + 123_456_789;
    let shop = Shop::new(7);
    let parts: Vec<Story> = shop.stories(NOON + 17, middle).chain(shop.stories(middle, NOON + 3 * MINUTE)).collect();
    assert_eq!(parts, whole);
    let other: Vec<Story> = Shop::new(8).stories(NOON + 17, NOON + 3 * MINUTE).collect();
    assert_ne!(other, whole);
}

#[test]
fn an_hour_of_the_shop() {
    let shop = Shop::new(1);
    let (mut services, mut kinds, mut links, mut spans_seen, mut bytes, mut traces) =
        (BTreeSet::new(), BTreeSet::new(), 0, 0, 0, 0);
    let mut ids = BTreeSet::new();
    let mut linked = BTreeSet::new();
    for story in shop.stories(NOON, NOON + HOUR) {
        traces += 1;
        spans_seen += story.span_count;
        assert_eq!(story.span_count, spans(&story).count());
        for message in &story.spans {
            bytes += message.encoded_len();
            let name = message.resource.as_ref().and_then(|resource| resource.attributes.first()).expect("a name");
            services.insert(format!("{:?}", name.value));
        }
        for span in spans(&story) {
            kinds.insert(span.kind);
            assert!(span.end_time_unix_nano > span.start_time_unix_nano, "{} takes no time", span.name);
            assert!(ids.insert((span.trace_id.clone(), span.span_id.clone())), "an id came twice");
            links += span.links.len();
            linked.extend(span.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())));
        }
    }
    println!("an hour has {traces} traces, {spans_seen} spans, {bytes} bytes");
    assert_eq!(services.len(), SERVICES.len());
    assert_eq!(kinds, BTreeSet::from([1, 2, 3, 4, 5]));
    assert!((80_000..200_000).contains(&spans_seen), "{spans_seen}");
    assert!(links > 100 && linked.iter().filter(|link| ids.contains(*link)).count() > links * 9 / 10);
}

/// Service and name of a trace's root, its start, and the trace.
fn entries(stories: &[Story]) -> BTreeMap<(String, String), Vec<(u64, Trace)>> {
    let mut entries: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for story in stories {
        let trace = from_otlp(&story.spans).remove(0).trace;
        let (root, _) = trace.root().expect("it has spans");
        let entry = (trace.skeleton.service(root).to_owned(), trace.skeleton.name(root).to_owned());
        entries.entry(entry).or_default().push((story.start_unix_nanos, trace));
    }
    entries
}

/// What is known of an entry point at a moment: what was learned before, and what passes around.
struct Known<'a> {
    observed: &'a Observed,
    slots: &'a SampledSlots,
    around: Traffic,
}

impl History for Known<'_> {
    fn edge(&self, service: &str, name: &str) -> Option<EdgeCalls> {
        self.observed.edge(service, name)
    }
    fn usual_caller(&self, service: &str, name: &str) -> Option<String> {
        self.observed.usual_caller(service, name)
    }
    fn order(&self, trace: &Trace, first: u32, second: u32) -> Option<SiblingOrder> {
        self.observed.order(trace, first, second)
    }
    fn baseline(&self, service: &str, name: &str, kind: Kind) -> Option<&Baseline> {
        self.observed.baseline(service, name, kind)
    }
    fn usual_calls(&self, trace: &Trace, span: u32) -> Option<UsualCalls> {
        self.observed.usual_calls(trace, span)
    }
    fn traffic(&self) -> Option<&Traffic> {
        Some(&self.around)
    }
    fn usual_traffic(&self, edge: &Edge) -> Option<UsualTraffic> {
        self.slots.usual(edge, 1.0)
    }
}

#[test]
fn against_what_is_usual() {
    const SLOT: u64 = 5 * MINUTE;
    let shop = Shop::new(1);
    let before: Vec<Story> = shop.stories(NOON - 2 * HOUR, NOON).collect();
    let stories: Vec<Story> = shop.stories(NOON, NOON + HOUR).collect();
    let (before, now) = (entries(&before), entries(&stories));
    let mut raised: BTreeMap<(Option<Fault>, String), usize> = BTreeMap::new();
    let mut storms: BTreeMap<(bool, bool), usize> = BTreeMap::new();
    let (mut ordinary, mut false_alarms) = (0, 0);
    let learned: BTreeMap<_, (Observed, SampledSlots)> = before
        .iter()
        .map(|(entry, traces)| {
            let (mut observed, mut slots) = (Observed::default(), SampledSlots::default());
            traces.iter().take(300).for_each(|(_, trace)| observed.add(trace));
            for slot in 0..2 * HOUR / SLOT {
                let from = NOON - 2 * HOUR + slot * SLOT;
                let mut traffic = Traffic::default();
                let of_slot = traces.iter().filter(|(start, _)| (from..from + SLOT).contains(start));
                of_slot.for_each(|(_, trace)| traffic.add(trace));
                slots.push(traffic.entries, traffic);
            }
            (entry.clone(), (observed, slots))
        })
        .collect();
    for story in &stories {
        let trace = &from_otlp(&story.spans)[0];
        let (root, _) = trace.trace.root().expect("it has spans");
        let skeleton = &trace.trace.skeleton;
        let entry = (skeleton.service(root).to_owned(), skeleton.name(root).to_owned());
        let Some((observed, slots)) = learned.get(&entry) else { continue };
        let minute = story.start_unix_nanos / MINUTE * MINUTE;
        let mut around = Traffic::default();
        let there = now[&entry].iter().filter(|(start, _)| (minute - 2 * MINUTE..minute + 3 * MINUTE).contains(start));
        there.for_each(|(_, trace)| around.add(trace));
        let known = Known { observed, slots, around };
        let found =
            diagnose(&trace.trace, &trace.attributes, &known, &Completeness::default(), &Settings::default()).findings;
        let rules: BTreeSet<&str> = found.iter().map(|finding| finding.rule.id()).collect();
        let has = |rule: &str| rules.contains(rule);
        let error = spans(story).any(|span| span.status.as_ref().is_some_and(|status| status.code == 2));
        if story.fault.is_none() {
            ordinary += 1;
            // That calls are multiplied around it is true of an ordinary trace too.
            let alarms = rules.iter().filter(|rule| **rule != "retry-storm").count();
            false_alarms += usize::from(!error && alarms > 0);
        }
        let minute_of_hour = (story.start_unix_nanos - NOON) / MINUTE;
        if has("retry-storm") || entry.1 == "POST /checkout" {
            *storms.entry(((20..26).contains(&minute_of_hour), has("retry-storm"))).or_default() += 1;
            assert!(!has("retry-storm") || (18..28).contains(&minute_of_hour), "a storm in minute {minute_of_hour}");
        }
        if story.fault == Some(Fault::SequentialCalls) {
            let sure = found.iter().filter(|one| one.rule == Rule::SequentialCalls);
            assert!(sure.map(|one| one.confidence).eq([Confidence::High]), "{found:#?}");
        }
        if !rules.is_empty() {
            let words: Vec<&str> = rules.into_iter().collect();
            *raised.entry((story.fault, words.join(" "))).or_default() += 1;
        }
    }
    for ((fault, rules), count) in &raised {
        println!("  {}: {count} raise [{rules}]", fault.map_or("ordinary", Fault::id));
    }
    println!("{false_alarms} of {ordinary} ordinary traces raise a false alarm; (in the storm, told): {storms:?}");
    let of = |key| storms.get(&key).copied().unwrap_or(0);
    assert!(of((true, true)) > 3 * of((true, false)), "most of the storm is told: {storms:?}");
    assert!(false_alarms * 100 <= ordinary, "{false_alarms} of {ordinary}");
}
