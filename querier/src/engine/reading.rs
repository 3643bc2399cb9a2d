//! What one row group has of the fields of a plan: which to read, and the columns that come of it.

use std::sync::Arc;

use spanlake_block::{Damage, RowField, RowValues};

use super::batch::Opened;
use super::column::{Column, Origin, may_have, origin};
use super::compile::Expr;
use super::eval::Rows;
use super::plan::Plan;
use crate::error::Error;
use crate::fetch::Reads;
use crate::fields::WhichRows;

/// Fields of all rows of a row group, by the places of a plan.
pub(super) struct Reading<'a> {
    opened: &'a Opened,
    plan: &'a Arc<Plan>,
    row_group: usize,
    fields: Vec<RowField>,
    origins: Vec<Option<Vec<usize>>>,
}

/// All rows of a row group as they were read.
pub(super) struct ReadRows {
    pub(super) row_count: usize,
    /// By the places of the plan; none where nothing was asked for, or nothing can be there.
    pub(super) columns: Vec<Option<Column>>,
    /// What was asked for beside, in its order.
    pub(super) beside: Vec<RowValues>,
}

impl ReadRows {
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows { row_count: self.row_count, columns: &self.columns }
    }
}

impl<'a> Reading<'a> {
    /// The fields at the given places, which are all of rows.
    pub(super) fn new(
        opened: &'a Opened,
        row_group: usize,
        plan: &'a Arc<Plan>,
        places: impl IntoIterator<Item = usize>,
    ) -> Self {
        let mut fields: Vec<RowField> = Vec::new();
        let mut origins = vec![None; plan.fields.0.len()];
        for place in places {
            let Origin::Rows(rows) = origin(&plan.fields.0[place]) else { continue };
            let there = rows.into_iter().filter(|row| may_have(&opened.block, &opened.search, row_group, row));
            let places = there.map(|row| match fields.iter().position(|known| *known == row) {
                Some(at) => at,
                None => {
                    fields.push(row);
                    fields.len() - 1
                }
            });
            origins[place] = Some(places.collect());
        }
        Self { opened, plan, row_group, fields, origins }
    }

    /// The fields that expressions name.
    pub(super) fn of<'e>(
        opened: &'a Opened,
        row_group: usize,
        plan: &'a Arc<Plan>,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> Self {
        let mut places = Vec::new();
        exprs.into_iter().for_each(|expr| expr.each_field(&mut |place| places.push(place)));
        Self::new(opened, row_group, plan, places)
    }

    /// Reads them and what is asked for beside, and hands all to `then`, on a thread that may block. At most one ranged read.
    ///
    /// # Errors
    /// [`Error`], also past the query's memory.
    pub(super) async fn read<T: Send + 'static>(
        self,
        reads: &Reads<'_>,
        beside: &[RowField],
        then: impl Fn(ReadRows) -> Result<T, Damage> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let Self { opened, plan, row_group, mut fields, origins } = self;
        let own = fields.len();
        fields.extend_from_slice(beside);
        let row_count = opened.block.row_count(row_group);
        reads.inspect_spans(row_count as u64);
        let plan = Arc::clone(plan);
        let then = move |mut read: Vec<RowValues>| {
            let beside = read.split_off(own);
            let column = |(field, origins): (&spanlake_traceql::Field, &Option<Vec<usize>>)| {
                let values = origins.as_ref().filter(|origins| !origins.is_empty())?;
                Some(Column::new(field, values.iter().map(|at| read[*at].clone()).collect(), row_count))
            };
            let columns = plan.fields.0.iter().zip(&origins).map(column).collect();
            then(ReadRows { row_count, columns, beside })
        };
        reads.fields(opened.parts(), row_group, fields, WhichRows::All, then).await
    }
}
