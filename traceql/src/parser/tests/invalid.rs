//! Queries that do not read, with the place and the words of each error.

use super::check_error;

#[test]
fn braces_and_ends() {
    check_error("", 1, 1, &["expected `{`, found the end of the query"]);
    check_error("{", 1, 2, &["expected an attribute or a value, found the end of the query"]);
    check_error("{ .a = 1", 1, 9, &["expected an operator or `}`", "close the `{` of line 1, column 1"]);
    check_error("{ .a = }", 1, 8, &["expected an attribute or a value, found \"}\""]);
    check_error("{ .a = 1 }}", 1, 11, &["one `}` too many"]);
    check_error("{ .a = 1 })", 1, 11, &["one `)` too many"]);
    check_error("({ .a = 1 }", 1, 12, &["expected an operator, `|` or `)`"]);
    check_error("{ (.a = 1 }", 1, 11, &["expected an operator or `)`, found \"}\""]);
    check_error("{ .a = 1 } { .b = 2 }", 1, 12, &["join spansets by `&&`"]);
    check_error("{ .a = 1 .b = 2 }", 1, 10, &["join conditions by `&&` or `||`"]);
    check_error("{ .a = 1, .b = 2 }", 1, 9, &["join conditions by `&&` or `||`"]);
    check_error("{ .a = 1 | .b = 2 }", 1, 10, &["write `||` for or"]);
    check_error(".a = 1", 1, 1, &["expected `{`", "put conditions in braces"]);
    check_error("duration > 1s", 1, 1, &["expected `{`", "put conditions in braces"]);
    check_error("service.name = \"x\"", 1, 1, &["put conditions in braces"]);
    check_error("{ .a && }", 1, 9, &["expected an attribute or a value"]);
    check_error("{ && .a }", 1, 3, &["expected an attribute or a value"]);
    check_error("{} &&", 1, 6, &["expected `{` or `(`"]);
    check_error("{} |", 1, 5, &["expected a stage"]);
    check_error("\n\n  { .größe = }", 3, 14, &["expected an attribute or a value"]);
    check_error("{\n  .a = 1 &&\n  .b == 2\n}", 3, 6, &["there is no \"==\"", "write one `=`"]);
}

#[test]
fn other_languages() {
    check_error("{ .a == 1 }", 1, 6, &["write one `=` for equality"]);
    check_error("{ .a <> 1 }", 1, 6, &["write `!=` for inequality"]);
    check_error("{ .a = 'x' }", 1, 8, &["texts stand in double quotes"]);
    check_error("{ .a = “x” }", 1, 8, &["plain double quotes"]);
    check_error("{ .a & .b }", 1, 6, &["write `&&`"]);
    check_error("{ .a AND .b }", 1, 6, &["expected an operator or `}`", "write `&&` for and"]);
    check_error("{ .a and .b }", 1, 6, &["write `&&` for and"]);
    check_error("{ .a = 1 OR .b = 1 }", 1, 10, &["write `||` for or"]);
    check_error("{ NOT .a }", 1, 3, &["write `!` for not"]);
    check_error("{ .a LIKE \"x%\" }", 1, 6, &["write `=~` with a regular expression"]);
    check_error("{ .a IN (1, 2) }", 1, 6, &["there are no lists"]);
    check_error("{ .a IS NULL }", 1, 6, &["!= nil"]);
    check_error("{ .a = null }", 1, 8, &["write `nil`"]);
    check_error("{ .a = [1, 2] }", 1, 8, &["there are no lists"]);
    check_error("{ .a = $b }", 1, 8, &["variables"]);
    check_error("{ .a = @b }", 1, 8, &["'@' means nothing here"]);
    check_error("SELECT * FROM spans", 1, 1, &["expected `{`", "`select` follows a pipe"]);
    check_error("{} AND {}", 1, 4, &["write `&&` for and"]);
    check_error("{} where .a = 1", 1, 4, &["put conditions in braces"]);
}

