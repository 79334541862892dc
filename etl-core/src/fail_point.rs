//! Named places at which a test ends or holds the process.
//!
//! `fail_point!("name")` is nothing at all unless the feature `fail-points` is on, which no
//! released program has: neither the names nor the code are in it.

/// A place at which a test may end or hold the process.
#[cfg(not(feature = "fail-points"))]
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {};
    ($name:literal, $request:expr) => {
        $request.await
    };
}

/// A place at which a test may end or hold the process: here, or while a request is under way.
#[cfg(feature = "fail-points")]
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
pub use armed::{Action, Plan, arm, during, reached};

#[cfg(feature = "fail-points")]
mod armed {
    use std::future::Future;
    use std::pin::pin;
    use std::str::FromStr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// What happens at the place.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Action {
        /// The process is gone at once: no destructor runs, nothing is said to anybody.
        Kill,
        /// The thread stands still for so long.
        Pause(Duration),
    }

    /// Which place, which time, and what: `mssql.load.row:3:kill`, `commit.before:1:pause-500`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Plan {
        name: String,
        nth: u64,
        action: Action,
    }

    impl FromStr for Plan {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            let wrong = || format!("{text}: not like commit.before:1:kill or :pause-500");
            let mut parts = text.split(':');
            let (Some(name), Some(nth), Some(action), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(wrong());
            };
            let action = match action.split_once('-') {
                None if action == "kill" => Action::Kill,
                Some(("pause", millis)) => {
                    Action::Pause(Duration::from_millis(millis.parse().map_err(|_| wrong())?))
                }
                _ => return Err(wrong()),
            };
            Ok(Self { name: name.to_owned(), nth: nth.parse().map_err(|_| wrong())?, action })
        }
    }

    static PLAN: OnceLock<Plan> = OnceLock::new();
    static SEEN: AtomicU64 = AtomicU64::new(0);

    /// Arms one place of this process; the first plan counts.
    pub fn arm(plan: Plan) {
        PLAN.get_or_init(|| plan);
    }

    fn due(name: &str) -> Option<Action> {
        let plan = PLAN.get().filter(|plan| plan.name == name)?;
        let seen = SEEN.fetch_add(1, Ordering::SeqCst) + 1;
        (seen == plan.nth).then_some(plan.action)
    }

    fn act(name: &str, action: Action) {
        match action {
            Action::Kill => std::process::abort(),
            Action::Pause(time) => {
                tracing::warn!(point = name, "fail point reached");
                std::thread::sleep(time);
            }
        }
    }

    /// The place is reached.
    pub fn reached(name: &str) {
        if let Some(action) = due(name) {
            act(name, action);
        }
    }

    /// A request is under way: what is due happens within a few milliseconds of its beginning,
    /// whether it was answered by then or not.
    pub async fn during<T>(name: &str, request: impl Future<Output = T>) -> T {
        let Some(action) = due(name) else { return request.await };
        let mut request = pin!(request);
        let begun = Duration::from_micros(fastrand::u64(0..4_000));
        let done = tokio::time::timeout(begun, &mut request).await.ok();
        act(name, action);
        match done {
            Some(done) => done,
            None => request.await,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_plan_is_read_and_nonsense_refused() {
            let plan: Plan = "a.b:3:kill".parse().unwrap();
            assert_eq!(plan, Plan { name: "a.b".to_owned(), nth: 3, action: Action::Kill });
            let plan: Plan = "a:1:pause-250".parse().unwrap();
            assert_eq!(plan.action, Action::Pause(Duration::from_millis(250)));
            for wrong in ["", "a", "a:1", "a:x:kill", "a:1:die", "a:1:pause-", "a:1:kill:b"] {
                assert!(wrong.parse::<Plan>().is_err(), "{wrong}");
            }
        }
    }
}
