//! What a service manager is told, on its socket.

use crate::support::manager::Manager;

#[test]
fn it_is_told_when_it_is_ready_and_when_it_is_stopping() {
    let _open = crate::support::descriptors::unchanged();
    let manager = Manager::new();
    let evconn = manager.start(super::TEST_GUEST, &["--grace", "600"]);
    assert_eq!(manager.hear(), ["READY=1"]);
    let peer = super::echoing(evconn.address());
    evconn.signal(rustix::process::Signal::TERM);
    // A connection is open still.
    assert_eq!(manager.hear(), ["STOPPING=1"]);
    drop(peer);
    assert_eq!(evconn.wait().status.code(), Some(0));
}
