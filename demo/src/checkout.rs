//! Buying: the request that goes through most of the shop, pays, and leaves messages behind. Here the bank, the new version of
//! `pay` and the old parcel proxy go wrong.

use opentelemetry_proto::tonic::trace::v1::span::Link;

use crate::Story;
use crate::attribute::{double, int, text};
use crate::calls::{Request, Way, sql};
use crate::fault::Fault;
use crate::flow::{Flow, Parent};
use crate::pages::{answer, read_cart, request, stock};
use crate::schedule;

/// Tells one order, and the mail that follows it in a trace of its own.
pub(crate) fn checkout(mut flow: Flow<'_>, at: u64) -> Vec<Story> {
    let root = request(&mut flow, "POST", "/checkout", "/checkout", at);
    let order = flow.dice.between(900_000, 999_999);
    let amount = flow.dice.between(900, 40_000) as f64 / 100.0;
    let currency = if flow.region == 0 { "USD" } else { "EUR" };
    flow.put(root, [int("app.order.id", order), double("app.order.amount", amount), text("app.currency", currency)]);
    let place = Request { to: "checkout", method: "POST", route: "/api/checkout", path: "/api/checkout" };
    let mut published = None;
    let begun = at + flow.dice.micros(1_500);
    let (at, code) = flow.call(root, &place, begun, |flow, server, at| {
        flow.put(server, [int("app.order.id", order)]);
        let (at, code) = read_cart(flow, server, at);
        if code >= 500 {
            return (at, 500);
        }
        // What lies between the calls needs the answer before: they cannot run together.
        let (_, at) = flow.work(server, "price order", 9_000, at + 3_000_000);
        let product = flow.dice.between(1, 400);
        let at = stock(flow, server, product, at + 2_500_000);
        let at = reserve(flow, server, at + 6_000_000);
        let (at, code) = pay(flow, server, currency, amount, at + 7_000_000);
        if code >= 500 {
            return (at + 500_000, 502);
        }
        let at = ship(flow, server, order, at + 12_000_000);
        let statement = "INSERT INTO orders (id, user_id, total_units, currency) VALUES ($1, $2, $3, $4)";
        let at = flow.postgres(server, &sql("INSERT", "orders", 3_600, statement), at + 5_000_000);
        let (message, at) = flow.publish(server, "orders", &order.to_string(), at + 300_000);
        published = Some((message, at));
        (at, 201)
    });
    let at = at + flow.dice.micros(1_200);
    answer(&mut flow, root, if code >= 500 { 500 } else { 201 }, at);
    let Some((message, sent)) = published else { return vec![flow.finish()] };
    pack(&mut flow, message, sent);
    let (link, dice, region) = (flow.link_to(message), flow.dice.clone(), flow.region);
    let mail = confirm(Flow::new(flow.fleet, dice, region), link, order, sent);
    vec![flow.finish(), mail]
}

fn reserve(flow: &mut Flow<'_>, caller: usize, at: u64) -> u64 {
    let request = Request { to: "inventory", method: "POST", route: "/reservations", path: "/reservations" };
    let (at, _) = flow.call(caller, &request, at, |flow, server, at| {
        let statement =
            "UPDATE stock SET reserved = reserved + $2 WHERE product_id = $1 AND available - reserved >= $2";
        (flow.postgres(server, &sql("UPDATE", "stock", 5_200, statement), at), 201)
    });
    at
}

fn pay(flow: &mut Flow<'_>, caller: usize, currency: &str, amount: f64, at: u64) -> (u64, u64) {
    let request = Request { to: "pay", method: "POST", route: "/authorize", path: "/authorize" };
    let healthy = flow.instance("pay");
    let overloaded = schedule::bank_is_overloaded(at) && flow.dice.percent(75.0);
    let tried = schedule::new_version_runs(at) && flow.region == 1 && flow.dice.percent(50.0);
    let bad = flow.fleet.bad().filter(|_| tried);
    let to = bad.unwrap_or(healthy);
    let (_, answered) = flow.call_instance(caller, to, Way::Direct, &request, at, |flow, server, at| {
        flow.put(server, [text("app.currency", currency), double("app.order.amount", amount)]);
        let statement = "SELECT token, brand, expires FROM cards WHERE user_id = $1";
        let at = flow.postgres(server, &sql("SELECT", "cards", 2_100, statement), at);
        let (at, code) = score(flow, server, bad.is_some(), at + 400_000);
        if code >= 500 {
            return (at, code);
        }
        let (at, code) = charge(flow, server, overloaded, at + 4_000_000);
        if code >= 500 {
            return (at, code);
        }
        let statement = "INSERT INTO payments (order_id, amount, currency, state) VALUES ($1, $2, $3, 'authorized')";
        (flow.postgres(server, &sql("INSERT", "payments", 3_300, statement), at + 12_000_000), 200)
    });
    answered
}

