//! The newsletter: one trace of 20,000 spans, in chunks that eight workers send, and the delivery of a single mail.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::Story;
use crate::attribute::{int, text};
use crate::calls::sql;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::fleet::Fleet;
use crate::flow::{Flow, Parent, Scope};

const CHUNKS: u64 = 100;
/// Each mail is two spans, each chunk two more.
const MAILS_PER_CHUNK: u64 = 100;
const WORKERS: usize = 8;

/// Hands a mail to the server that sends it.
pub(crate) fn deliver(flow: &mut Flow<'_>, parent: usize, at: u64) -> u64 {
    let from = flow.instance_of(parent);
    let span = flow.open(from, Scope::Own, Parent::Local(parent), SpanKind::Client, "SMTP DATA", at);
    let bytes = flow.dice.between(4_000, 60_000);
    flow.put(
        span,
        [
            text("server.address", "smtp.example.net"),
            int("server.port", 587),
            text("network.protocol.name", "smtp"),
            int("app.mail.bytes", bytes),
        ],
    );
    let end = at + flow.dice.micros(18_000);
    flow.close(span, end);
    end
}

pub(crate) fn newsletter(fleet: &Fleet, dice: Dice, at: u64) -> Story {
    let mut flow = Flow::new(fleet, dice, 0);
    flow.fault = Some(Fault::LargeBatch);
    let mailer = flow.instance("mailer");
    let root = flow.open(mailer, Scope::Own, Parent::None, SpanKind::Internal, "newsletter.run", at);
    flow.put(root, [text("app.newsletter", "weekly"), int("app.recipients", CHUNKS * MAILS_PER_CHUNK)]);
    let mut at = at + 2_000_000;
    for number in 0..CHUNKS {
        at = chunk(&mut flow, root, number, at) + 1_000_000;
    }
    flow.close(root, at);
    debug_assert!(flow.span_count() > 20_000);
    flow.finish()
}

fn chunk(flow: &mut Flow<'_>, root: usize, number: u64, at: u64) -> u64 {
    let mailer = flow.instance_of(root);
    let chunk = flow.open(mailer, Scope::Own, Parent::Local(root), SpanKind::Internal, "newsletter.chunk", at);
    flow.put(chunk, [int("app.chunk", number)]);
    let statement = "SELECT id, address, language FROM customers WHERE newsletter ORDER BY id OFFSET $1 LIMIT 100";
    let begins = flow.postgres(chunk, &sql("SELECT", "customers", 9_000, statement), at + 300_000);
    let mut free = [begins; WORKERS];
    for (worker, at) in free.iter_mut().enumerate() {
        *at += worker as u64 * 900_000;
    }
    for mail in 0..MAILS_PER_CHUNK {
        let worker = (0..WORKERS).min_by_key(|worker| free[*worker]).unwrap_or(0);
        let begins = free[worker];
        let span = flow.open(mailer, Scope::Own, Parent::Local(chunk), SpanKind::Internal, "newsletter.mail", begins);
        flow.put(span, [int("app.recipient", number * MAILS_PER_CHUNK + mail), int("app.worker", worker as u64)]);
        let sent = deliver(flow, span, begins + 1_500_000);
        flow.close(span, sent + 100_000);
        free[worker] = sent + 150_000;
    }
    let end = free.into_iter().max().unwrap_or(begins);
    flow.close(chunk, end);
    end
}
