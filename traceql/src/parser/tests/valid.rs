//! Queries that read, each with its canonical text.

use super::check;

/// Conditions between braces.
fn check_condition(text: &str, canonical: &str) {
    check(&format!("{{ {text} }}"), &format!("{{ {canonical} }}"));
    check(&format!("{{{text}}}"), &format!("{{ {canonical} }}"));
}

/// What already is canonical.
fn check_all(texts: &[&str]) {
    for text in texts {
        check(text, text);
    }
}

#[test]
fn filters() {
    check("{}", "{}");
    check("{ }", "{}");
    check("  {\n\t}  ", "{}");
    check("{ true }", "{ true }");
    check("{ // a comment with } in it\n .a /* and { another */ = 1 }", "{ .a = 1 }");
    check("{}//", "{}");
    check("{}/**/", "{}");
}

#[test]
fn intrinsics() {
    for (text, canonical) in [
        ("duration > 1s", "duration > 1s"),
        ("span:duration > 1s", "duration > 1s"),
        ("name = \"x\"", "name = \"x\""),
        ("span:name = \"x\"", "name = \"x\""),
        ("status = error", "status = error"),
        ("span:status != ok", "status != ok"),
        ("status = unset", "status = unset"),
        ("statusMessage =~ \"x.*\"", "statusMessage =~ \"x.*\""),
        ("span:statusMessage = \"x\"", "statusMessage = \"x\""),
        ("kind = server", "kind = server"),
        ("kind=server", "kind = server"),
        ("span:kind = client", "kind = client"),
        ("kind = internal", "kind = internal"),
        ("kind = producer", "kind = producer"),
        ("kind = consumer", "kind = consumer"),
        ("kind = unspecified", "kind = unspecified"),
        ("rootName = \"x\"", "rootName = \"x\""),
        ("trace:rootName = \"x\"", "rootName = \"x\""),
        ("rootServiceName = \"x\"", "rootServiceName = \"x\""),
        ("trace:rootService = \"x\"", "rootServiceName = \"x\""),
        ("traceDuration > 2m", "traceDuration > 2m0s"),
        ("trace:duration > 2m", "traceDuration > 2m0s"),
        ("trace:id = \"00ab\"", "trace:id = \"00ab\""),
        ("span:id = \"ab\"", "span:id = \"ab\""),
        ("span:parentID = \"ab\"", "span:parentID = \"ab\""),
        ("span:childCount > 2", "span:childCount > 2"),
        ("event:name = \"exception\"", "event:name = \"exception\""),
        ("event:timeSinceStart > 2ms", "event:timeSinceStart > 2ms"),
        ("link:traceID = \"a\"", "link:traceID = \"a\""),
        ("link:spanID = \"a\"", "link:spanID = \"a\""),
        ("instrumentation:name = \"a\"", "instrumentation:name = \"a\""),
        ("instrumentation:version = \"a\"", "instrumentation:version = \"a\""),
        ("nestedSetParent<0", "nestedSetParent < 0"),
        ("nestedSetLeft = 1", "nestedSetLeft = 1"),
        ("nestedSetRight >= 1", "nestedSetRight >= 1"),
    ] {
        check_condition(text, canonical);
    }
}

