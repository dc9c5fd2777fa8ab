//! `/debug/pprof/all`: all profiles as text, and what else helps to find out what a server does, in one compressed
//! file.

use tidewire_protocol::encode::pprof::Profile;

use super::{SECONDS, compressed, cpu_profile, failed, heap, number, seconds, tar, tasks};
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::influx::vars;
use crate::net::{Body, Reply};
use crate::ring::calculate;

/// Sends the archive. With `cpu=true` it has a profile of the processor, too, of 30 seconds or as many as `seconds` is.
pub(super) async fn send(context: &RequestContext<'_>, body: &mut Body, reply: &mut Reply) -> Result<(), Fault> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    if context.parameter("cpu")?.as_deref() == Some("true") {
        let seconds = match number(context, "seconds")? {
            Some(_) => match seconds(context, reply)? {
                Some(seconds) => seconds,
                None => return Ok(()),
            },
            None => SECONDS,
        };
        files.push(match cpu_profile(context, body, seconds).await? {
            Ok(Some(profile)) => ("cpu.pb.gz".to_owned(), profile),
            Ok(None) => ("cpu.txt".to_owned(), b"cpu profiling already in use\n".to_vec()),
            Err(error) => ("cpu.txt".to_owned(), format!("{error}\n").into_bytes()),
        });
    }
    let profiles = [
        ("goroutine", Ok(tasks::goroutine(context).await)),
        ("block", Ok(tasks::block(context).await)),
        ("mutex", Ok(tasks::mutex(context.now_ns))),
        ("heap", heap::profile(context).await),
        ("threadcreate", tasks::threads(context.now_ns).await),
    ];
    for (name, profile) in profiles {
        let text = profile.map_or_else(|error| format!("{error}\n"), |profile: Profile| profile.text(name));
        files.push((format!("{name}.txt"), text.into_bytes()));
    }
    files.push(("vars.txt".to_owned(), vars::document(context).await.into_bytes()));
    let now_s = u64::try_from(context.now_ns / 1_000_000_000).unwrap_or(0);
    let packed = calculate(move || {
        let mut out = Vec::new();
        files.iter().for_each(|(name, body)| tar::append(&mut out, name, now_s, body));
        tar::finish(&mut out);
        compressed(&out)
    });
    match packed.await.flatten() {
        Ok(body) => super::send(context, 200, "application/gzip", Some("profiles.tar.gz"), &body, reply),
        Err(error) => failed(context, "all", &error, reply),
    }
    Ok(())
}
