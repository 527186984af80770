//! The resource `options`: the options of a new listener.

use crate::bindings::exports::evconn::tcp::listener::{Callback, Duration, GuestOptions};
use crate::bindings::wasi::sockets::types::ErrorCode;
use evconn_listener_state::{Deferral, Options};
use std::cell::Cell;

/// Returns an error for options that wasi-sockets does not support.
pub fn check_supported(options: &Options) -> Result<(), ErrorCode> {
    match options.reuse_port {
        true => Err(ErrorCode::NotSupported),
        false => Ok(()),
    }
}

/// The representation of the resource `options`.
#[derive(Default)]
pub struct OptionsCell(Cell<Options>);

impl OptionsCell {
    /// Returns the current values.
    pub fn get(&self) -> Options {
        self.0.get()
    }

    fn change(&self, change: impl FnOnce(&mut Options)) {
        let mut options = self.0.get();
        change(&mut options);
        self.0.set(options);
    }
}

impl GuestOptions for OptionsCell {
    fn new() -> Self {
        Self::default()
    }

    fn set_backlog(&self, size: u32) -> Result<(), ErrorCode> {
        if size == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        self.change(|options| options.backlog = size);
        Ok(())
    }

    fn set_enabled(&self, enabled: bool) {
        self.change(|options| options.settings.enabled = enabled);
    }

    fn set_callback(&self, callback: Option<Callback>) {
        self.change(|options| options.settings.callback = callback);
    }

    fn set_error_callback(&self, callback: Option<Callback>) {
        self.change(|options| options.settings.error_callback = callback);
    }

    fn set_dual_stack(&self, value: bool) {
        self.change(|options| options.dual_stack = value);
    }

    fn set_ipv6_only(&self, value: bool) {
        self.change(|options| options.ipv6_only = value);
    }

    fn set_reuse_port(&self, value: bool) {
        self.change(|options| options.reuse_port = value);
    }

    fn set_deferred_accept(&self, max_held: u32, timeout: Duration) -> Result<(), ErrorCode> {
        if max_held == 0 || timeout == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let policy = Deferral { max_held, timeout };
        self.change(|options| options.deferred = Some(policy));
        Ok(())
    }
}