#[test]
fn names() {
    check_error(
        "{ service.name = \"x\" }",
        1,
        3,
        &["found \"service.name\"", "`.service.name` or `resource.service.name`"],
    );
    check_error("{ http.method = \"x\" }", 1, 3, &["`.http.method` or `span.http.method`"]);
    check_error("{ k8s.pod.name = \"x\" }", 1, 3, &["`resource.k8s.pod.name`"]);
    check_error("{ durration > 1s }", 1, 3, &["did you mean `duration`?"]);
    check_error("{ Duration > 1s }", 1, 3, &["did you mean `duration`?"]);
    check_error("{ statusmessage = \"x\" }", 1, 3, &["did you mean `statusMessage`?"]);
    check_error("{ nmae = \"x\" }", 1, 3, &["did you mean `name`?"]);
    check_error("{ rootservicename = \"x\" }", 1, 3, &["did you mean `rootServiceName`?"]);
    check_error("{ foo = 1 }", 1, 3, &["an attribute has a dot before it: `.foo` or `span.foo`"]);
    check_error("{ .a = foo }", 1, 8, &["texts stand in double quotes: `\"foo\"`"]);
    check_error("{ status = eror }", 1, 12, &["did you mean `error`?"]);
    check_error("{ .a = True }", 1, 8, &["did you mean `true`?"]);
    check_error("{ trace:ids = \"x\" }", 1, 3, &["there is no intrinsic \"trace:ids\"", "`trace:id`"]);
    check_error("{ span:foo = \"x\" }", 1, 3, &["there is no intrinsic \"span:foo\""]);
    check_error("{ event:nam = \"x\" }", 1, 3, &["`event:name`"]);
    check_error("{ parent = 1 }", 1, 3, &["the intrinsic `parent` is not supported", "span:parentID"]);
    check_error("{ parent = nil }", 1, 3, &["not supported"]);
    check_error("{ childCount > 1 }", 1, 3, &["did you mean `span:childCount`?"]);
    check_error("{ traceId = 1 }", 1, 3, &["did you mean `trace:id`?"]);
    check_error("{ parentId = 1 }", 1, 3, &["did you mean `span:parentID`?"]);
    check_error("{ . = 1 }", 1, 4, &["expected the name of an attribute"]);
    check_error("{ span. = 1 }", 1, 8, &["expected the name of an attribute"]);
    check_error("{ resource.}", 1, 12, &["expected the name of an attribute", "found \"}\""]);
    check_error("{ .", 1, 4, &["expected the name of an attribute", "the end of the query"]);
    check_error("{ .\"\" = 1 }", 1, 4, &["expected the name of an attribute"]);
    check_error("{ .\"a = 1 }", 1, 4, &["this name is not closed"]);
    check_error("{ .\"a\\n\" = 1 }", 1, 6, &["names in quotes know only"]);
    check_error("{ resource:service.name = 1 }", 1, 3, &["there is no intrinsic \"resource:service\""]);
}

#[test]
fn words_and_numbers() {
    check_error("{ .a = \"x }", 1, 8, &["this text is not closed"]);
    check_error("{ .a = \"x\ny\" }", 1, 8, &["this text is not closed"]);
    check_error("{ .a = `x }", 1, 8, &["this text is not closed", "backtick"]);
    check_error("{ .a =~ \"\\d\" }", 1, 10, &["this is no escape", "backtick"]);
    check_error("{ .a = \"\\xff\" }", 1, 8, &["not UTF-8"]);
    check_error("{ .a = \"\\u12\" }", 1, 9, &["this is no escape"]);
    check_error("{ .a = \"\\'\" }", 1, 9, &["this is no escape"]);
    check_error("{ .a = 9223372036854775808 }", 1, 8, &["does not fit into 64 bits"]);
    check_error("{ .a = 1e999 }", 1, 8, &["does not fit into 64 bits"]);
    check_error("{ duration > 300y }", 1, 14, &["does not fit into 64 bits"]);
    check_error("{ duration > 5x }", 1, 14, &["\"5x\" is neither a number nor a duration", "units of durations"]);
    check_error("{ duration > 5sec }", 1, 14, &["units of durations"]);
    check_error("{ duration > 1.5d }", 1, 14, &["whole numbers"]);
    check_error("{ duration > 5 s }", 1, 16, &["without a space"]);
    check_error("{ .a = 1.2.3 }", 1, 8, &["neither a number nor a duration"]);
    check_error("{ .a = 0x1f }", 1, 8, &["neither a number nor a duration"]);
    check_error("{ .a = 1_000 }", 1, 8, &["neither a number nor a duration"]);
    check_error("{ /* .a }", 1, 3, &["this comment is not closed"]);
    check_error("{ .a = 1; }", 1, 9, &["means nothing here"]);
}

