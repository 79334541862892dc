//! A future that can stand still, as a process does whose container is paused.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Stops and restarts a [`Pausable`].
#[derive(Debug, Clone, Default)]
pub(super) struct Switch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    paused: bool,
    waker: Option<Waker>,
}

impl Switch {
    pub(super) fn pause(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).paused = true;
    }

    pub(super) fn resume(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.paused = false;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Whether to stand still; then `context` is woken on resumption.
    fn stands(&self, context: &Context<'_>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.paused {
            state.waker = Some(context.waker().clone());
        }
        state.paused
    }
}

/// A future with a [`Switch`].
pub(super) struct Pausable<F> {
    inner: Pin<Box<F>>,
    switch: Switch,
}

impl<F> Pausable<F> {
    pub(super) fn new(inner: F, switch: &Switch) -> Self {
        Self { inner: Box::pin(inner), switch: switch.clone() }
    }
}

impl<F: Future> Future for Pausable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.switch.stands(context) {
            return Poll::Pending;
        }
        self.inner.as_mut().poll(context)
    }
}
