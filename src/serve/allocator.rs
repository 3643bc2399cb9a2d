//! How soon freed memory goes back to the system.
//!
//! The allocator keeps freed pages for a second before it returns them. Under steady load that second never passes for most
//! of them: half of what a busy process held was memory that nobody used. The allocator takes the delay from the environment
//! alone, and before `main`; so the process starts itself anew with it, once.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The allocator's variable, in milliseconds.
const DELAY: &str = "MIMALLOC_PURGE_DELAY";
/// Measured against others in docs/memory.md.
const DELAY_MILLIS: &str = "100";

/// Starts the same program with the same arguments, in the same process, unless the variable is set already. Returns when it is,
/// or when that cannot be done: then more memory is kept, and nothing else differs.
pub fn return_freed_memory_soon() {
    if std::env::var_os(DELAY).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let error = Command::new(program).args(std::env::args_os().skip(1)).env(DELAY, DELAY_MILLIS).exec();
    eprintln!("warning: freed memory is kept longer, since the program cannot start itself anew: {error}");
}