#[test]
fn kinds_of_values() {
    check_error("{ 1 }", 1, 3, &["a condition is true or false, and this is a number"]);
    check_error("{ \"a\" }", 1, 3, &["this is a text"]);
    check_error("{ nil }", 1, 3, &["this is nil"]);
    check_error("{ duration }", 1, 3, &["this is a number or duration", "compare it"]);
    check_error("{ status }", 1, 3, &["this is a status"]);
    check_error("{ .a + 1 }", 1, 3, &["this is a number or duration"]);
    check_error("{ name = 1 }", 1, 3, &["`=` cannot combine a text and a number", "double quotes"]);
    check_error("{ duration = \"1s\" }", 1, 3, &["write `1s` without quotes"]);
    check_error("{ duration > \"100ms\" && .b }", 1, 3, &["write `100ms` without quotes"]);
    check_error("{ status = \"error\" }", 1, 3, &["write `error` without quotes"]);
    check_error("{ kind = \"server\" }", 1, 3, &["write `server` without quotes"]);
    check_error("{ status = 2 }", 1, 3, &["cannot combine a status and a number", "ok, error or unset"]);
    check_error("{ status = server }", 1, 3, &["cannot combine a status and a kind"]);
    check_error("{ kind = ok }", 1, 3, &["cannot combine a kind and a status"]);
    check_error("{ status > ok }", 1, 3, &["`>` does not take a status"]);
    check_error("{ kind =~ \"s.*\" }", 1, 3, &["`=~` does not take a kind"]);
    check_error("{ name && .a }", 1, 3, &["`&&` does not take a text"]);
    check_error("{ .a && 1 }", 1, 3, &["`&&` does not take a number"]);
    check_error("{ .a || \"x\" }", 1, 3, &["`||` does not take a text"]);
    check_error("{ .a + \"x\" = 1 }", 1, 3, &["`+` does not take a text"]);
    check_error("{ .a > true }", 1, 3, &["`>` does not take a boolean"]);
    check_error("{ .a > nil }", 1, 3, &["`>` does not take nil"]);
    check_error("{ .a =~ nil }", 1, 9, &["must be a text"]);
    check_error("{ !duration }", 1, 4, &["`!` takes a condition"]);
    check_error("{ !1 }", 1, 4, &["`!` takes a condition"]);
    check_error("{ !.a * .b }", 1, 4, &["`!` takes a condition, and this is a number"]);
    check_error("{ -name = 1 }", 1, 4, &["`-` takes a number"]);
    check_error("{ -true = 1 }", 1, 4, &["`-` takes a number"]);
    check_error("{ duration =~ \"1s\" }", 1, 3, &["`=~` does not take a number", "match texts only"]);
    check_error("{ trace:id = 5 }", 1, 3, &["cannot combine a text and a number"]);
    check_error("{ (.a = 1) = 1 }", 1, 3, &["cannot combine a boolean and a number"]);
}

#[test]
fn nothing() {
    check_error("{ name = nil }", 1, 3, &["`name = nil` is not supported: every span has it"]);
    check_error("{ nil = duration }", 1, 3, &["`duration = nil` is not supported"]);
    check_error("{ span:status = nil }", 1, 3, &["`status = nil` is not supported"]);
    check_error("{ span:parentID = nil }", 1, 3, &["is not supported", "nestedSetParent < 0"]);
    check_error("{ resource.service.name = nil }", 1, 3, &["`resource.service.name = nil` is not supported"]);
    check_error("{ resource.\"service.name\" = nil }", 1, 3, &["is not supported"]);
}

#[test]
fn regular_expressions() {
    check_error("{ .a =~ \"(\" }", 1, 9, &["not a regular expression: unclosed group"]);
    check_error("{ .a !~ \"a{3,1}\" }", 1, 9, &["not a regular expression"]);
    check_error("{ .a =~ \"(?=x)\" }", 1, 9, &["not a regular expression: look-around"]);
    check_error("{ .a =~ .b }", 1, 9, &["the right side of `=~` must be a text"]);
    check_error("{ .a =~ 5 }", 1, 9, &["must be a text"]);
    check_error("{ .a =~ foo }", 1, 9, &["double quotes"]);
    check_error("{ .a =~ }", 1, 9, &["expected an attribute or a value"]);
    let long = format!("{{ .a =~ \"{}\" }}", "x".repeat(16 * 1024 + 1));
    check_error(&long, 1, 9, &["at most 16384 bytes, not 16385"]);
    check_error("{ .a =~ \"(a{1000}){1000}\" }", 1, 9, &["repeat too much"]);
    check_error("{ .a =~ \"(a{1000}){150}\" || .a =~ \"(a{1000}){150}\" }", 1, 35, &["repeat too much"]);
    check_error("{ .a =~ \"a)|(b\" }", 1, 9, &["not a regular expression: unopened group"]);
    let deep = format!("{{ .a =~ \"{}{}\" }}", "(".repeat(1_000), ")".repeat(1_000));
    check_error(&deep, 1, 9, &["not a regular expression"]);
}

