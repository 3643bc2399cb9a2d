//! The shop's vocabulary: statements, failures with stack traces, user agents, and the long tail of `app.*` keys.

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::fleet::Service;
use crate::corpus::attributes::{bytes, double, flag, int, map, text, texts};
use crate::dice::{Dice, Zipf};

/// A SQL statement as the services prepare it.
pub(in crate::corpus) struct Statement {
    pub operation: &'static str,
    pub table: &'static str,
    pub server: &'static str,
    /// Median duration.
    pub micros: f64,
    /// With `$1` and so on for parameters.
    text: &'static str,
}

const fn statement(
    operation: &'static str,
    table: &'static str,
    server: &'static str,
    micros: f64,
    text: &'static str,
) -> Statement {
    Statement { operation, table, server, micros, text }
}

const CATALOG_DB: &str = "catalog-db-ro";
const INVENTORY_DB: &str = "inventory-db-rw";
const LEDGER_DB: &str = "ledger-db-rw";

pub(in crate::corpus) const LIST_PRODUCTS: Statement = statement(
    "SELECT",
    "products",
    CATALOG_DB,
    2_200.0,
    "SELECT id, name, description, picture, price_units, price_nanos FROM products WHERE visible ORDER BY rank LIMIT $1",
);
pub(in crate::corpus) const GET_PRODUCT: Statement = statement(
    "SELECT",
    "products",
    CATALOG_DB,
    700.0,
    "SELECT id, name, description, picture, price_units FROM products WHERE id = $1",
);
pub(in crate::corpus) const SEARCH_PRODUCTS: Statement = statement(
    "SELECT",
    "products",
    CATALOG_DB,
    6_500.0,
    "SELECT p.id, p.name FROM products p JOIN product_tags t ON t.product_id = p.id WHERE p.document @@ plainto_tsquery($1) GROUP BY p.id ORDER BY count(*) DESC LIMIT 24",
);
pub(in crate::corpus) const RESERVE_STOCK: Statement = statement(
    "UPDATE",
    "stock",
    INVENTORY_DB,
    1_800.0,
    "UPDATE stock SET reserved = reserved + $2 WHERE product_id = $1 AND available - reserved >= $2 RETURNING available",
);
pub(in crate::corpus) const READ_STOCK: Statement = statement(
    "SELECT",
    "stock",
    INVENTORY_DB,
    600.0,
    "SELECT available, reserved FROM stock WHERE product_id = $1 AND warehouse_id = $2",
);
pub(in crate::corpus) const INSERT_ORDER: Statement = statement(
    "INSERT",
    "orders",
    LEDGER_DB,
    2_600.0,
    "INSERT INTO orders (order_id, user_id, total_units, total_nanos, currency, placed_at) VALUES ($1, $2, $3, $4, $5, now())",
);
pub(in crate::corpus) const GET_ORDER: Statement = statement(
    "SELECT",
    "orders",
    LEDGER_DB,
    900.0,
    "SELECT order_id, state, total_units, placed_at FROM orders WHERE order_id = $1 AND user_id = $2",
);

/// The statement as the instrumentation saw it: one in twelve with a literal in place of its first parameter.
pub(in crate::corpus) fn query_text(statement: &Statement, dice: &mut Dice) -> String {
    if dice.chance(1.0 / 12.0) {
        return statement.text.replace("$1", &format!("'{}'", product(dice)));
    }
    statement.text.to_owned()
}

/// A product id: ten favourites, thousands of others.
pub(in crate::corpus) fn product(dice: &mut Dice) -> String {
    const FAVOURITES: [&str; 10] = [
        "OLJCESPC7Z",
        "66VCHSJNUP",
        "1YMWWN1N4O",
        "L9ECAV7KIM",
        "2ZYFJ3GM2N",
        "0PUK6V6EV0",
        "LS4PSXUNUM",
        "9SIQT8TOJO",
        "6E92ZMYYFZ",
        "HQTGWGPNH4",
    ];
    if dice.chance(0.7) {
        return (*dice.pick(&FAVOURITES)).to_owned();
    }
    format!("P{:08}", dice.below(4000) * 7919)
}

/// A browser, as it names itself.
pub(in crate::corpus) fn user_agent(dice: &mut Dice) -> &'static str {
    const AGENTS: [&str; 8] = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0",
        "ShopApp/8.14.2 (Android 15; Pixel 9)",
        "python-requests/2.32.4",
    ];
    dice.pick::<&'static str>(&AGENTS)
}

