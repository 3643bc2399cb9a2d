//! From a text to a plan that can run, on a thread of its own.
//!
//! Parser, planner and optimizer recurse as deeply as a query nests. The thread has a stack for the deepest text that
//! [`look`](super::text::look) lets through; what nests deeper than running it can bear is refused before it is optimized.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as Ast;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use tokio::runtime::Handle;

use super::error::SqlError;

/// Deepest nesting of expressions and of plans that is run. Running recurses too, on threads with stacks of a usual size.
pub const MAX_SQL_DEPTH: usize = 200;

/// Deepest nesting that the parser follows: parentheses, subqueries.
pub(super) const PARSER_DEPTH: usize = 50;

/// Address space of the planning thread's stack; only what is used of it becomes memory. The deepest text has 2,000
/// levels, and a level of the planner takes up to 20 kB in a build without optimization.
const STACK_BYTES: usize = 256 << 20;

/// Plans a query.
///
/// # Errors
/// [`SqlError`].
pub(super) async fn plan(state: SessionState, sql: String) -> Result<Arc<dyn ExecutionPlan>, SqlError> {
    let runtime = Handle::current();
    let (done, planned) = tokio::sync::oneshot::channel();
    #[expect(
        clippy::disallowed_methods,
        reason = "this thread is no thread of the runtime: it has a large stack and plans one query"
    )]
    let work = move || {
        // Nobody waits any more when the query was dropped.
        let _ = done.send(runtime.block_on(plan_here(&state, &sql)));
    };
    let thread = std::thread::Builder::new().name("sql-planner".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(work).map_err(|error| SqlError::Internal(format!("no thread to plan on: {error}")))?;
    planned.await.unwrap_or_else(|_| Err(SqlError::Internal("the planner met a case it was not made for".to_owned())))
}

async fn plan_here(state: &SessionState, sql: &str) -> Result<Arc<dyn ExecutionPlan>, SqlError> {
    let statement = parse(sql)?;
    let plan = state.statement_to_plan(statement).await?;
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan)?;
    check_depth(&plan)?;
    yielding(state.create_physical_plan(&plan).await?)
}

/// The plan, with joins that let other tasks run now and then: they can give rows without end for few that they take,
/// and the engine itself yields only where rows are taken.
fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, SqlError> {
    let wrapped = plan.transform_up(|node| {
        if node.name().ends_with("JoinExec") {
            return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(wrapped.data)
}

fn parse(sql: &str) -> Result<Statement, SqlError> {
    let dialect = GenericDialect {};
    let mut parser = DFParserBuilder::new(sql).with_dialect(&dialect).with_recursion_limit(PARSER_DEPTH).build()?;
    let mut statements: VecDeque<Statement> = parser.parse_statements()?;
    let invalid = |text: &str| Err(SqlError::Invalid(text.to_owned()));
    let Some(statement) = statements.pop_front() else { return invalid("there is no SQL") };
    if !statements.is_empty() {
        return invalid("one statement is answered at a time");
    }
    let reads = match &statement {
        Statement::Statement(ast) => reads(ast),
        Statement::Explain(explain) => matches!(explain.statement.as_ref(), Statement::Statement(ast) if reads(ast)),
        _ => false,
    };
    if reads {
        Ok(statement)
    } else {
        invalid("only SELECT, EXPLAIN, DESCRIBE and SHOW are answered: nothing is changed")
    }
}

fn reads(ast: &Ast) -> bool {
    match ast {
        Ast::Query(_)
        | Ast::ExplainTable { .. }
        | Ast::ShowTables { .. }
        | Ast::ShowColumns { .. }
        | Ast::ShowFunctions { .. } => true,
        Ast::Explain { statement, .. } => matches!(statement.as_ref(), Ast::Query(_)),
        _ => false,
    }
}

/// Checks how deeply a plan nests, its expressions and subqueries included.
fn check_depth(plan: &LogicalPlan) -> Result<(), SqlError> {
    let too_deep = || {
        let text = format!(
            "the SQL nests {MAX_SQL_DEPTH} levels or deeper (a chain of n operators nests n levels): \
             instead of many comparisons with OR write IN (...)"
        );
        Err(SqlError::Invalid(text))
    };
    let mut plans = vec![(plan, 0)];
    while let Some((plan, depth)) = plans.pop() {
        if depth >= MAX_SQL_DEPTH {
            return too_deep();
        }
        plans.extend(plan.inputs().into_iter().map(|input| (input, depth + 1)));
    }
    let mut is_deep = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            is_deep |= depth_of(expr) >= MAX_SQL_DEPTH;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if is_deep { too_deep() } else { Ok(()) }
}

/// How many levels an expression has.
fn depth_of(root: &Expr) -> usize {
    let mut deepest = 0;
    let mut pending = vec![(root, 1)];
    while let Some((expr, depth)) = pending.pop() {
        deepest = deepest.max(depth);
        // The walk only lists children and goes no deeper by itself.
        let listed = expr.apply_children(|child| {
            pending.push((child, depth + 1));
            Ok(TreeNodeRecursion::Continue)
        });
        if listed.is_err() {
            return usize::MAX;
        }
    }
    deepest
}
