//! `/debug/pprof`: profiles of the running server, as Go's servers have them and its tools read them.
//!
//! ```text
//!   index.rs     the page that lists them
//!   cpu.rs       where the processor's time goes, from samples that names.rs finds the names of
//!   heap.rs      where memory is
//!   tasks.rs     what there is: tasks, long polls, threads
//!   archive.rs   all of them as one file, over tar.rs
//! ```
//!
//! What Go's profiles are about and this runtime has not is there all the same, and says so: a profile without samples
//! and a comment. Profiles are messages of pprof's format, compressed with gzip; with `debug=1` they are text.

mod archive;
mod cpu;
mod heap;
mod index;
mod names;
mod tar;
mod tasks;

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_lite::future::or;
use tidewire_sql::exec::ExecError;

use super::headers::headers;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::net::{Body, Reply, Request};
use crate::ring::{apart, calculate};

/// How long the processor is watched unless the request says it otherwise.
const SECONDS: u64 = 30;

/// The longest that it is watched.
const SECONDS_MAX: u64 = 600;

const TEXT: &str = "text/plain; charset=utf-8";

/// Sends the page that lists the profiles.
pub fn index(context: &RequestContext<'_>, reply: &mut Reply) {
    send(context, 200, "text/html; charset=utf-8", None, index::PAGE.as_bytes(), reply);
}

/// Sends the profile that the path names.
pub async fn profile(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let name = context.segments.get("profile");
    let is_text = number(context, "debug")?.is_some_and(|debug| debug > 0);
    match name {
        "all" => return archive::send(context, request.body, reply).await,
        "cmdline" => {
            let parts: Vec<String> = std::env::args_os().map(|part| part.to_string_lossy().into_owned()).collect();
            send(context, 200, TEXT, None, parts.join("\0").as_bytes(), reply);
            return Ok(());
        }
        "profile" => return send_cpu(context, request.body, reply).await,
        _ => {}
    }
    let profile = match name {
        "allocs" | "heap" => heap::profile(context).await,
        "block" => Ok(tasks::block(context).await),
        "goroutine" => Ok(tasks::goroutine(context).await),
        "mutex" => Ok(tasks::mutex(context.now_ns)),
        "threadcreate" => tasks::threads(context.now_ns).await,
        _ => {
            send(context, 404, TEXT, None, b"Unknown profile\n", reply);
            return Ok(());
        }
    };
    let profile = match profile {
        Ok(profile) => profile,
        Err(error) => {
            failed(context, name, &error, reply);
            return Ok(());
        }
    };
    if is_text {
        send(context, 200, TEXT, None, profile.text(name).as_bytes(), reply);
        return Ok(());
    }
    match calculate(move || compressed(&profile.encode())).await.flatten() {
        Ok(body) => send(context, 200, "application/octet-stream", Some(name), &body, reply),
        Err(error) => failed(context, name, &error, reply),
    }
    Ok(())
}

async fn send_cpu(context: &RequestContext<'_>, body: &mut Body, reply: &mut Reply) -> Result<(), Fault> {
    let Some(seconds) = seconds(context, reply)? else { return Ok(()) };
    match cpu_profile(context, body, seconds).await? {
        Ok(Some(body)) => send(context, 200, "application/octet-stream", Some("profile"), &body, reply),
        Ok(None) => {
            let text = b"Could not enable CPU profiling: cpu profiling already in use\n";
            send(context, 500, TEXT, None, text, reply);
        }
        Err(error) => failed(context, "profile", &error, reply),
    }
    Ok(())
}

/// A profile of the processor, encoded and compressed. `None` where one is being made already. It ends when the client
/// leaves.
async fn cpu_profile(
    context: &RequestContext<'_>,
    body: &mut Body,
    seconds: u64,
) -> Result<io::Result<Option<Vec<u8>>>, Fault> {
    let made = async { Ok(make_cpu_profile(context, seconds).await) };
    let gone = async {
        body.peer_gone().await;
        Err(Fault::Query(ExecError::Cancelled))
    };
    or(made, gone).await
}

async fn make_cpu_profile(context: &RequestContext<'_>, seconds: u64) -> io::Result<Option<Vec<u8>>> {
    let time = Duration::from_secs(seconds);
    let Some(samples) = cpu::sample(time).await? else { return Ok(None) };
    let now_ns = context.now_ns;
    // Names are looked up in the debug information of the whole program, which takes seconds.
    apart("tidewire-names", move || compressed(&cpu::profile(samples, time, now_ns).encode()).map(Some)).await
}

/// How long to watch. As Go has it, what is no number above zero means the default; too long is refused here.
fn seconds(context: &RequestContext<'_>, reply: &mut Reply) -> Result<Option<u64>, Fault> {
    let asked = number(context, "seconds")?.unwrap_or(0);
    let seconds = u64::try_from(asked).ok().filter(|seconds| *seconds > 0).unwrap_or(SECONDS);
    if seconds > SECONDS_MAX {
        let text = format!("exceeded maximum profile time: {seconds}s > {SECONDS_MAX}s\n");
        send(context, 400, TEXT, None, text.as_bytes(), reply);
        return Ok(None);
    }
    Ok(Some(seconds))
}

/// A parameter that is a number; others count as none, as Go has it.
fn number(context: &RequestContext<'_>, name: &'static str) -> Result<Option<i64>, Fault> {
    Ok(context.parameter(name)?.and_then(|text| text.parse().ok()))
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn failed(context: &RequestContext<'_>, name: &str, error: &io::Error, reply: &mut Reply) {
    let text = format!("the profile {name} cannot be made: {error}\n");
    send(context, 500, TEXT, None, text.as_bytes(), reply);
}

/// Sends a reply; `file` is the name under which a browser keeps it.
fn send(
    context: &RequestContext<'_>,
    status: u16,
    content_type: &str,
    file: Option<&str>,
    body: &[u8],
    reply: &mut Reply,
) {
    let disposition = file.map(|file| format!("attachment; filename=\"{file}\""));
    reply.send(
        status,
        |head| {
            let head = headers(head, Some(&context.id)).header("X-Content-Type-Options", "nosniff");
            let head = match &disposition {
                Some(disposition) => head.header("Content-Disposition", disposition),
                None => head,
            };
            // So that a browser does not take what it does not know for a fault of ours.
            let head = if status == 200 { head } else { head.header("X-Go-Pprof", "1") };
            head.content_type(content_type)
        },
        body,
    );
}