#[test]
fn attributes() {
    for (text, canonical) in [
        (".a", ".a"),
        (".a=1", ".a = 1"),
        ("span.http.status_code >= 500", "span.http.status_code >= 500"),
        ("resource.service.name=\"cart\"", "resource.service.name = \"cart\""),
        ("event.exception.message != nil", "event.exception.message != nil"),
        ("link.x = 1", "link.x = 1"),
        ("instrumentation.x = 1", "instrumentation.x = 1"),
        ("parent.x = 1", "parent.x = 1"),
        ("parent.span.x = 1", "parent.span.x = 1"),
        ("parent.resource.service.name = \"a\"", "parent.resource.service.name = \"a\""),
        ("parent.\"span.x\" = 1", "parent.\"span.x\" = 1"),
        ("parent.event.x = 1", "parent.event.x = 1"),
        ("parent.spanner = 1", "parent.spanner = 1"),
        (".parent.x", ".parent.x"),
        ("span.span.x", "span.span.x"),
        (".a+.b", ".a+.b"),
        (".a-1", ".a-1"),
        (".a*b/c%d:e", ".a*b/c%d:e"),
        (".a/*b", ".a/*b"),
        (".http://x", ".http://x"),
        (".größe = 1", ".größe = 1"),
        (".日本", ".日本"),
        ("span.\"name with {}\" = 1", "span.\"name with {}\" = 1"),
        ("span.a.\"b c\" = 1", "span.\"a.b c\" = 1"),
        ("span.\"a b\".c = 1", "span.\"a b.c\" = 1"),
        ("span.\"plain\" = 1", "span.plain = 1"),
        (".\"a\\\"b\\\\c\" = 1", ".\"a\\\"b\\\\c\" = 1"),
        (".\"9lives\" = 1", ".\"9lives\" = 1"),
        ("span.9lives = 1", "span.9lives = 1"),
        ("parent.9lives = 1", "parent.9lives = 1"),
        (".a\\b = 1", ".\"a\\\\b\" = 1"),
        ("..a = 1", "..a = 1"),
        (".duration = 1", ".duration = 1"),
        ("span.name = 1", "span.name = 1"),
        (".a[0] = 1", ".a[0] = 1"),
        (".it's = 1", ".it's = 1"),
        ("!.a", "!.a"),
        ("(.a)=1", ".a = 1"),
    ] {
        check_condition(text, canonical);
    }
}

#[test]
fn literals() {
    for (text, canonical) in [
        (".a = \"x\"", ".a = \"x\""),
        (".a = \"\"", ".a = \"\""),
        (".a = \"tab\\tquote\\\"back\\\\slash\\n\"", ".a = \"tab\\tquote\\\"back\\\\slash\\n\""),
        (".a = \"\\a\\b\\f\\v\\r\"", ".a = \"\\u0007\\u0008\\u000c\\u000b\\r\""),
        (".a = \"\\x41\\101\\u00e9\\U0001F600\"", ".a = \"AAé😀\""),
        (".a = \"\\xc3\\xa9\"", ".a = \"é\""),
        (".a = `raw \\d+ \"quoted\"`", ".a = \"raw \\\\d+ \\\"quoted\\\"\""),
        (".a = `two\nlines`", ".a = \"two\\nlines\""),
        (".a = \"// no comment /*\"", ".a = \"// no comment /*\""),
        (".a = 0", ".a = 0"),
        (".a = 007", ".a = 7"),
        (".a = -1", ".a = -1"),
        (".a = - 1", ".a = -1"),
        (".a = --1", ".a = 1"),
        (".a = 9223372036854775807", ".a = 9223372036854775807"),
        (".a = maxInt", ".a = 9223372036854775807"),
        (".a = minInt", ".a = minInt"),
        (".a = minInt % -1", ".a = 0"),
        (".a = maxInt + 1", ".a = 9223372036854775807 + 1"),
        (".a = 2 ^ 64", ".a = 2 ^ 64"),
        (".a = 2 ^ 5000000000", ".a = 2 ^ 5000000000"),
        (".a = minInt / -1", ".a = minInt / (-1)"),
        (".a = -maxInt", ".a = -9223372036854775807"),
        (".a = 1.5", ".a = 1.5"),
        (".a = 1.0", ".a = 1.0"),
        (".a = 1.", ".a = 1.0"),
        (".a = .5", ".a = 0.5"),
        (".a = 1e3", ".a = 1000.0"),
        (".a = 1E+3", ".a = 1000.0"),
        (".a = 1.5e-7", ".a = 1.5e-7"),
        (".a = 1e300", ".a = 1e300"),
        (".a = -0.25", ".a = -0.25"),
        (".a = true", ".a = true"),
        (".a = false", ".a = false"),
        (".a = nil", ".a = nil"),
        (".a != nil", ".a != nil"),
        ("nil != .a", "nil != .a"),
        ("name != nil", "name != nil"),
        ("resource.service.name != nil", "resource.service.name != nil"),
        ("span.service.name = nil", "span.service.name = nil"),
        ("parent.resource.service.name = nil", "parent.resource.service.name = nil"),
        (".a = error", ".a = error"),
        (".a = server", ".a = server"),
    ] {
        check_condition(text, canonical);
    }
}

