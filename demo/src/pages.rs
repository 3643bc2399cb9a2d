//! The pages of the shop, from the visitor's request down. Checkout has a file of its own.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::attribute::{double, int, text};
use crate::calls::{Request, sql};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::fleet::{FIRST_REGION_PERCENT, Fleet};
use crate::flow::{Flow, Parent, Scope};
use crate::{Story, checkout};

const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "ShopApp/6.2.0 (Android 16)",
];
const WORDS: [&str; 8] = ["lamp", "kettle", "blue chair", "rain coat", "socks", "headphones", "tea", "desk"];

/// What one visitor causes: a trace, and more if it sets off work of its own.
pub(crate) fn visit(fleet: &Fleet, mut dice: Dice, at: u64) -> Vec<Story> {
    let region = usize::from(!dice.percent(FIRST_REGION_PERCENT));
    let page = dice.share() * 100.0;
    let mut flow = Flow::new(fleet, dice, region);
    match page {
        page if page < 26.0 => home(&mut flow, at),
        page if page < 52.0 => product(&mut flow, at),
        page if page < 66.0 => search(&mut flow, at),
        page if page < 82.0 => cart(&mut flow, at),
        page if page < 86.0 => orders(&mut flow, at),
        page if page < 88.5 => gift_finder(&mut flow, at),
        _ => return checkout::checkout(flow, at),
    }
    vec![flow.finish()]
}

/// The visitor's request: the root of a trace.
pub(crate) fn request(flow: &mut Flow<'_>, method: &str, route: &str, path: &str, at: u64) -> usize {
    let frontend = flow.instance("frontend");
    let root = flow.open(frontend, Scope::Http, Parent::None, SpanKind::Server, format!("{method} {route}"), at);
    let user = flow.dice.between(1_000, 9_999);
    let (browser, tier) = (*flow.dice.pick(&BROWSERS), *flow.dice.pick(&["free", "free", "free", "plus", "gold"]));
    let address = format!("198.51.100.{}", flow.dice.between(1, 254));
    let session = flow.dice.hex(16);
    flow.put(
        root,
        [
            text("http.request.method", method),
            text("http.route", route),
            text("url.path", path),
            text("url.scheme", "https"),
            text("server.address", "shop.example.com"),
            text("client.address", address),
            text("user_agent.original", browser),
            text("network.protocol.version", "2"),
            text("enduser.id", format!("u{user}")),
            text("session.id", session),
            text("app.user.tier", tier),
        ],
    );
    root
}

/// The answer to the visitor.
pub(crate) fn answer(flow: &mut Flow<'_>, root: usize, code: u64, at: u64) {
    let end = at + flow.dice.micros(900);
    flow.close(root, end);
    let bytes = flow.dice.between(900, 60_000);
    flow.put(root, [int("http.response.status_code", code), int("http.response.body.size", bytes)]);
    if code >= 500 {
        flow.fail(root, &code.to_string(), "");
    }
}

fn session(flow: &mut Flow<'_>, root: usize, at: u64) -> u64 {
    let key = format!("session:{}", flow.dice.hex(8));
    let (_, at) = flow.redis(root, "GET", &key, at);
    at + flow.dice.micros(600)
}

fn render(flow: &mut Flow<'_>, root: usize, template: &str, at: u64) -> u64 {
    let (span, at) = flow.work(root, "render", 3_500, at);
    flow.put(span, [text("app.template", template)]);
    at
}

fn home(flow: &mut Flow<'_>, at: u64) {
    let root = request(flow, "GET", "/", "/", at);
    let at = session(flow, root, at + 800_000);
    let products = Request { to: "catalog", method: "GET", route: "/api/products", path: "/api/products?limit=24" };
    let (at, _) = flow.call(root, &products, at, |flow, server, at| {
        let statement = "SELECT id, name, price_units, picture FROM products WHERE visible ORDER BY rank LIMIT $1";
        (flow.postgres(server, &sql("SELECT", "products", 4_200, statement), at), 200)
    });
    let at = at + flow.dice.micros(1_600);
    let at = render(flow, root, "home", at);
    answer(flow, root, 200, at);
}

