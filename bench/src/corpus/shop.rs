//! The shop: people look, put things into carts and order them; a nightly job makes the odd trace of 5,000 spans.

pub(super) mod fleet;
pub(super) mod trace;
pub(super) mod words;

use opentelemetry_proto::tonic::trace::v1::span::Link;

use self::fleet::{Library, Service};
use self::trace::{CONSUMER, Done, Frame, PRODUCER, Part, SERVER, Trace};
use self::words::LongTail;
use super::attributes::{double, int, text, texts};
use super::exporters::Fleet;
use super::job::Job;
use super::{Sink, Spec, Traffic};
use crate::dice::{Dice, Zipf};

/// Spans of a job's trace.
const JOB_SPAN_COUNT: u32 = 5_000;
/// Spans between two jobs.
const JOB_EVERY_SPANS: u64 = 100_000;
/// Spans before the first job.
const FIRST_JOB_AT_SPANS: u64 = 20_000;
/// People who know the shop.
const USERS: usize = 20_000;
/// Nanoseconds between two traces, on average.
const MEAN_GAP_NANOS: f64 = 2_000_000.0;

/// Everyday traffic.
pub(super) struct Shop {
    tail: LongTail,
    users: Zipf,
    now_unix_nanos: u64,
    span_count: u64,
    next_job_at: u64,
    seed: u64,
}

/// Who the trace is about.
struct Visit {
    user: String,
    session: String,
    request: String,
    client: String,
}

impl Shop {
    pub(super) fn new(spec: &Spec, dice: &mut Dice) -> (Self, Fleet) {
        let shop = Self {
            tail: LongTail::new(),
            users: Zipf::new(USERS, 1.05),
            now_unix_nanos: spec.start_unix_nanos,
            span_count: 0,
            next_job_at: FIRST_JOB_AT_SPANS,
            seed: spec.seed,
        };
        (shop, fleet::fleet(dice))
    }

    fn visit(&self, dice: &mut Dice) -> Visit {
        let rank = self.users.draw(dice) as u64;
        let mut person = Dice::new(self.seed ^ (rank << 20));
        let user = format!("user-{:06}", (rank * 7919) % 1_000_003);
        let client = words::client_address(&mut person);
        // A session lasts for some minutes of the person's traffic.
        let hour = self.now_unix_nanos / 600_000_000_000;
        let session = Dice::new(person.bits() ^ hour).uuid();
        Visit { user, session, request: dice.uuid(), client }
    }

    fn journey(&self, dice: &mut Dice, sink: &mut Sink) {
        let visit = self.visit(dice);
        let choice = dice.below(100);
        let mut trace = Trace::new(dice, &self.tail, sink);
        let start = self.now_unix_nanos;
        let mut order = None;
        match choice {
            0..6 => {
                page(
                    &mut trace,
                    &visit,
                    start,
                    "GET",
                    "/images/{file}",
                    "",
                    |trace, _, at| ok(at + trace.micros(700.0)),
                )
            }
            6..22 => page(&mut trace, &visit, start, "GET", "/", "", home),
            22..53 => {
                let product = words::product(trace.dice);
                let path = format!("/product/{product}");
                page(&mut trace, &visit, start, "GET", "/product/{id}", &path, |trace, here, at| {
                    product_page(trace, here, at, &product)
                });
            }
            53..64 => page(&mut trace, &visit, start, "GET", "/search", "", search),
            64..77 => page(&mut trace, &visit, start, "GET", "/cart", "", |trace, here, at| {
                view_cart(trace, here, at, &visit)
            }),
            77..89 => page(&mut trace, &visit, start, "POST", "/cart", "", |trace, here, at| {
                add_to_cart(trace, here, at, &visit)
            }),
            89..95 => page(&mut trace, &visit, start, "GET", "/order/{id}", "", |trace, here, at| {
                order_state(trace, here, at)
            }),
            _ => page(&mut trace, &visit, start, "POST", "/checkout", "", |trace, here, at| {
                let (done, message) = checkout(trace, here, at, &visit);
                order = Some(message);
                done
            }),
        }
        let trace_id = trace.trace_id;
        trace.finish();
        if let Some(message) = order {
            // Fraud detection reads in batches, in a trace of its own that links to the message.
            let mut trace = Trace::new(dice, &self.tail, sink);
            detect_fraud(&mut trace, &message, trace_id);
            trace.finish();
        }
    }
}