#[test]
fn constants() {
    check_error("{ .a = 1 / 0 }", 1, 8, &["divides an integer by zero"]);
    check_error("{ .a = 1 % 0 }", 1, 8, &["divides an integer by zero"]);
    check_error("{ .a = 0 ^ -1 }", 1, 8, &["divides an integer by zero"]);
    check_error("{ .a = -minInt }", 1, 8, &["this constant does not fit"]);
    check_error("{} | count() > 1 / 0", 1, 16, &["divides an integer by zero"]);
}

#[test]
fn stages() {
    check_error("{} | foo()", 1, 6, &["expected a stage"]);
    check_error("{} | cuont() > 2", 1, 6, &["did you mean `count`?"]);
    check_error("{} | rat()", 1, 6, &["did you mean `rate`?"]);
    check_error("{} | quantile(duration, .9)", 1, 6, &["expected a stage"]);
    check_error("{} | selct(.a)", 1, 6, &["did you mean `select`?"]);
    check_error("{} | count()", 1, 13, &["expected a comparison"]);
    check_error("({} | count()) > 2", 1, 14, &["compare inside the parentheses", "not supported"]);
    check_error("({} | count()) + ({} | count()) > 2", 1, 14, &["not supported"]);
    check_error("{} | count() =~ \"x\"", 1, 14, &["expected a comparison"]);
    check_error("{} | count() > ", 1, 16, &["expected an aggregate"]);
    check_error("{} | count() > \"2\"", 1, 16, &["compared with numbers and durations"]);
    check_error("{} | count() > {}", 1, 16, &["put each in parentheses"]);
    check_error("{} | count() > .a", 1, 16, &["expected an aggregate"]);
    check_error("{} | count(.a) > 2", 1, 12, &["`count()` takes nothing"]);
    check_error("{} | count > 2", 1, 12, &["expected `(`"]);
    check_error("{} | avg() > 2", 1, 10, &["expected a field", "`avg(duration)`"]);
    check_error("{} | avg(name) > 2", 1, 10, &["`avg` takes numbers and durations, and this is a text"]);
    check_error("{} | max(status) > 2", 1, 10, &["this is a status"]);
    check_error("{} | sum(1) > 2", 1, 10, &["this is a constant"]);
    check_error("{} | sum(.a = 1) > 2", 1, 10, &["this is a boolean"]);
    check_error("{} | 1 > 2", 1, 6, &["compares two constants"]);
    check_error("{} | -count() > 2", 1, 6, &["minus sign before an aggregate"]);
    check_error("{} | count() > 2 > 3", 1, 18, &["expected an operator"]);
    check_error("{} | count() > 2 && {}", 1, 18, &["parentheses"]);
    check_error("{} | by()", 1, 9, &["expected an attribute or a value"]);
    check_error("{} | by(1)", 1, 9, &["this is a constant"]);
    check_error("{} | by(.a, .b)", 1, 11, &["chain them"]);
    check_error("{} | select()", 1, 13, &["expected an attribute"]);
    check_error("{} | select(.a .b)", 1, 16, &["expected `,` or `)`"]);
    check_error("{} | select(.a + 1)", 1, 16, &["expected `,` or `)`"]);
    check_error("{} | select(1)", 1, 13, &["expected an attribute"]);
    check_error("{} | coalesce", 1, 14, &["expected `(`"]);
    check_error("{} | coalesce(.a)", 1, 15, &["expected `)`"]);
    check_error("coalesce()", 1, 1, &["expected `{`", "say of which spans"]);
    check_error("select(.a)", 1, 1, &["expected `{`"]);
    check_error("{} count() > 2", 1, 4, &["put a pipe before it: `| count(...)`"]);
    check_error("{} || count() > 2", 1, 7, &["expected `{` or `(`"]);
    check_error("{} >= {}", 1, 4, &["expected an operator"]);
    check_error("{ .a } + { .b }", 1, 8, &["expected an operator"]);
    check_error("{} ! > {}", 1, 4, &["expected an operator"]);
}