fn product(flow: &mut Flow<'_>, at: u64) {
    let id = flow.dice.between(1, 400);
    let root = request(flow, "GET", "/product/{id}", &format!("/product/{id}"), at);
    let at = session(flow, root, at + 700_000);
    let missing = flow.dice.percent(1.5);
    let path = format!("/api/products/{id}");
    let product = Request { to: "catalog", method: "GET", route: "/api/products/{id}", path: &path };
    let (at, code) = flow.call(root, &product, at, |flow, server, at| {
        let statement = "SELECT id, name, description, price_units, picture FROM products WHERE id = $1";
        let at = flow.postgres(server, &sql("SELECT", "products", 1_400, statement), at);
        flow.put(server, [int("app.product.id", id)]);
        (at, if missing { 404 } else { 200 })
    });
    if code == 404 {
        let at = render(flow, root, "not-found", at + 400_000);
        return answer(flow, root, 404, at);
    }
    let at = at + flow.dice.micros(2_200);
    let at = stock(flow, root, id, at);
    let at = at + flow.dice.micros(1_500);
    let at = render(flow, root, "product", at);
    answer(flow, root, 200, at);
}

/// Asks `inventory` how much there is. One of its hosts has a wrong clock.
pub(crate) fn stock(flow: &mut Flow<'_>, caller: usize, id: u64, at: u64) -> u64 {
    let path = format!("/stock/{id}");
    let request = Request { to: "inventory", method: "GET", route: "/stock/{id}", path: &path };
    let healthy = flow.instance("inventory");
    let skewed = flow.fleet.skewed().filter(|_| flow.region == 0);
    let to = match skewed {
        Some(skewed) if flow.fault.is_none() && flow.dice.percent(8.0) => {
            flow.fault = Some(Fault::SkewedClock);
            skewed
        }
        _ => healthy,
    };
    let (_, (at, _)) = flow.call_instance(caller, to, crate::calls::Way::Direct, &request, at, |flow, server, at| {
        let statement = "SELECT available - reserved FROM stock WHERE product_id = $1";
        (flow.postgres(server, &sql("SELECT", "stock", 1_100, statement), at), 200)
    });
    at
}

fn search(flow: &mut Flow<'_>, at: u64) {
    let word = *flow.dice.pick(&WORDS);
    let root = request(flow, "GET", "/search", "/search", at);
    flow.put(root, [text("url.query", format!("q={}", word.replace(' ', "+")))]);
    let at = session(flow, root, at + 600_000);
    let waits = flow.dice.percent(6.0);
    let path = format!("/api/search?q={}", word.replace(' ', "+"));
    let api = Request { to: "catalog", method: "GET", route: "/api/search", path: &path };
    let (at, _) = flow.call(root, &api, at, |flow, server, at| {
        flow.put(server, [text("app.search.term", word)]);
        let at = if waits {
            flow.fault = Some(Fault::PoolWait);
            // The pool has no connection to give, and no span says so.
            at + flow.dice.between(160_000_000, 420_000_000)
        } else {
            at + flow.dice.micros(300)
        };
        let statement = "SELECT p.id, p.name FROM products p JOIN product_tags t ON t.product_id = p.id WHERE p.document @@ plainto_tsquery($1) GROUP BY p.id ORDER BY count(*) DESC LIMIT 24";
        let at = flow.postgres(server, &sql("SELECT", "products", 14_000, statement), at);
        let (span, at) = flow.work(server, "rank results", 2_600, at + 200_000);
        let hits = flow.dice.between(0, 24);
        flow.put(span, [int("app.search.hits", hits)]);
        (at, 200)
    });
    let at = at + flow.dice.micros(1_600);
    let at = render(flow, root, "search", at);
    answer(flow, root, 200, at);
}

/// What the visitor has in the cart, from `cart`, which keeps it in Redis.
pub(crate) fn read_cart(flow: &mut Flow<'_>, caller: usize, at: u64) -> (u64, u64) {
    let user = flow.dice.between(1_000, 9_999);
    let path = format!("/cart/u{user}");
    let request = Request { to: "cart", method: "GET", route: "/cart/{user}", path: &path };
    let times_out = flow.dice.percent(0.2);
    flow.call(caller, &request, at, |flow, server, at| {
        let (span, at) = flow.redis(server, "HGETALL", &format!("cart:u{user}"), at);
        if times_out {
            let at = at + 40_000_000;
            flow.close(span, at);
            flow.throw(
                span,
                at,
                "StackExchange.Redis.RedisTimeoutException",
                "Timeout performing HGETALL (40ms), next: HGETALL, inst: 0, qu: 0, qs: 12",
                "   at StackExchange.Redis.ConnectionMultiplexer.ExecuteAsyncImpl[T](Message message)\n   at Shop.Cart.Store.ReadAsync(String user)",
            );
            return (at, 500);
        }
        let items = flow.dice.between(1, 4);
        flow.put(server, [int("app.cart.items", items)]);
        (at + flow.dice.micros(300), 200)
    })
}