#[test]
fn durations() {
    for (text, canonical) in [
        ("1ns", "1ns"),
        ("10us", "10µs"),
        ("10µs", "10µs"),
        ("10μs", "10µs"),
        ("1500us", "1.5ms"),
        ("1.5ms", "1.5ms"),
        ("0.5ms", "500µs"),
        (".5s", "500ms"),
        ("100ms", "100ms"),
        ("1s", "1s"),
        ("1.000000001s", "1.000000001s"),
        ("1.0000000019s", "1.000000001s"),
        ("90s", "1m30s"),
        ("5m", "5m0s"),
        ("1h30m", "1h30m0s"),
        ("30m1h", "1h30m0s"),
        ("1.5h", "1h30m0s"),
        ("1d", "24h0m0s"),
        ("2w", "336h0m0s"),
        ("1y", "8760h0m0s"),
        ("1y2w3d4h5m6s7ms", "9172h5m6.007s"),
        ("1s500ms", "1.5s"),
        ("1s1us", "1.000001s"),
        ("0s", "0s"),
        ("-5s", "-5s"),
        ("9223372036854775807ns", "2562047h47m16.854775807s"),
    ] {
        check_condition(&format!("duration = {text}"), &format!("duration = {canonical}"));
    }
}

#[test]
fn precedence() {
    for (text, canonical) in [
        // `&&` and `||` are on one level.
        (".a || .b && .c", ".a || .b && .c"),
        ("(.a || .b) && .c", ".a || .b && .c"),
        (".a || (.b && .c)", ".a || (.b && .c)"),
        (".a && (.b || .c)", ".a && (.b || .c)"),
        ("(.a && .b) || .c", ".a && .b || .c"),
        (".a && (.b && .c)", ".a && (.b && .c)"),
        (".a = 1 && .b = 2", ".a = 1 && .b = 2"),
        (".a = .b = .c", ".a = .b = .c"),
        (".a = (.b = .c)", ".a = (.b = .c)"),
        (".a = .b + .c", ".a = .b + .c"),
        ("(.a = .b) = true", ".a = .b = true"),
        (".a + .b * .c > 0", ".a + .b * .c > 0"),
        ("(.a + .b) * .c > 0", "(.a + .b) * .c > 0"),
        (".a * .b + .c > 0", ".a * .b + .c > 0"),
        (".a - .b - .c > 0", ".a - .b - .c > 0"),
        (".a - (.b - .c) > 0", ".a - (.b - .c) > 0"),
        (".a - (.b + .c) > 0", ".a - (.b + .c) > 0"),
        (".a / .b * .c % .d > 0", ".a / .b * .c % .d > 0"),
        (".a ^ .b ^ .c > 0", ".a ^ .b ^ .c > 0"),
        (".a ^ (.b ^ .c) > 0", ".a ^ .b ^ .c > 0"),
        ("(.a ^ .b) ^ .c > 0", "(.a ^ .b) ^ .c > 0"),
        (".a * .b ^ .c > 0", ".a * .b ^ .c > 0"),
        ("(.a * .b) ^ .c > 0", "(.a * .b) ^ .c > 0"),
        // `!` holds tighter than `+` and comparisons.
        ("!.a = .b", "!.a = .b"),
        ("(!.a) = .b", "!.a = .b"),
        ("!(.a = .b)", "!(.a = .b)"),
        ("!.a && .b", "!.a && .b"),
        ("!(.a && .b)", "!(.a && .b)"),
        ("!!.a", "!!.a"),
        // A minus sign holds as tightly as a difference: products are inside of it.
        ("-.a + .b > 0", "-.a + .b > 0"),
        ("-(.a + .b) > 0", "-(.a + .b) > 0"),
        ("-.a * .b > 0", "-.a * .b > 0"),
        ("-(.a * .b) > 0", "-.a * .b > 0"),
        ("(-.a) * .b > 0", "(-.a) * .b > 0"),
        ("-.a ^ .b > 0", "-.a ^ .b > 0"),
        ("(-1) ^ .b > 0", "(-1) ^ .b > 0"),
        ("-1 ^ .b > 0", "-1 ^ .b > 0"),
        (".a * -.b > 0", ".a * (-.b) > 0"),
        (".a + -1 > 0", ".a + (-1) > 0"),
        (".a ^ -1 > 0", ".a ^ (-1) > 0"),
        ("--.a > 0", "--.a > 0"),
        (".a > -.b", ".a > -.b"),
        ("-1 + .a > 0", "-1 + .a > 0"),
        ("minInt ^ .a > 0", "minInt ^ .a > 0"),
        ("1s + duration > 2s", "1s + duration > 2s"),
        ("duration / 2 > traceDuration * 0.1", "duration / 2 > traceDuration * 0.1"),
        ("duration > 1000", "duration > 1000"),
        ("span:childCount * 2 > 4.5", "span:childCount * 2 > 4.5"),
        ("\"a\" = .b", "\"a\" = .b"),
        ("name > \"a\" && name <= \"b\"", "name > \"a\" && name <= \"b\""),
        ("name =~ `a|b`", "name =~ \"a|b\""),
        (".a !~ \"\\\\d+\"", ".a !~ \"\\\\d+\""),
        ("name =~ \"/users/{id}\"", "name =~ \"/users/{id}\""),
        ("\"a\" =~ \"b\"", "\"a\" =~ \"b\""),
        (".a!=1&&.b>=2||.c<=3", ".a != 1 && .b >= 2 || .c <= 3"),
        (".a=~\"x\"", ".a =~ \"x\""),
        (".a!~\"x\"", ".a !~ \"x\""),
        (".a=-1", ".a = -1"),
        (".a=!.b", ".a = !.b"),
    ] {
        check_condition(text, canonical);
    }
}