impl Traffic for Shop {
    fn step(&mut self, dice: &mut Dice, sink: &mut Sink) {
        self.now_unix_nanos += dice.gap(MEAN_GAP_NANOS) as u64;
        if self.span_count >= self.next_job_at {
            self.next_job_at += JOB_EVERY_SPANS;
            let mut job = Job::start(dice, JOB_SPAN_COUNT, self.now_unix_nanos, 0.0);
            while !job.step(dice, &self.tail, sink) {}
        } else {
            self.journey(dice, sink);
        }
        self.span_count += sink.spans.len() as u64;
    }

    fn finish(&mut self, _: &mut Dice, _: &mut Sink) {}
}

/// A request from a browser, through the proxy to the frontend.
fn page(
    trace: &mut Trace<'_>,
    visit: &Visit,
    start: u64,
    method: &'static str,
    route: &'static str,
    path: &str,
    body: impl FnOnce(&mut Trace<'_>, Frame, u64) -> Done,
) {
    let proxy = trace.enter(Service::FrontendProxy);
    let frontend = trace.enter(Service::Frontend);
    let path = if path.is_empty() { route } else { path };
    let agent = words::user_agent(trace.dice);
    let inner_start = start + trace.micros(260.0);
    let inner = body(trace, frontend, inner_start + 60_000);
    let status = if inner.failed { 500 } else { 200 };
    let done = Done { end_unix_nanos: inner.end_unix_nanos + trace.micros(400.0), ..inner };
    let request = || {
        vec![
            text("http.request.method", method),
            text("http.route", route),
            text("url.path", path),
            text("url.scheme", "https"),
            int("http.response.status_code", status),
            text("server.address", "shop.example.com"),
            int("server.port", 443),
            text("client.address", visit.client.clone()),
            text("network.protocol.version", "2"),
            text("user_agent.original", agent),
        ]
    };
    let mut attributes = request();
    attributes.push(text("app.user.id", visit.user.clone()));
    attributes.push(text("session.id", visit.session.clone()));
    attributes.push(text("app.request.id", visit.request.clone()));
    let name = format!("{method} {route}");
    let mut part = Part::new(Library::Http, name.clone(), SERVER, inner_start, done).with(attributes);
    part.explains = true;
    trace.push(frontend, Some(proxy), part);

    let done = Done { end_unix_nanos: done.end_unix_nanos + trace.micros(220.0), ..done };
    let mut attributes = request();
    if route == "/search" {
        let query =
            format!("q={}&page={}", trace.dice.pick(&["telescope", "lens", "mount", "star+map"]), trace.dice.below(9));
        attributes.push(text("url.query", query));
    }
    attributes.push(text("app.request.id", visit.request.clone()));
    trace.push(proxy, None, Part::new(Library::Http, name, SERVER, start, done).with(attributes));
}

fn ok(end_unix_nanos: u64) -> Done {
    Done { end_unix_nanos, failed: false }
}

fn after(first: Done, second: Done) -> Done {
    Done { end_unix_nanos: first.end_unix_nanos.max(second.end_unix_nanos), failed: first.failed || second.failed }
}

const CATALOG: &str = "shop.ProductCatalogService";

fn get_product(trace: &mut Trace<'_>, here: Frame, at: u64, product: &str) -> Done {
    trace.rpc(here, at, Service::ProductCatalog, (CATALOG, "GetProduct"), |trace, there, at| {
        // Most products are in the service's own cache.
        let own = vec![text("app.product.id", product)];
        if trace.dice.chance(0.55) {
            (ok(at + trace.micros(60.0)), own)
        } else {
            (trace.sql(there, at, &words::GET_PRODUCT, 1), own)
        }
    })
}

fn convert(trace: &mut Trace<'_>, here: Frame, at: u64) -> Done {
    trace.rpc(here, at, Service::Currency, ("shop.CurrencyService", "Convert"), |trace, _, at| {
        let to = *trace.dice.pick(&["EUR", "USD", "CHF", "GBP", "SEK", "JPY"]);
        (ok(at + trace.micros(40.0)), vec![text("app.currency.from", "USD"), text("app.currency.to", to)])
    })
}

fn ads(trace: &mut Trace<'_>, here: Frame, at: u64) -> Done {
    trace.rpc(here, at, Service::Ad, ("shop.AdService", "GetAds"), |trace, there, at| {
        let done = trace.own(there, at, "com.shop.ad.getAdsByCategory", |trace, _, at| {
            let category = *trace.dice.pick(&["telescopes", "accessories", "books", "binoculars"]);
            (
                ok(at + trace.micros(90.0)),
                vec![text("app.ads.category", category), int("app.ads.count", trace.dice.below(5))],
            )
        });
        (done, vec![text("app.ads.request_type", "TARGETED")])
    })
}

fn recommendations(trace: &mut Trace<'_>, here: Frame, at: u64) -> Done {
    let name = ("shop.RecommendationService", "ListRecommendations");
    trace.rpc(here, at, Service::Recommendation, name, |trace, there, at| {
        let mut chosen = Vec::new();
        let done = trace.own(there, at, "recommendation.get_product_list", |trace, here, at| {
            let mut at = at;
            for _ in 0..trace.dice.between(1, 3) {
                let product = words::product(trace.dice);
                at = get_product(trace, here, at, &product).end_unix_nanos;
                chosen.push(product);
            }
            (ok(at), vec![int("app.recommendation.count", chosen.len() as u64)])
        });
        (done, vec![texts("app.products.ids", chosen)])
    })
}

fn home(trace: &mut Trace<'_>, here: Frame, at: u64) -> Done {
    let products = trace.rpc(here, at, Service::ProductCatalog, (CATALOG, "ListProducts"), |trace, there, at| {
        let rows = trace.dice.between(8, 24);
        (trace.sql(there, at, &words::LIST_PRODUCTS, rows), vec![int("app.products.count", rows)])
    });
    let mut prices = ok(at);
    for _ in 0..trace.dice.between(1, 4) {
        prices = convert(trace, here, products.end_unix_nanos);
    }
    let ads = ads(trace, here, at);
    after(after(products, prices), ads)
}

fn product_page(trace: &mut Trace<'_>, here: Frame, at: u64, product: &str) -> Done {
    let found = get_product(trace, here, at, product);
    let price = convert(trace, here, found.end_unix_nanos);
    let stock = trace.http(here, at, Service::Inventory, ("GET", "/stock/{product}"), |trace, there, at| {
        let done = trace.sql(there, at, &words::READ_STOCK, 1);
        (done, vec![text("app.product.id", product), int("app.stock.available", trace.dice.below(400))])
    });
    let more = recommendations(trace, here, price.end_unix_nanos);
    after(after(found, stock), after(more, ads(trace, here, at)))
}

fn search(trace: &mut Trace<'_>, here: Frame, at: u64) -> Done {
    let found = trace.rpc(here, at, Service::ProductCatalog, (CATALOG, "SearchProducts"), |trace, there, at| {
        let rows = trace.dice.below(25);
        (trace.sql(there, at, &words::SEARCH_PRODUCTS, rows), vec![int("app.products_search.count", rows)])
    });
    after(found, ads(trace, here, at))
}

fn read_cart(trace: &mut Trace<'_>, here: Frame, at: u64, visit: &Visit) -> Done {
    trace.rpc(here, at, Service::Cart, ("shop.CartService", "GetCart"), |trace, there, at| {
        let done = trace.redis(there, at, "HGETALL", "?");
        (done, vec![text("app.user.id", visit.user.clone()), int("app.cart.items.count", trace.dice.below(8))])
    })
}

fn view_cart(trace: &mut Trace<'_>, here: Frame, at: u64, visit: &Visit) -> Done {
    let cart = read_cart(trace, here, at, visit);
    let mut done = cart;
    for _ in 0..trace.dice.between(1, 3) {
        let product = words::product(trace.dice);
        let found = get_product(trace, here, cart.end_unix_nanos, &product);
        done = after(done, after(found, convert(trace, here, found.end_unix_nanos)));
    }
    after(done, recommendations(trace, here, cart.end_unix_nanos))
}

fn add_to_cart(trace: &mut Trace<'_>, here: Frame, at: u64, visit: &Visit) -> Done {
    let product = words::product(trace.dice);
    let found = get_product(trace, here, at, &product);
    let added =
        trace.rpc(here, found.end_unix_nanos, Service::Cart, ("shop.CartService", "AddItem"), |trace, there, at| {
            let read = trace.redis(there, at, "HGET", "? ?");
            let written = trace.redis(there, read.end_unix_nanos, "HMSET", "? ? ?");
            let quantity = *trace.dice.pick(&[1, 1, 1, 1, 2, 2, 3, 5, 10]);
            let own = vec![
                text("app.user.id", visit.user.clone()),
                text("app.product.id", product.clone()),
                int("app.product.quantity", quantity),
            ];
            (after(read, written), own)
        });
    after(added, view_cart(trace, here, added.end_unix_nanos, visit))
}

fn order_state(trace: &mut Trace<'_>, here: Frame, at: u64) -> Done {
    trace.rpc(here, at, Service::Checkout, ("shop.CheckoutService", "GetOrder"), |trace, there, at| {
        let done = trace.sql(there, at, &words::GET_ORDER, 1);
        (done, vec![text("app.order.id", trace.dice.uuid())])
    })
}

/// A message on its way: what a consumer needs to link to it.
struct Message {
    id: String,
    producer: Frame,
    order: String,
    sent_unix_nanos: u64,
    partition: u64,
    offset: u64,
}

fn checkout(trace: &mut Trace<'_>, here: Frame, at: u64, visit: &Visit) -> (Done, Message) {
    let order = trace.dice.uuid();
    let mut message = None;
    let done = trace.rpc(here, at, Service::Checkout, ("shop.CheckoutService", "PlaceOrder"), |trace, there, at| {
        let prepared = trace.own(there, at, "prepareOrderItemsAndShippingQuoteFromCart", |trace, here, at| {
            let cart = read_cart(trace, here, at, visit);
            let mut done = cart;
            for _ in 0..trace.dice.between(1, 6) {
                let product = words::product(trace.dice);
                done = after(done, get_product(trace, here, done.end_unix_nanos, &product));
                done = after(done, convert(trace, here, done.end_unix_nanos));
            }
            let quote = quote(trace, here, done.end_unix_nanos);
            (after(done, quote), vec![text("app.order.id", order.clone())])
        });
        let reserved = reserve(trace, there, prepared.end_unix_nanos, &order);
        let paid = pay(trace, there, reserved.end_unix_nanos, &order);
        let stored = trace.sql(there, paid.end_unix_nanos, &words::INSERT_ORDER, 1);
        let mailed = trace.http(
            there,
            stored.end_unix_nanos,
            Service::Email,
            ("POST", "/send_order_confirmation"),
            |trace, _, at| (ok(at + trace.micros(9_000.0)), vec![text("app.order.id", order.clone())]),
        );
        let sent = publish(trace, there, mailed.end_unix_nanos, order.clone());
        account(trace, &sent);
        let end_unix_nanos = sent.sent_unix_nanos + trace.micros(900.0);
        message = Some(sent);
        let own = vec![
            text("app.user.id", visit.user.clone()),
            text("app.order.id", order.clone()),
            double("app.order.amount", trace.dice.between(500, 250_000) as f64 / 100.0),
            int("app.order.items.count", trace.dice.between(1, 6)),
            double("app.shipping.amount", trace.dice.between(300, 4_000) as f64 / 100.0),
            text("app.shipping.tracking.id", trace.dice.uuid()),
        ];
        (Done { end_unix_nanos, failed: reserved.failed || paid.failed || stored.failed }, own)
    });
    (done, message.expect("the body of the call always runs"))
}

fn quote(trace: &mut Trace<'_>, here: Frame, at: u64) -> Done {
    trace.http(here, at, Service::Shipping, ("POST", "/get-quote"), |trace, there, at| {
        let done = trace.http(there, at, Service::Quote, ("POST", "/getquote"), |trace, there, at| {
            let done = trace.own(there, at, "calculate-quote", |trace, _, at| {
                let cost = trace.dice.between(300, 9_000) as f64 / 100.0;
                (ok(at + trace.micros(70.0)), vec![double("app.quote.cost.total", cost)])
            });
            (done, vec![int("app.quote.items.count", trace.dice.between(1, 9))])
        });
        (done, vec![int("app.shipping.zip_code", trace.dice.between(10_000, 99_999))])
    })
}

fn reserve(trace: &mut Trace<'_>, here: Frame, at: u64, order: &str) -> Done {
    trace.http(here, at, Service::Inventory, ("POST", "/reservations"), |trace, there, at| {
        let done = trace.own(there, at, "com.shop.inventory.ReservationService.reserve", |trace, here, at| {
            let mut done = trace.sql(here, at, &words::READ_STOCK, 1);
            done = after(done, trace.sql(here, done.end_unix_nanos, &words::RESERVE_STOCK, 1));
            (done, vec![int("app.warehouse.id", trace.dice.below(40))])
        });
        (done, vec![text("app.order.id", order)])
    })
}

fn pay(trace: &mut Trace<'_>, here: Frame, at: u64, order: &str) -> Done {
    trace.rpc(here, at, Service::Payment, ("shop.PaymentService", "Charge"), |trace, there, at| {
        let gateway = trace.nest(there);
        let failed = trace.dice.chance(0.01);
        let done = Done { end_unix_nanos: at + trace.micros(85_000.0), failed };
        let charge = trace.dice.hex(24);
        let attributes = vec![
            text("http.request.method", "POST"),
            text("url.full", format!("https://api.payments.example/v1/charges/ch_{charge}?expand=risk")),
            int("http.response.status_code", if failed { 504 } else { 201 }),
            text("server.address", "api.payments.example"),
            int("server.port", 443),
            text("network.protocol.version", "1.1"),
            int("http.request.resend_count", trace.dice.below(2)),
        ];
        let mut part = Part::new(Library::Http, "POST", trace::CLIENT, at, done).with(attributes);
        part.explains = true;
        trace.push(gateway, Some(there), part);
        let card = *trace.dice.pick(&["visa", "visa", "mastercard", "amex"]);
        (
            done,
            vec![
                text("app.order.id", order),
                text("app.payment.card_type", card),
                text("app.payment.transaction.id", trace.dice.uuid()),
            ],
        )
    })
}

fn publish(trace: &mut Trace<'_>, here: Frame, at: u64, order: String) -> Message {
    let producer = trace.nest(here);
    let (partition, offset) = (trace.dice.below(12), 40_000_000 + trace.dice.below(9_000_000));
    let id = format!("orders-{partition}-{offset}");
    let done = ok(at + trace.micros(1_200.0));
    let attributes = vec![
        text("messaging.system", "kafka"),
        text("messaging.destination.name", "orders"),
        text("messaging.operation.type", "send"),
        text("messaging.message.id", id.clone()),
        text("messaging.destination.partition.id", partition.to_string()),
        int("messaging.message.body.size", trace.dice.between(300, 2_400)),
        text("server.address", "kafka.shop.svc.cluster.local"),
    ];
    trace.push(producer, Some(here), Part::new(Library::Messaging, "send orders", PRODUCER, at, done).with(attributes));
    Message { id, producer, order, sent_unix_nanos: done.end_unix_nanos, partition, offset }
}

fn consumption(message: &Message, group: &str) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
    vec![
        text("messaging.system", "kafka"),
        text("messaging.destination.name", "orders"),
        text("messaging.operation.type", "process"),
        text("messaging.message.id", message.id.clone()),
        text("messaging.consumer.group.name", group),
        int("messaging.kafka.offset", message.offset),
        text("messaging.destination.partition.id", message.partition.to_string()),
        text("app.order.id", message.order.clone()),
    ]
}

