//! The page of `/debug/pprof/`.

/// The page: each profile with a link to its text, and what it shows of this server.
pub(super) const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>/debug/pprof/</title></head>
<body>
<h1>/debug/pprof/</h1>
<p>Profiles of this server. The links show text; without <code>debug=1</code> they are files for pprof.</p>
<table>
<tr><td><a href="/debug/pprof/allocs?debug=1">allocs</a></td><td>The same as heap: allocations that were freed are not kept.</td></tr>
<tr><td><a href="/debug/pprof/block?debug=1">block</a></td><td>Tasks that kept a core for 10 ms or more without yielding, which is how others are blocked here.</td></tr>
<tr><td><a href="/debug/pprof/cmdline">cmdline</a></td><td>The command line, its parts separated by a zero byte.</td></tr>
<tr><td><a href="/debug/pprof/goroutine?debug=1">goroutine</a></td><td>Live tasks of each core, by queue and by what they do, and the core's shards.</td></tr>
<tr><td><a href="/debug/pprof/heap?debug=1">heap</a></td><td>Memory in use: samples of allocations if the server was started for them, else what its parts have counted.</td></tr>
<tr><td><a href="/debug/pprof/mutex?debug=1">mutex</a></td><td>Nothing: what cores share has no lock that work waits for.</td></tr>
<tr><td><a href="/debug/pprof/profile">profile</a></td><td>Where the processor's time goes, for 30 seconds or as many as <code>seconds=</code> says.</td></tr>
<tr><td><a href="/debug/pprof/threadcreate?debug=1">threadcreate</a></td><td>Threads of the process by name.</td></tr>
</table>
<p><a href="/debug/pprof/all">all</a>: all of them as text in one archive; with <code>cpu=true</code> also the profile of the processor.</p>
</body>
</html>
"#;