/// A public client address.
pub(in crate::corpus) fn client_address(dice: &mut Dice) -> String {
    format!("{}.{}.{}.{}", dice.between(11, 223), dice.below(256), dice.below(256), dice.between(1, 254))
}

/// Why something failed.
pub(in crate::corpus) struct Failure {
    pub kind: &'static str,
    pub message: String,
    pub stack_trace: String,
}

/// A failure in the language of the service, with a stack trace.
pub(in crate::corpus) fn failure(service: Service, dice: &mut Dice) -> Failure {
    let (kind, message) = match dice.below(5) {
        0 => ("TimeoutException", format!("operation did not complete within {} ms", dice.between(1, 30) * 100)),
        1 => ("ConnectionResetError", format!("connection to 10.96.{}.{} was reset", dice.below(32), dice.below(256))),
        2 => ("IllegalStateException", "connection pool shut down".to_owned()),
        3 => ("ValidationError", format!("product {} is not available in this region", product(dice))),
        _ => ("DeadlockDetected", format!("process {} waits for ShareLock", dice.between(1000, 60_000))),
    };
    let package = service.name().replace('-', "_");
    let frames = dice.between(5, 15);
    let mut stack_trace = format!("{kind}: {message}\n");
    for depth in 0..frames {
        const FUNCTIONS: [&str; 6] = ["handle", "execute", "invoke", "doFilter", "acquireConnection", "run"];
        let function = FUNCTIONS[(depth % 6) as usize];
        let line = 20 + depth * 13 + dice.below(3);
        stack_trace.push_str(&format!("    at com.shop.{package}.layer{depth}.{function}(Layer{depth}.java:{line})\n"));
    }
    Failure { kind, message, stack_trace }
}

/// Keys that few spans carry: what teams add for themselves.
pub(in crate::corpus) struct LongTail {
    keys: Vec<String>,
    frequency: Zipf,
    values: Zipf,
}

/// Share of spans with a key of the long tail.
const SPRINKLED_SHARE: f64 = 0.12;

impl LongTail {
    pub(in crate::corpus) fn new() -> Self {
        const TOPICS: [&str; 20] = [
            "promo",
            "bundle",
            "loyalty",
            "warehouse",
            "carrier",
            "tax",
            "locale",
            "experiment",
            "cohort",
            "channel",
            "device",
            "campaign",
            "partner",
            "wishlist",
            "review",
            "price",
            "discount",
            "region",
            "basket",
            "session",
        ];
        const ASPECTS: [&str; 20] = [
            "id",
            "name",
            "count",
            "score",
            "enabled",
            "version",
            "tier",
            "source",
            "reason",
            "retries",
            "ratio",
            "group",
            "bucket",
            "state",
            "latency_ms",
            "size",
            "rank",
            "hint",
            "override",
            "checked",
        ];
        let keys = TOPICS.iter().flat_map(|topic| ASPECTS.iter().map(move |aspect| format!("app.{topic}.{aspect}")));
        let mut keys: Vec<String> = keys.collect();
        // So that the frequent keys are not all of one topic.
        let mut dice = Dice::new(41);
        for at in (1..keys.len()).rev() {
            keys.swap(at, dice.below(at as u64 + 1) as usize);
        }
        Self { frequency: Zipf::new(keys.len(), 1.1), values: Zipf::new(400, 1.0), keys }
    }

    /// Adds one to three such keys to a few spans. A key keeps its type, except `app.retry`, which services disagree on.
    pub(in crate::corpus) fn sprinkle(&self, attributes: &mut Vec<KeyValue>, dice: &mut Dice) {
        if !dice.chance(SPRINKLED_SHARE) {
            return;
        }
        for _ in 0..dice.between(1, 3) {
            let at = self.frequency.draw(dice);
            let (key, value) = (self.keys[at].as_str(), self.values.draw(dice) as u64);
            attributes.push(match at % 7 {
                0 | 1 | 5 => text(key, format!("{}-{value:03}", &key[4..key.len().min(9)])),
                2 | 3 => int(key, value),
                4 => flag(key, value % 3 == 0),
                _ => double(key, value as f64 / 8.0),
            });
        }
        match dice.below(60) {
            0 => attributes.push(texts("app.flags", (0..dice.between(1, 4)).map(|n| format!("flag-{n}")))),
            1 => attributes.push(map("app.totals", vec![int("units", dice.below(900)), text("currency", "EUR")])),
            2 => attributes.push(bytes("app.digest", dice.id::<16>().to_vec())),
            3 => attributes.push(int("app.retry", dice.below(4))),
            4 => attributes.push(text("app.retry", "exhausted")),
            _ => {}
        }
    }
}
