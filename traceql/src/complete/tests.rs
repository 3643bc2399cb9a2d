//! Cursors in unfinished queries and what is offered there. `^` marks the cursor.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Completion, CompletionKind, complete};
use crate::{Field, Scope};

fn at_mark(marked: &str) -> (String, Completion) {
    let cursor = marked.find('^').expect("a mark for the cursor");
    let text = marked.replacen('^', "", 1);
    let completion = complete(&text, cursor);
    (text, completion)
}

/// Offered are `kinds`, to replace `replaced` after `prefix`, and candidates that contain every one of `some`.
fn check(marked: &str, kinds: &[CompletionKind], replaced: &str, prefix: &str, some: &[&str]) {
    let (text, completion) = at_mark(marked);
    assert_eq!(completion.kinds, kinds, "{marked}");
    assert_eq!(&text[completion.range.clone()], replaced, "{marked}");
    assert_eq!(completion.prefix, prefix, "{marked}");
    for word in some {
        assert!(
            completion.candidates.iter().any(|candidate| candidate == word),
            "{marked}: {:?}",
            completion.candidates
        );
    }
}

fn attributes(scope: Scope) -> CompletionKind {
    CompletionKind::Attributes { of_parent: false, scope }
}

fn values(field: &str) -> CompletionKind {
    CompletionKind::Values(Field::parse(field).expect("a field"))
}

#[test]
fn conditions() {
    use CompletionKind::{Intrinsics, Keywords, Operators};
    let names = [attributes(Scope::Any), Intrinsics, Keywords];
    check("^", &[Keywords], "", "", &["{ "]);
    check("{^", &names, "", "", &["resource.", "span.", "duration", "status", "true"]);
    check("{ ^ }", &names, "", "", &["duration"]);
    check("{ dur^", &names, "dur", "dur", &["duration"]);
    check("{ dur^ation > 1s }", &names, "duration", "dur", &["duration"]);
    check("{ sta^ }", &names, "sta", "sta", &["status", "statusMessage"]);
    check("{ res^", &names, "res", "res", &["resource."]);
    check("{ span^", &names, "span", "span", &["span.", "span:id", "span:name"]);
    check("{ span:^", &[Intrinsics], "span:", "span:", &["span:id", "span:duration"]);
    check("{ span:na^", &[Intrinsics], "span:na", "span:na", &["span:name"]);
    check("{ span.^", &[attributes(Scope::Span)], "span.", "span.", &[]);
    check("{ span.ht^ }", &[attributes(Scope::Span)], "span.ht", "span.ht", &[]);
    check("{ span.ht^tp.method = 1 }", &[attributes(Scope::Span)], "span.http.method", "span.ht", &[]);
    check("{ resource.^ = 1 }", &[attributes(Scope::Resource)], "resource.", "resource.", &[]);
    check("{ .^", &[attributes(Scope::Any)], ".", ".", &[]);
    check("{ .a^", &[attributes(Scope::Any)], ".a", ".a", &[]);
    let of_parent = |scope| [CompletionKind::Attributes { of_parent: true, scope }];
    check("{ parent.^", &of_parent(Scope::Any), "parent.", "parent.", &["parent.span.", "parent.resource."]);
    check("{ parent.span.x^", &of_parent(Scope::Span), "parent.span.x", "parent.span.x", &[]);
    check("{ .a = 1 && ^", &names, "", "", &["duration"]);
    check("{ .a = 1 && (^", &names, "", "", &["duration"]);
    check("{ !^", &names, "", "", &["duration"]);
    check("{ .a ^", &[Operators, Keywords], "", "", &["=", "=~", "&&", "}"]);
    check("{ status ^", &[Operators, Keywords], "", "", &["=", "!=", "}"]);
    check("{ (duration ^", &[Operators, Keywords], "", "", &[">", "+", ")"]);
    check("{ .a = 1 ^", &[Operators, Keywords], "", "", &["&&", "||", "}"]);
    check("{ (.a = 1) ^", &[Operators, Keywords], "", "", &["&&", "||", "}"]);
    check("{ .a = .b ^", &[Operators, Keywords], "", "", &["&&", "||", "}"]);
    check("{ .a = \"x\"^", &[Operators, Keywords], "", "", &["&&", "||", "}"]);
    check("{ 1 + ^", &[attributes(Scope::Any), Intrinsics, Keywords], "", "", &["duration"]);
}

#[test]
fn what_is_compared_with() {
    use CompletionKind::Keywords;
    check("{ status = ^ }", &[values("status"), Keywords], "", "", &["error", "ok", "unset"]);
    check("{ status = e^ }", &[values("status"), Keywords], "e", "e", &["error"]);
    check("{ kind=^", &[values("kind"), Keywords], "", "", &["server", "client"]);
    check("{ span:kind != s^", &[values("kind"), Keywords], "s", "s", &["server"]);
    check("{ name = ^", &[values("name")], "", "", &[]);
    check("{ name = \"GE^", &[values("name")], "\"GE", "GE", &[]);
    check("{ name = \"GE^T /\" }", &[values("name")], "\"GET /\"", "GE", &[]);
    check("{ name = \"GE^ }", &[values("name")], "\"GE", "GE", &[]);
    check("{ resource.service.name = ^", &[values("resource.service.name"), Keywords], "", "", &["nil"]);
    check("{ .a =~ \"x^", &[values(".a")], "\"x", "x", &[]);
    check("{ span.\"a b\" = ^", &[values("span.\"a b\""), Keywords], "", "", &["true", "nil"]);
    check("{ duration > 10^", &[values("duration")], "10", "10", &[]);
    check("{ duration > 10m^", &[values("duration")], "10m", "10m", &[]);
    check("{ .a = 1 && .b = tr^ }", &[values(".b"), Keywords], "tr", "tr", &["true"]);
}

