//! Containers for tests: of images that an engine has, never pulled, and gone when this process is.

#![expect(clippy::expect_used, reason = "a test without its server is to stop")]

use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage};

/// Each removes a container once this process' end of its standard input is closed, which the
/// kernel does even after a SIGKILL.
static KEEPERS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Whether an engine answers that has this image.
#[must_use]
pub fn has_image(image: &str) -> bool {
    Command::new("docker")
        .args(["image", "inspect", image])
        .output()
        .is_ok_and(|done| done.status.success())
}

/// Starts a container that lives no longer than this process.
///
/// # Panics
/// If it does not start.
pub async fn start(image: ContainerRequest<GenericImage>) -> ContainerAsync<GenericImage> {
    let container = image.start().await.expect("a container of an image that is here");
    let keeper = Command::new("sh")
        .args(["-c", "read -r _; exec docker rm --force --volumes \"$1\"", "keeper"])
        .arg(container.id())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    KEEPERS.lock().unwrap_or_else(PoisonError::into_inner).push(keeper);
    container
}