#[test]
fn constants_fold() {
    for (text, canonical) in [
        (".a = 1 + 2", ".a = 3"),
        (".a = 2 ^ 3", ".a = 8"),
        (".a = 2 ^ 3 ^ 2", ".a = 512"),
        (".a = 2 ^ -1", ".a = 0.5"),
        (".a = -2 ^ 2", ".a = -4"),
        (".a = (-2) ^ 2", ".a = 4"),
        (".a = 7 / 2", ".a = 3"),
        (".a = -7 / 2", ".a = -3"),
        (".a = 7 % 4", ".a = 3"),
        (".a = 7.0 / 2", ".a = 3.5"),
        (".a = 7 % 2.5", ".a = 2.0"),
        (".a = 10 - 2 - 3", ".a = 5"),
        (".a = 2 * (3 + 4)", ".a = 14"),
        (".a = 1.0 / 0.0", ".a = 1.0 / 0.0"),
        (".a = 1.0 / 0", ".a = 1.0 / 0"),
        (".a = 1s + 500ms", ".a = 1.5s"),
        (".a = 1s - 2s", ".a = -1s"),
        (".a = 2 * 1s", ".a = 2s"),
        (".a = 1s * 2", ".a = 2s"),
        (".a = 3s / 2", ".a = 1.5s"),
        (".a = 5s / 2s", ".a = 2"),
        (".a = 1s + 1", ".a = 1.000000001s"),
        ("1 = 1", "true"),
        ("1 = 1.0", "true"),
        ("1s = 1000000000", "true"),
        ("1 != 1", "false"),
        ("1 < 2 && 2 <= 2 && 3 > 2 && 2 >= 3", "false"),
        ("\"a\" = \"a\"", "true"),
        ("\"a\" < \"b\"", "true"),
        ("true && false", "false"),
        ("true || false", "true"),
        ("true = true", "true"),
        ("!true", "false"),
        ("!(1 = 2)", "true"),
        ("nil = nil", "false"),
        ("nil != nil", "false"),
        ("1 = nil", "false"),
        ("1 != nil", "true"),
        ("ok = ok", "true"),
        ("ok != error", "true"),
        ("server = client", "false"),
        (".a && 1 = 1", ".a && true"),
        (".a + 1 + 2 = 3", ".a + 1 + 2 = 3"),
        ("-(-1) = 1", "true"),
        ("-(-.a) = 1", "--.a = 1"),
    ] {
        check_condition(text, canonical);
    }
}

