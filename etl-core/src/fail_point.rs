//! Named places at which a test ends or holds the process.
//!
//! `fail_point!("name")` is nothing at all unless the feature `fail-points` is on, which no
//! released program has: neither the names nor the code are in it. `fail_point!("name", request)`
//! is the request's answer, and a place anywhere while the request is under way.

/// A place at which a test may end or hold the process.
#[cfg(not(feature = "fail-points"))]
#[doc(hidden)]
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {};
    ($name:literal, $request:expr) => {
        $request.await
    };
}

/// A place at which a test may end or hold the process.
#[cfg(feature = "fail-points")]
#[doc(hidden)]
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {
        $crate::fail_point::reached($name)
    };
    ($name:literal, $request:expr) => {
        $crate::fail_point::during($name, $request).await
    };
}

#[cfg(feature = "fail-points")]
pub use armed::{arm, during, reached};

#[cfg(feature = "fail-points")]
mod armed {
    use std::pin::pin;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// What is done at the place, which is told its name.
    type Action = fn(&str);

    struct Armed {
        name: String,
        nth: u64,
        passed: AtomicU64,
        action: Action,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// The n-th time that the place of this name is reached, `action` is called there. One place
    /// of a process can be armed, once.
    pub fn arm(name: &str, nth: u64, action: Action) {
        ARMED.get_or_init(|| Armed { name: name.to_owned(), nth, passed: 0.into(), action });
    }

    fn due(name: &str) -> Option<Action> {
        let armed = ARMED.get().filter(|armed| armed.name == name)?;
        let passes = armed.passed.fetch_add(1, Ordering::SeqCst) + 1;
        (passes == armed.nth).then_some(armed.action)
    }

    /// The place is reached.
    pub fn reached(name: &str) {
        if let Some(action) = due(name) {
            action(name);
        }
    }

    /// A request is under way: what is due happens when it was just sent or a few milliseconds
    /// later, whether it was answered by then or not.
    pub async fn during<T>(name: &str, request: impl Future<Output = T>) -> T {
        let Some(action) = due(name) else { return request.await };
        let mut request = pin!(request);
        let later = Duration::from_millis(fastrand::u64(0..4));
        let answer = tokio::time::timeout(later, &mut request).await.ok();
        action(name);
        match answer {
            Some(answer) => answer,
            None => request.await,
        }
    }
}