#[test]
fn stages() {
    use CompletionKind::{Aggregates, Hints, Intrinsics, Keywords, MetricsFunctions, Operators, PipelineStages};
    check("{}^", &[Operators, Keywords], "", "", &["&&", ">>", "|", "with("]);
    check("{} && ^", &[Keywords], "", "", &["{ ", "("]);
    check("{} >> ^", &[Keywords], "", "", &["{ "]);
    check("({}^", &[Operators, Keywords], "", "", &["&&", "|", ")"]);
    let stages = [Aggregates, PipelineStages, MetricsFunctions, Keywords];
    check("{} | ^", &stages, "", "", &["count()", "by(", "rate()", "select("]);
    check("{} | ra^", &stages, "ra", "ra", &["rate()"]);
    check("{} | co^", &stages, "co", "co", &["count()", "coalesce()", "count_over_time()", "compare("]);
    check("({} | ^", &[Aggregates, PipelineStages, Keywords], "", "", &["count()"]);
    check("{} | count() ^", &[Operators], "", "", &[">", "="]);
    check("{} | count() > ^", &[Aggregates], "", "", &["max("]);
    check("{} | count() > 2 ^", &[Keywords], "", "", &["|", "with("]);
    check("{} | avg(^", &[attributes(Scope::Any), Intrinsics], "", "", &["duration"]);
    check("{} | avg(dur^)", &[attributes(Scope::Any), Intrinsics], "dur", "dur", &["duration"]);
    check("{} | avg(duration ^", &[Operators, Keywords], "", "", &["+", ")"]);
    check("{} | by(^", &[attributes(Scope::Any), Intrinsics, Keywords], "", "", &["name"]);
    check("{} | by(.a) ^", &[Keywords], "", "", &["|", "with("]);
    check("{} | select(.a, ^", &[attributes(Scope::Any), Intrinsics], "", "", &["status"]);
    check("{} | select(.a ^", &[Keywords], "", "", &[", ", ")"]);
    check("{} | rate() ^", &[Keywords, Operators], "", "", &["by(", ">", "|", "with("]);
    check("{} | rate() by(^", &[attributes(Scope::Any), Intrinsics], "", "", &["name"]);
    check("{} | rate() by(resource.^)", &[attributes(Scope::Resource)], "resource.", "resource.", &[]);
    check("{} | rate() by(.a) ^", &[Operators, Keywords], "", "", &[">", "|"]);
    check("{} | rate() | ^", &[PipelineStages], "", "", &["topk(", "bottomk("]);
    check("{} | rate() | topk(^", &[], "", "", &[]);
    check("{} | rate() | topk(3) ^", &[Operators, Keywords], "", "", &[">", "|"]);
    check("{} | max_over_time(^", &[attributes(Scope::Any), Intrinsics], "", "", &["duration"]);
    check("{} | quantile_over_time(duration, ^", &[], "", "", &[]);
    check("{} | compare(^", &[Keywords], "", "", &["{ "]);
    check("{} | compare({ ^", &[attributes(Scope::Any), Intrinsics, Keywords], "", "", &["status"]);
    check("{} | compare({}) ^", &[Keywords], "", "", &["with("]);
    check("{} with(^", &[Hints], "", "", &["most_recent=true", "sample=true"]);
    check("{} with(most^", &[Hints], "most", "most", &["most_recent=true"]);
    check("{} with(sample ^", &[Keywords], "", "", &["="]);
    check("{} with(sample=^", &[Keywords], "", "", &["true", "false"]);
    check("{} with(sample=true ^", &[Keywords], "", "", &[", ", ")"]);
    check("{} with(sample=true, ^", &[Hints], "", "", &["exemplars="]);
    check("{} | by ^", &[Keywords], "", "", &["("]);
}

#[test]
fn comments_are_left_alone() {
    for marked in ["{ // .a ^", "// ^", "{ /* .^", "/*^"] {
        check(marked, &[], "", "", &[]);
    }
    for marked in ["// x\n^", "// x\n  ^", "/* x */^", "/* // */ ^", "{} /* x */ | // y\n ^", "{ .a//^"] {
        assert!(!at_mark(marked).1.kinds.is_empty(), "{marked}");
    }
}

#[test]
fn only_candidates_that_fit_are_offered() {
    assert_eq!(at_mark("{ status = e^ }").1.candidates, ["error"]);
    assert_eq!(at_mark("{} | ra^").1.candidates, ["rate()"]);
    assert_eq!(at_mark("{ NEST^").1.candidates, ["nestedSetLeft", "nestedSetRight", "nestedSetParent"]);
    assert_eq!(at_mark("{ span.^").1.candidates, Vec::<String>::new());
    let numbers = at_mark("{} | avg(^").1.candidates;
    assert!(!numbers.contains(&"name".to_owned()), "{numbers:?}");
}

const FRAGMENTS: [&str; 26] = [
    "{", "}", "(", ")", ",", "|", "&&", "=", "=~", ".a", "span.", "span:i", "status", "1", "\"x", "\"x\"", "`",
    "count", "by", "rate()", "with", "/*", "//", "\n", "é", " ",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cursor_is_taken(text in any::<String>(), cursor in 0_usize..100) {
        let completion = complete(&text, cursor);
        prop_assert!(text.get(completion.range).is_some());
        complete(&text, usize::MAX);
    }

    #[test]
    fn any_words_are_taken(words in vec(select(FRAGMENTS.to_vec()), 0..12), cursor in 0_usize..40) {
        let text = words.concat();
        let completion = complete(&text, cursor);
        prop_assert!(completion.range.start <= cursor);
        prop_assert!(text.get(completion.range).is_some());
    }
}