#[test]
fn metrics() {
    check_error("rate()", 1, 1, &["expected `{`", "say of which spans: `{ } | rate(...)`"]);
    check_error("{} rate()", 1, 4, &["put a pipe before it: `| rate(...)`"]);
    check_error("{} | rate", 1, 10, &["expected `(`"]);
    check_error("{} | rate(duration)", 1, 11, &["`rate()` counts spans and takes nothing"]);
    check_error("{} | min_over_time()", 1, 20, &["expected a field", "`min_over_time(duration)`"]);
    check_error(
        "{} | min_over_time(name)",
        1,
        20,
        &["only numbers and durations can be measured, and `name` is a text"],
    );
    check_error("{} | min_over_time(duration + 1)", 1, 29, &["expected `)`"]);
    check_error("{} | min_over_time(1)", 1, 20, &["expected an attribute"]);
    check_error("{} | quantile_over_time(duration)", 1, 33, &["say which quantiles"]);
    check_error("{} | quantile_over_time(duration, 99)", 1, 35, &["between 0 and 1", "write `0.99`"]);
    check_error("{} | quantile_over_time(duration, -1)", 1, 35, &["between 0 and 1"]);
    check_error("{} | quantile_over_time(duration, 1.5)", 1, 35, &["between 0 and 1"]);
    check_error("{} | quantile_over_time(duration, \"x\")", 1, 35, &["between 0 and 1"]);
    check_error("{} | quantile_over_time(duration, 5s)", 1, 35, &["between 0 and 1"]);
    check_error("{} | rate() by(.a, .b, .c, .d, .e, .f)", 1, 13, &["`rate` takes at most 5 fields in `by`, not 6"]);
    check_error("{} | histogram_over_time(duration) by(.a, .b, .c, .d, .e)", 1, 36, &["at most 4"]);
    check_error("{} | quantile_over_time(duration, .5) by(.a, .b, .c, .d, .e)", 1, 39, &["at most 4"]);
    check_error("{} | rate() by()", 1, 16, &["expected an attribute"]);
    check_error("{} | rate() by(.a = 1)", 1, 19, &["expected `,` or `)`"]);
    check_error("{} | rate() by .a", 1, 16, &["expected `(`"]);
    check_error("{} | rate() | topk()", 1, 20, &["how many series"]);
    check_error("{} | rate() | topk(0)", 1, 20, &["a whole number from 1 on"]);
    check_error("{} | rate() | topk(1.5)", 1, 20, &["a whole number from 1 on"]);
    check_error("{} | rate() | topk(-1)", 1, 20, &["a whole number from 1 on"]);
    check_error("{} | rate() | topK(1)", 1, 15, &["did you mean `topk`?"]);
    check_error("{} | rate() | > 10", 1, 15, &["have no pipe before them"]);
    check_error("{} | rate() | by(.a)", 1, 15, &["expected `topk(n)` or `bottomk(n)`"]);
    check_error("{} | rate() | rate()", 1, 15, &["expected `topk(n)` or `bottomk(n)`"]);
    check_error("{} | rate() > \"x\"", 1, 15, &["compared with numbers and durations"]);
    check_error("{} | rate() > ", 1, 15, &["expected a number or a duration"]);
    check_error("{} | rate() + 1", 1, 13, &["expected `by(...)`"]);
    check_error("{} | topk(3)", 1, 6, &["`topk` follows a metrics function"]);
    check_error("({} | rate()) && {}", 1, 7, &["`rate` cannot stand in parentheses"]);
    check_error("{} | compare()", 1, 14, &["expected `{`", "`compare` takes one filter"]);
    check_error("{} | compare(.a)", 1, 14, &["expected `{`"]);
    check_error("{} | compare({}, 0)", 1, 18, &["a whole number from 1 on"]);
    check_error("{} | compare({}, 10, 5)", 1, 22, &["a start and an end, or neither"]);
    check_error("{} | compare({}, 10, 5, 5)", 1, 25, &["the end must be later"]);
    check_error("{} | compare({}, 10, -5, 5)", 1, 22, &["not negative"]);
    check_error("{} | compare({}, 10, 1, 5, 6)", 1, 28, &["a start and an end, or neither"]);
    check_error("{} | compare({}) by(.a)", 1, 18, &["nothing may follow `compare(...)`"]);
    check_error("{} | compare({}) | topk(1)", 1, 18, &["nothing may follow `compare(...)`"]);
    check_error("{} | compare({}) > 1", 1, 18, &["nothing may follow `compare(...)`"]);
}

#[test]
fn hints() {
    check_error("{} with()", 1, 9, &["expected the name of a hint"]);
    check_error("{} with(a)", 1, 10, &["expected `=`"]);
    check_error("{} with(a=)", 1, 11, &["expected a value"]);
    check_error("{} with(a=foo)", 1, 11, &["expected a value"]);
    check_error("{} with(a=1", 1, 12, &["expected `,` or `)`"]);
    check_error("{} with(a=1) | rate()", 1, 14, &["expected"]);
    check_error("{} | with(a=1)", 1, 6, &["expected a stage"]);
    check_error("{} wiht(a=1)", 1, 4, &["did you mean `with`?"]);
    check_error("{} with(a=-\"x\")", 1, 11, &["only numbers and durations may be negative"]);
}
