//! Functions of the example server, to run by name.

use serde::{Deserialize, Serialize};
use universal_core::{
    Result,
    jobs::{Functions, JobContext},
};

/// What `greet` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greet {
    /// Whom to greet.
    pub name: String,
}

/// What `greet` answers.
#[derive(Debug, Serialize)]
pub struct Greeting {
    /// The greeting.
    pub greeting: String,
}

/// The functions of the example server, beside those that the backend brings.
///
/// # Errors
/// None; a name that was taken would be one.
pub fn functions() -> Result<Functions> {
    Functions::builder().register("greet", greet).build()
}

async fn greet(_job: JobContext, input: Greet) -> Result<Greeting> {
    Ok(Greeting { greeting: format!("Hello, {}!", input.name) })
}