/// Judges whether the card was stolen. The new version loads its rules anew each time, and has none for some currencies.
fn score(flow: &mut Flow<'_>, server: usize, is_bad: bool, at: u64) -> (u64, u64) {
    let (span, end) = flow.work(server, "fraud.score", 6_500, at);
    let risk = (flow.dice.share() * 100.0).round() / 100.0;
    flow.put(span, [double("app.fraud.risk", risk)]);
    if !is_bad {
        return (end, 200);
    }
    flow.fault = Some(Fault::BadVersion);
    let end = at + flow.dice.between(520_000_000, 940_000_000);
    flow.close(span, end);
    flow.event(span, at + 2_000_000, "rules.loading", vec![text("app.rules.source", "s3://fraud-rules/v2")]);
    if flow.dice.percent(40.0) {
        return (end, 200);
    }
    flow.throw(
        span,
        end,
        "java.lang.IllegalStateException",
        "no rule set for currency EUR",
        "\tat com.example.pay.fraud.RuleSets.forCurrency(RuleSets.java:88)\n\tat com.example.pay.fraud.Scorer.score(Scorer.java:41)\n\tat com.example.pay.AuthorizeHandler.handle(AuthorizeHandler.java:57)",
    );
    (end + 200_000, 500)
}

/// Charges the card at the bank, three or four times in a row when it answers 503.
fn charge(flow: &mut Flow<'_>, server: usize, overloaded: bool, mut at: u64) -> (u64, u64) {
    let request = Request { to: "bank-gateway", method: "POST", route: "/v1/charges", path: "/v1/charges" };
    let attempts = if overloaded { flow.dice.between(3, 4) } else { 1 };
    let gives_up = overloaded && flow.dice.percent(35.0);
    if overloaded {
        flow.fault = Some(Fault::RetryStorm);
    }
    for attempt in 1..=attempts {
        let refused = attempt < attempts || gives_up;
        let to = flow.instance("bank-gateway");
        let (client, (end, code)) = flow.call_instance(server, to, Way::Direct, &request, at, |flow, server, at| {
            if refused {
                let at = at + flow.dice.micros(28_000);
                flow.throw(
                    server,
                    at,
                    "com.example.bank.OverloadedException",
                    "acquirer queue is full: 512 of 512",
                    "\tat com.example.bank.Acquirer.submit(Acquirer.java:132)\n\tat com.example.bank.ChargeHandler.handle(ChargeHandler.java:44)",
                );
                return (at, 503);
            }
            let (span, at) = flow.work(server, "acquirer.submit", 42_000, at);
            flow.put(span, [text("app.acquirer", "first-data")]);
            (at, 200)
        });
        if attempt > 1 {
            flow.put(client, [int("http.request.resend_count", attempt - 1)]);
        }
        if code < 500 {
            return (end, 200);
        }
        // At once: there is no back-off.
        at = end + flow.dice.between(3_000_000, 4_000_000);
    }
    (at, 502)
}

/// Orders a parcel, now and then through a proxy that was never given an exporter.
fn ship(flow: &mut Flow<'_>, caller: usize, order: u64, at: u64) -> u64 {
    let request = Request { to: "shipping", method: "POST", route: "/shipments", path: "/shipments" };
    let proxied = flow.fault.is_none() && flow.dice.percent(9.0);
    let way = if proxied {
        flow.fault = Some(Fault::DroppedParent);
        Way::Proxied
    } else {
        Way::Direct
    };
    let to = flow.instance("shipping");
    let (_, (at, _)) = flow.call_instance(caller, to, way, &request, at, |flow, server, at| {
        flow.put(server, [int("app.order.id", order)]);
        let (_, at) = flow.work(server, "choose carrier", 4_000, at);
        let statement = "INSERT INTO shipments (order_id, carrier, address_id) VALUES ($1, $2, $3)";
        (flow.postgres(server, &sql("INSERT", "shipments", 3_400, statement), at + 1_500_000), 201)
    });
    at
}

/// What the warehouse does with the order, later, in the same trace.
fn pack(flow: &mut Flow<'_>, message: usize, sent: u64) {
    let begins = sent + flow.dice.micros(45_000);
    let shipping = flow.instance("shipping");
    let span = flow.consume(shipping, Parent::Remote(message), "orders", begins);
    let statement = "UPDATE shipments SET state = 'packing' WHERE order_id = $1";
    let at = flow.postgres(span, &sql("UPDATE", "shipments", 3_000, statement), begins + 500_000);
    flow.close(span, at + 300_000);
}

/// The mail that confirms the order: a trace of its own, which links to the message.
fn confirm(mut flow: Flow<'_>, message: Link, order: u64, sent: u64) -> Story {
    let at = sent + flow.dice.between(200_000_000, 900_000_000);
    let mailer = flow.instance("mailer");
    let root = flow.consume(mailer, Parent::None, "orders", at);
    flow.link(root, message);
    flow.put(root, [int("app.order.id", order)]);
    let statement = "SELECT address, language FROM customers WHERE id = $1";
    let at = flow.postgres(root, &sql("SELECT", "customers", 2_000, statement), at + 300_000);
    let (span, at) = flow.work(root, "render mail", 7_000, at + 200_000);
    flow.put(span, [text("app.template", "order-confirmation")]);
    let at = crate::batch::deliver(&mut flow, root, at + 300_000);
    flow.close(root, at + 200_000);
    flow.finish()
}