#[test]
fn spansets() {
    check_all(&[
        "{ .a } && { .b }",
        "{ .a } || { .b }",
        "{ .a } > { .b }",
        "{ .a } >> { .b }",
        "{ .a } < { .b }",
        "{ .a } << { .b }",
        "{ .a } ~ { .b }",
        "{ .a } !> { .b }",
        "{ .a } !>> { .b }",
        "{ .a } !< { .b }",
        "{ .a } !<< { .b }",
        "{ .a } !~ { .b }",
        "{ .a } &> { .b }",
        "{ .a } &>> { .b }",
        "{ .a } &< { .b }",
        "{ .a } &<< { .b }",
        "{ .a } &~ { .b }",
        "{ .a } && { .b } || { .c }",
        "{ .a } && ({ .b } || { .c })",
        "{ .a } && { .b } > { .c }",
        "({ .a } && { .b }) > { .c }",
        "{ .a } > { .b } && { .c }",
        "{ .a } > ({ .b } && { .c })",
        "{ .a } > { .b } >> { .c }",
        "{ .a } > ({ .b } >> { .c })",
        "({ .a } | count() > 2) && ({ .b } | avg(duration) > 1s)",
        "({ .a } | by(.b)) >> { .c }",
        "{} && {}",
    ]);
    check("({ .a })", "{ .a }");
    check("(({ .a }) && (({ .b })))", "{ .a } && { .b }");
    check("({ .a } && { .b }) || { .c }", "{ .a } && { .b } || { .c }");
    check("{ .a }&&{ .b }", "{ .a } && { .b }");
    check("{.a}>>{.b}", "{ .a } >> { .b }");
    check("{.a}!~{.b}", "{ .a } !~ { .b }");
    check("(({ .a } | count() > 2))", "({ .a } | count() > 2)");
    check("({ .a } | count() > 2) | avg(duration) > 1s", "({ .a } | count() > 2) | avg(duration) > 1s");
    check("(count() > 2) && { .a }", "({} | count() > 2) && { .a }");
    check("((count() > 2)) && { .a }", "({} | count() > 2) && { .a }");
}

#[test]
fn pipelines() {
    check_all(&[
        "{} | count() > 2",
        "{} | 2 < count()",
        "{} | count() = 2 | avg(duration) != 1s",
        "{} | min(duration) >= 1.5ms",
        "{} | max(.a) <= 5",
        "{} | sum(span.bytes) > 1.5",
        "{} | avg(.a + .b) > -5",
        "{} | avg(-.a) > -5s",
        "{} | by(resource.service.name)",
        "{} | by(resource.service.name) | count() > 2",
        "{} | by(.a = 1)",
        "{} | by(.a) | by(.b) | coalesce()",
        "{} | select(.a)",
        "{} | select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)",
        "{} | select(span.\"a b\", event.exception.type)",
        "{ .a } | { .b }",
        "{ .a } | { .b } > { .c } | count() > 2",
        "{} | count() > sum(.a)",
        "{} | max(duration) - min(duration) > 1s",
        "{} | (count() + 1) * 2 > 10",
        "{} | sum(.a) / count() > 10",
        "{} | 2 * count() ^ 2 > 10",
        "{} | sum(duration) % (2 + count()) > 10",
        "{} | max(duration) > 2 * avg(duration)",
    ]);
    check("count() > 2", "{} | count() > 2");
    check("(count() + 1) > 2", "{} | count() + 1 > 2");
    check("1 < count()", "{} | 1 < count()");
    check("by(.a) | count() > 2", "{} | by(.a) | count() > 2");
    check("{}|count()>2", "{} | count() > 2");
    check("{}|count()>2|by(.a)|coalesce( )|select(.a,.b)", "{} | count() > 2 | by(.a) | coalesce() | select(.a, .b)");
    check("{} | count() > 1 + 2", "{} | count() > 3");
    check("{} | (count()) > (2)", "{} | count() > 2");
    check("{} | ((count() + 1)) > 2", "{} | count() + 1 > 2");
    check("{} | count() > - 2", "{} | count() > -2");
    check("{} | select(span:name)", "{} | select(name)");
    check("{} | count() < maxInt", "{} | count() < 9223372036854775807");
    check("{} | (count() > 2)", "{} | ({} | count() > 2)");
}

