//! The official Postgres image, where a Docker engine has it.

use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::OnceCell;

use super::Database;
use crate::docker;

const PASSWORD: &str = "Etl-tests-0nly";

static CONTAINER: OnceCell<ContainerAsync<GenericImage>> = OnceCell::const_new();

/// `ETL_TEST_PG_IMAGE`, or the release that the demo's source runs.
#[must_use]
pub fn image() -> String {
    std::env::var("ETL_TEST_PG_IMAGE").unwrap_or_else(|_| "postgres:17.6".to_owned())
}

/// Why there can be no such server here; `None` if there can.
#[must_use]
pub fn missing() -> Option<String> {
    let image = image();
    (!docker::has_image(&image)).then(|| format!("no Docker engine here has the image {image}"))
}

/// A database of its own in a container of [`image`], which all tests of this process share.
///
/// # Panics
/// If the image is [`missing`] or the server does not start.
pub async fn database() -> Database {
    let container = CONTAINER.get_or_init(start).await;
    let host = container.get_host().await.expect("the container's host");
    let port = container.get_host_port_ipv4(5432).await.expect("the container's port");
    Database::on(format!("postgres://postgres:{PASSWORD}@{host}:{port}")).await
}

async fn start() -> ContainerAsync<GenericImage> {
    let image = image();
    let (name, tag) = image.rsplit_once(':').expect("an image with a tag");
    // Once on the socket, for its own set-up, and then for everybody.
    let ready = "database system is ready to accept connections";
    let image = GenericImage::new(name, tag)
        .with_exposed_port(5432.tcp())
        .with_wait_for(WaitFor::message_on_stderr(ready))
        .with_env_var("POSTGRES_PASSWORD", PASSWORD)
        .with_cmd(["postgres", "-c", "fsync=off", "-c", "max_prepared_transactions=10"]);
    docker::start(image).await
}
