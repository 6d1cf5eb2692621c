//! One run of a job: on a thread and a runtime of its own, so that a job that blocks or panics harms nothing else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use tokio::runtime;
use tokio::sync::oneshot;

use super::declaration::Job;
use crate::context::Context;
use crate::panic_message;

/// Starts a run, and returns once it has ended: with its error, if it failed.
pub(super) async fn run(job: &Job, context: Context) -> Result<(), String> {
    let (sender, ended) = oneshot::channel();
    let job = job.clone();
    // The kernel shows the first 15 bytes.
    let thread = thread::Builder::new().name(format!("job-{}", job.name));
    let started = thread.spawn(move || {
        let result = run_here(&job, context);
        // Fails only if the process is ending.
        let _ = sender.send(result);
    });
    match started {
        Ok(_) => ended
            .await
            .unwrap_or_else(|_| Err("its thread has ended".to_owned())),
        Err(error) => Err(not_started(&error)),
    }
}

fn run_here(job: &Job, context: Context) -> Result<(), String> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| not_started(&error))?;
    // The panic hook logs where it happened.
    let result = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on((job.function)(context))
    }));
    // Dropping the runtime ends the tasks that the job has spawned, and waits for its blocking ones: the run ends with them.
    drop(runtime);
    match result {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("it panicked: {}", panic_message(&*panic))),
    }
}

fn not_started(error: &io::Error) -> String {
    format!("its thread cannot be started: {error}")
}