fn link(trace_id: [u8; 16], message: &Message) -> Link {
    Link {
        trace_id: trace_id.to_vec(),
        span_id: message.producer.span_id.to_vec(),
        trace_state: String::new(),
        attributes: vec![text("messaging.message.id", message.id.clone())],
        dropped_attributes_count: 0,
        flags: 0x301,
    }
}

/// Accounting goes on in the producer's trace, and links to it as well.
fn account(trace: &mut Trace<'_>, message: &Message) {
    let consumer = trace.enter(Service::Accounting);
    let start = message.sent_unix_nanos + trace.micros(8_000.0);
    let stored = trace.sql(consumer, start + 40_000, &words::INSERT_ORDER, 1);
    let mut part = Part::new(Library::Messaging, "process orders", CONSUMER, start, stored)
        .with(consumption(message, "accounting"));
    part.links.push(link(trace.trace_id, message));
    trace.push(consumer, Some(message.producer), part);
}

fn detect_fraud(trace: &mut Trace<'_>, message: &Message, producer_trace: [u8; 16]) {
    let consumer = trace.enter(Service::FraudDetection);
    let start = message.sent_unix_nanos + trace.micros(30_000.0);
    let scored = trace.own(consumer, start + 30_000, "com.shop.fraud.Scorer.score", |trace, here, at| {
        let done = trace.sql(here, at, &words::GET_ORDER, 1);
        (done, vec![double("app.fraud.score", trace.dice.below(1000) as f64 / 1000.0)])
    });
    let mut part = Part::new(Library::Messaging, "process orders", CONSUMER, start, scored)
        .with(consumption(message, "fraud-detection"));
    part.links.push(link(producer_trace, message));
    trace.push(consumer, None, part);
}