#[test]
fn metrics() {
    check_all(&[
        "{} | rate()",
        "{} | rate() by(resource.service.name)",
        "{} | rate() by(.a, span.b, resource.c, name, status)",
        "{} | count_over_time()",
        "{} | count_over_time() by(name)",
        "{} | min_over_time(duration)",
        "{} | max_over_time(span.a)",
        "{} | sum_over_time(.a) by(kind)",
        "{} | avg_over_time(traceDuration)",
        "{} | quantile_over_time(duration, 0.9)",
        "{} | quantile_over_time(duration, 0.0, 0.5, 0.99, 1.0) by(.a, .b, .c, .d)",
        "{} | histogram_over_time(duration) by(.a)",
        "{} | compare({ status = error }, 10)",
        "{} | compare({}, 3)",
        "{} | compare({ .a || .b }, 10, 1700000000000000000, 1700000001000000000)",
        "{} | rate() | topk(10)",
        "{} | rate() by(.a) | bottomk(3)",
        "{} | rate() by(.a) > 10.0",
        "{} | rate() by(.a) > 10.0 | topk(5) <= 0.5 != 3.0",
        "{} | rate() = -1.0",
        "{ .a } && { .b } | rate()",
        "{} | select(.a) | rate()",
        "{} | by(.a) | count() > 2 | rate()",
        "({} | count() > 2) | rate()",
    ]);
    check("{}|rate()by(.a)", "{} | rate() by(.a)");
    check("{} | quantile_over_time(duration, .9)", "{} | quantile_over_time(duration, 0.9)");
    check("{} | quantile_over_time(duration, 0, 1)", "{} | quantile_over_time(duration, 0.0, 1.0)");
    check("{} | compare({ status = error })", "{} | compare({ status = error }, 10)");
    check("{} | max_over_time(duration) > 30s", "{} | max_over_time(duration) > 30.0");
    check("{} | max_over_time(duration) >= 1.5ms", "{} | max_over_time(duration) >= 0.0015");
    check("{} | rate() > 10", "{} | rate() > 10.0");
    check("{} | min_over_time(span:childCount)", "{} | min_over_time(span:childCount)");
    check("count() > 2 | rate()", "{} | count() > 2 | rate()");
}

#[test]
fn hints() {
    check_all(&[
        "{} with(most_recent=true)",
        "{} | rate() with(sample=true)",
        "{} | rate() with(sample=0.1, exemplars=10)",
        "{} | rate() | topk(3) with(exemplars=false)",
        "{} | rate() > 3.0 with(span_sample=0.5)",
        "{} with(unknown=\"text\", debug_x=5s, level=error, side=server, nothing=nil, minus=-1.5)",
        "{ .a } && { .b } with(a=1)",
        "{} | count() > 2 with(a=1)",
        "{} with(name=1, duration=2, by=3, with=4)",
    ]);
    check("{}with( most_recent = true )", "{} with(most_recent=true)");
    // A hint of the wrong type is not an error.
    check("{} with(most_recent=1)", "{} with(most_recent=1)");
}

#[test]
fn what_grafana_sends() {
    check_all(&[
        "{ nestedSetParent < 0 && resource.service.name = \"cart\" && span.http.route != nil } | rate() by(span.http.route) with(sample=true)",
        "{ nestedSetParent < 0 && status = error } | rate() with(sample=true)",
    ]);
    check(
        "{nestedSetParent<0 && true } | quantile_over_time(duration, .9) with(sample=true)",
        "{ nestedSetParent < 0 && true } | quantile_over_time(duration, 0.9) with(sample=true)",
    );
    check(
        "{nestedSetParent<0 && true} | compare({status = error}, 10, 1700000000000000000, 1700000001000000000)",
        "{ nestedSetParent < 0 && true } | compare({ status = error }, 10, 1700000000000000000, 1700000001000000000)",
    );
    check(
        "({.a && kind=server} &>> { kind = server }) || ({.a && kind=server}) | select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)",
        "{ .a && kind = server } &>> { kind = server } || { .a && kind = server } | select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)",
    );
    check(
        "{status=error} | select(resource.service.name, event.exception.message, event.exception.stacktrace, event.exception.type) with(most_recent=true)",
        "{ status = error } | select(resource.service.name, event.exception.message, event.exception.stacktrace, event.exception.type) with(most_recent=true)",
    );
    check(
        "{true && span.db.system.name!=\"\"} | rate() by(resource.service.name)",
        "{ true && span.db.system.name != \"\" } | rate() by(resource.service.name)",
    );
    check(
        "{} | histogram_over_time(duration) with(sample=true)",
        "{} | histogram_over_time(duration) with(sample=true)",
    );
}
