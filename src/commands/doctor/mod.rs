//! `spanlake doctor`: looks for what is wrong before somebody asks, and says the fix.
//!
//! It changes nothing but one small object under `probe/`, which it removes.

mod machine;
mod server;
mod store;

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::Outcome;
use super::options::{FormArgs, Output};
use super::report::{Column, Report, Row};
use super::terminal::{self, Paint, Progress};
use crate::cli::SettingArgs;
use crate::client::{Failure, TargetArgs};
use crate::config::{self, Config};

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Blocks whose checksums are verified, the newest first. Each is read whole.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    blocks: usize,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    form: FormArgs,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// It could not be looked at, and that is no fault.
    Skipped,
    /// All is well.
    Ok,
    /// It works, but not for long or not well.
    Warn,
    /// It does not work.
    Fail,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Skipped => "-",
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    name: String,
    verdict: Verdict,
    text: String,
    fix: String,
}

impl Check {
    fn ok(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, text: text.into(), fix: String::new() }
    }

    fn skipped(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, ..Self::ok(name, text) }
    }

    fn warn(name: impl Into<String>, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, fix: fix.into(), ..Self::ok(name, text) }
    }

    fn fail(name: impl Into<String>, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, fix: fix.into(), ..Self::ok(name, text) }
    }
}

pub(super) async fn run(args: &DoctorArgs) -> anyhow::Result<Outcome> {
    args.form.without_otlp()?;
    let progress = Progress::begin("looking at the configuration");
    let target = args.target.resolve()?;
    let (config, mut checks) = configuration(args, target.storage.as_deref());
    progress.say("asking the server");
    let server = server::ask(&args.target, target.url.as_deref(), config.as_ref()).await;
    if let Some(config) = &config {
        checks.extend(machine::checks(config, server.is_up));
        progress.say("trying the store");
        checks.extend(store::checks(config, target.tenant.as_deref(), args.blocks).await);
    }
    checks.extend(server.checks);
    progress.end();
    report(&checks, args.form.output, args.form.paint())?;
    match checks.iter().map(|check| check.verdict).max() {
        Some(Verdict::Fail) => {
            let count = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
            let things = if count == 1 { "one check fails".to_owned() } else { format!("{count} checks fail") };
            Err(Failure::error(format!("{things}: see the fix below each")).into())
        }
        _ => Ok(Outcome::Done),
    }
}

/// The settings, and what is wrong with them.
fn configuration(args: &DoctorArgs, storage: Option<&str>) -> (Option<Config>, Vec<Check>) {
    let settings = SettingArgs {
        config: args.target.config.clone(),
        storage_url: storage.map(crate::client::with_scheme),
        set: args.target.set.clone(),
        ..SettingArgs::default()
    };
    match config::load(&settings, std::env::vars_os()) {
        Ok(loaded) => {
            let count = loaded.origins.len();
            let text = match count {
                0 => "every setting has its default".to_owned(),
                1 => "1 setting is not at its default".to_owned(),
                count => format!("{count} settings are not at their defaults"),
            };
            (Some(loaded.config), vec![Check::ok("configuration", text)])
        }
        Err(problems) => {
            let checks = problems.0.iter().map(|problem| {
                let place = problem.origin.as_ref().map_or_else(String::new, |origin| format!("{origin}: "));
                let fix = "correct it; `spanlake config check` shows the line";
                Check::fail("configuration", format!("{place}{}", problem.message), fix)
            });
            (None, checks.collect())
        }
    }
}

fn report(checks: &[Check], output: Output, paint: Paint) -> anyhow::Result<()> {
    if matches!(output, Output::Table | Output::Wide) {
        return terminal::print(lines(checks, paint));
    }
    let row = |check: &Check| Row {
        cells: vec![
            check.name.as_str().into(),
            check.verdict.name().into(),
            check.text.as_str().into(),
            check.fix.as_str().into(),
        ],
        json: json!({
            "check": check.name,
            "verdict": check.verdict.name().to_lowercase(),
            "text": check.text,
            "fix": (!check.fix.is_empty()).then_some(&check.fix),
        }),
        is_bad: check.verdict == Verdict::Fail,
    };
    let rows: Vec<Row> = checks.iter().map(row).collect();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    checks.iter().for_each(|check| *counts.entry(check.verdict.name()).or_default() += 1);
    let all: Vec<Value> = rows.iter().map(|row| row.json.clone()).collect();
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    let json = json!({ "checks": all, "ok": count("OK"), "warn": count("WARN"), "fail": count("FAIL") });
    let columns = ["CHECK", "VERDICT", "TEXT", "FIX"].map(Column::text).to_vec();
    let form = FormArgs { output, ..FormArgs::default() };
    Report { columns, rows, json }.print(&form)
}

/// A line for each check, and its fix below it.
fn lines(checks: &[Check], paint: Paint) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let verdict = format!("{:<4}", check.verdict.name());
        let verdict = match check.verdict {
            Verdict::Ok => paint.good(&verdict),
            Verdict::Warn => paint.warn(&verdict),
            Verdict::Fail => paint.bad(&verdict),
            Verdict::Skipped => paint.dim(&verdict),
        };
        let name = format!("{:<width$}", check.name);
        out.push_str(&format!("{verdict}  {}  {}\n", paint.head(&name), super::report::plain(&check.text)));
        if !check.fix.is_empty() {
            out.push_str(&format!("      {:width$}  {}\n", "", paint.dim(&format!("fix: {}", check.fix))));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_become_lines() {
        let checks = [Check::ok("clock", "right"), Check::fail("disk", "full", "free some")];
        let text = lines(&checks, Paint { is_on: false });
        assert_eq!(text, "OK    clock  right\nFAIL  disk   full\n             fix: free some\n");
    }
}
