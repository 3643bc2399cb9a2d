//! Work for what comes with a request: no storage, but a turn, a time limit and memory like any query's.

use spanlake_model::Tenant;
use spanlake_table::Held;

use super::Querier;
use crate::error::Error;
use crate::fetch::Reads;

impl Querier {
    /// Charges for memory that a request takes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn hold(&self, bytes: u64) -> Result<Held, Error> {
        Reads::new(&self.inner.shared).hold(bytes)
    }

    /// Does work that may be long, when its turn comes; meanwhile `memory_bytes` are charged for it.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn computed<T: Send + 'static>(
        &self,
        tenants: &[Tenant],
        memory_bytes: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.admit(tenants, async {
            let held = self.hold(memory_bytes)?;
            let work = move || {
                let done = work();
                drop(held);
                done
            };
            self.inner.shared.compute(work).await
        })
        .await
    }
}
