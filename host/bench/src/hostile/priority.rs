//! The priority of clients whose delays, or whose use of the cores, are not to be taken for the server's.

use std::io;

/// Gives this process real-time priority. Without the permission it stays as it is, and the benchmark says
/// how late it was.
pub fn raise() {
    if let Err(error) = set_fifo() {
        eprintln!("the client has no real-time priority: {error}");
    }
}

/// Has this process run when the server needs the core less: it stands for machines elsewhere.
///
/// # Errors
/// If the system refuses it.
pub fn lower() -> io::Result<()> {
    Ok(rustix::process::setpriority_process(None, 10)?)
}

fn set_fifo() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters are valid for reads during the call, and 0 is this thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