fn cart(flow: &mut Flow<'_>, at: u64) {
    let adds = flow.dice.percent(55.0);
    let (method, route) = if adds { ("POST", "/cart/items") } else { ("GET", "/cart") };
    let root = request(flow, method, route, route, at);
    let at = session(flow, root, at + 500_000);
    let (at, code) = if adds {
        let product = flow.dice.between(1, 400);
        let at = stock(flow, root, product, at);
        let at = at + flow.dice.micros(1_700);
        let add = Request { to: "cart", method: "POST", route: "/cart/{user}/items", path: "/cart/u7/items" };
        flow.call(root, &add, at, |flow, server, at| {
            let (_, at) = flow.redis(server, "HSET", "cart:u7", at);
            flow.event(server, at, "cart.changed", vec![int("app.product.id", product), int("app.quantity", 1)]);
            (at, 204)
        })
    } else {
        read_cart(flow, root, at)
    };
    let at = at + flow.dice.micros(1_500);
    let at = render(flow, root, "cart", at);
    answer(flow, root, if code >= 500 { 500 } else { 200 }, at);
}

/// Past orders: one query for the orders, and one for the items of each.
fn orders(flow: &mut Flow<'_>, at: u64) {
    let root = request(flow, "GET", "/orders", "/orders", at);
    let at = session(flow, root, at + 500_000);
    let user = flow.dice.between(1_000, 9_999);
    // Most customers have few orders, and for them nobody notices.
    let count = if flow.dice.percent(45.0) { flow.dice.between(10, 42) } else { flow.dice.between(0, 3) };
    if count >= 10 {
        flow.fault = Some(Fault::NPlusOne);
    }
    let api = Request { to: "checkout", method: "GET", route: "/api/orders", path: "/api/orders" };
    let (at, _) = flow.call(root, &api, at, |flow, server, at| {
        let statement =
            format!("SELECT id, placed_at, total_units FROM orders WHERE user_id = {user} ORDER BY placed_at DESC");
        let mut at = flow.postgres(server, &sql("SELECT", "orders", 3_000, &statement), at);
        at += flow.dice.between(3_000_000, 4_000_000);
        let newest = flow.dice.between(400_000, 900_000);
        for order in 0..count {
            let id = newest - order * 37;
            let statement = format!("SELECT product_id, quantity, price_units FROM order_items WHERE order_id = {id}");
            at = flow.postgres(server, &sql("SELECT", "order_items", 8_500, &statement), at + 60_000);
        }
        flow.put(server, [int("app.orders.count", count)]);
        (at, 200)
    });
    let at = at + flow.dice.micros(1_500);
    let at = render(flow, root, "orders", at);
    answer(flow, root, 200, at);
}

/// Asks four services one after the other, though none needs another's answer.
fn gift_finder(flow: &mut Flow<'_>, at: u64) {
    flow.fault = Some(Fault::SequentialCalls);
    let root = request(flow, "GET", "/gift-finder", "/gift-finder", at);
    let mut at = session(flow, root, at + 500_000);
    let mut calls = [
        ("catalog", "/api/gifts", "SELECT", "products", 38_000),
        ("inventory", "/stock/gifts", "SELECT", "stock", 30_000),
        ("shipping", "/quotes", "SELECT", "rates", 34_000),
        ("pay", "/instalments", "SELECT", "plans", 26_000),
    ];
    // One in four asks the other way round: so none needs the answer of another, and the rule can know it.
    if flow.dice.percent(25.0) {
        calls.reverse();
    }
    for (service, route, operation, table, micros) in calls {
        let request = Request { to: service, method: "GET", route, path: route };
        let (answered, _) = flow.call(root, &request, at, |flow, server, at| {
            let statement = format!("{operation} * FROM {table} WHERE gift AND region = $1");
            (flow.postgres(server, &sql(operation, table, micros, &statement), at), 200)
        });
        at = answered + flow.dice.between(100_000, 400_000);
    }
    let budget = flow.dice.between(10, 90) as f64;
    flow.put(root, [double("app.gift.budget", budget)]);
    let at = render(flow, root, "gift-finder", at);
    answer(flow, root, 200, at);
}
