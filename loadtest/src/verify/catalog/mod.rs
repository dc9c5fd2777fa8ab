//! `loadtest verify --catalog`: does the catalog keep what it acknowledged when the server is killed?
//!
//! A round, on one data folder:
//!
//! 1. `--connections` clients change users, tenants, members, roles, grants, databases, tables and columns, each its
//!    own (`change`), one statement after the other; of each it is known what must be there behind it, or that it must
//!    be refused (`world`).
//! 2. At a seeded random moment the process gets SIGKILL. At most one statement of each client is in flight.
//! 3. Restart, one time in four killed once more while it recovers; then all that is there is read (`look`). Of each
//!    client it must be what the last acknowledged statement has left, or what the one in flight would have, and
//!    nothing between.
//!
//! After the last round the server ends on SIGTERM, starts again and is read once more.

mod change;
mod look;
mod world;

use std::thread;
use std::time::Duration;

use serde::Serialize;

use self::change::{Change, Door, draw};
use self::world::World;
use super::{RECOVERY_KILL_MS_MAX, RECOVERY_KILL_ONE_IN, VerifyArgs};
use crate::csv;
use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Reply, Target};
use crate::output;
use crate::own::Own;
use crate::promise::Promises;

/// So that a start takes no time for files that a run without rows does not need.
const WAL_FILE_BYTES: &str = "1MiB";

/// One client between two rounds.
#[derive(Debug, Default, Clone)]
struct Client {
    /// What the acknowledged statements have left.
    world: World,
    /// What the statement in flight would leave.
    in_flight: Option<(String, World)>,
    counts: Counts,
    findings: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Counts {
    acknowledged: u64,
    /// Refused, as they had to be.
    refused: u64,
    /// Not carried out for want of memory or time, which a server may say.
    put_off: u64,
    /// In flight at a kill, and there afterwards, or not.
    in_flight_whole: u64,
    in_flight_absent: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    kills: u32,
    kills_in_recovery: u32,
    counts: Counts,
    findings: Vec<String>,
    promises: Promises,
}

/// Runs the command.
pub(super) fn command(args: &VerifyArgs) -> Result<()> {
    let keys = [("wal.sync", args.wal_sync.clone()), ("wal.file_bytes", WAL_FILE_BYTES.to_owned())];
    let mut server = args.server.prepare(&keys)?;
    server.start()?;
    let mut clients = vec![Client::default(); args.connections as usize];
    let (mut kills, mut kills_in_recovery) = (0, 0);
    for round in 1..=args.kills {
        let mut rng = fastrand::Rng::with_seed(args.seed.wrapping_mul(1_000_003) ^ u64::from(round));
        let after = Duration::from_millis(rng.u64(args.kill_ms_min..=args.kill_ms_max));
        clients = change_until_killed(&mut server, clients, after, &mut rng)?;
        kills += 1;
        if rng.u32(..RECOVERY_KILL_ONE_IN) == 0 {
            server.start_and_kill(Duration::from_millis(rng.u64(..RECOVERY_KILL_MS_MAX)))?;
            kills_in_recovery += 1;
        }
        let recovery = server.start()?;
        compare(&server.target(), &mut clients)?;
        let acknowledged: u64 = clients.iter().map(|client| client.counts.acknowledged).sum();
        let ms = recovery.as_millis();
        eprintln!(
            "round {round}: killed after {} ms, {acknowledged} changes in all, recovery {ms} ms",
            after.as_millis()
        );
        if clients.iter().any(|client| !client.findings.is_empty()) {
            break;
        }
    }
    let ended = server.terminate();
    server.start()?;
    compare(&server.target(), &mut clients)?;
    server.terminate()?;
    ended?;
    let report = Report::new(kills, kills_in_recovery, &clients);
    output::print(&format!("{}\n{}", report.text(), report.promises.table()))?;
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    let log_tail = || server.log_tail();
    let findings = report.findings.join("\n  ");
    report.promises.verdict().map_err(|error| Error::Failed(format!("{error}\n  {findings}\n{}", log_tail())))
}

impl Report {
    fn new(kills: u32, kills_in_recovery: u32, clients: &[Client]) -> Self {
        let mut counts = Counts::default();
        for client in clients {
            counts.acknowledged += client.counts.acknowledged;
            counts.refused += client.counts.refused;
            counts.put_off += client.counts.put_off;
            counts.in_flight_whole += client.counts.in_flight_whole;
            counts.in_flight_absent += client.counts.in_flight_absent;
        }
        let findings: Vec<String> = clients.iter().flat_map(|client| &client.findings).cloned().collect();
        let mut promises = Promises::default();
        promises.some("changes that were acknowledged", counts.acknowledged);
        promises.none("changes lost, half done, or done and refused", findings.len() as u64);
        Self { kills, kills_in_recovery, counts, findings, promises }
    }

    fn text(&self) -> String {
        let Counts { acknowledged, refused, put_off, in_flight_whole, in_flight_absent } = self.counts;
        format!(
            "{} kills and {} more in recoveries; {acknowledged} changes acknowledged, {refused} refused as they had to \
             be, {put_off} put off; in flight at a kill: {in_flight_whole} there, {in_flight_absent} not\n",
            self.kills, self.kills_in_recovery
        )
    }
}

/// Changes on all connections until the server is killed.
fn change_until_killed(
    server: &mut Own,
    clients: Vec<Client>,
    after: Duration,
    rng: &mut fastrand::Rng,
) -> Result<Vec<Client>> {
    let (target, mut forks) = (server.target(), rng.fork());
    let work = move || {
        let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
        runtime.block_on(async {
            let run =
                |(number, client): (usize, Client)| monoio::spawn(client.run(target.clone(), number, forks.fork()));
            let tasks: Vec<_> = clients.into_iter().enumerate().map(run).collect();
            let mut clients = Vec::new();
            for task in tasks {
                clients.push(task.await);
            }
            Ok(clients)
        })
    };
    let thread = thread::Builder::new().name("clients".to_owned()).spawn(work).context(|| "start a client thread")?;
    thread::sleep(after);
    let killed = server.kill();
    let clients = thread.join().map_err(|_| Error::Failed("a client thread panicked".to_owned()))?;
    killed?;
    clients
}

impl Client {
    /// Changes its part of the catalog until the server is gone, or does what it must not.
    async fn run(mut self, target: Target, number: usize, mut rng: fastrand::Rng) -> Self {
        let Ok(mut connection) = Connection::open(target.address).await else { return self };
        while self.findings.is_empty() {
            let change = draw(&self.world, number, &mut rng);
            let request = match &change.door {
                Door::Sql { tenant } => {
                    target.request(&look::path(tenant), Some(csv::ACCEPT), Some(change.text.as_bytes()))
                }
                Door::Influx => target.request(&look::influx_path(&change.text), None, Some(b"")),
            };
            match connection.exchange(request).await.0 {
                Ok(reply) => self.hear(change, &reply),
                Err(_) => {
                    self.in_flight = change.after.map(|after| (change.text, after));
                    return self;
                }
            }
        }
        self
    }

    /// Takes the answer to a change.
    fn hear(&mut self, Change { text, after, .. }: Change, reply: &Reply) {
        // InfluxQL tells errors of statements under 200.
        let is_done = reply.is_success() && !String::from_utf8_lossy(&reply.body).contains("\"error\"");
        match after {
            Some(after) if is_done => {
                self.world = after;
                self.counts.acknowledged += 1;
            }
            _ if matches!(reply.status, 429 | 503) => self.counts.put_off += 1,
            None if !is_done => self.counts.refused += 1,
            Some(_) => self.findings.push(format!("{text}: was refused: {}", reply.excerpt())),
            None => self.findings.push(format!("{text}: was done and could not be")),
        }
    }

    /// Compares with what is there now, and goes on from it.
    fn settle(&mut self, mut found: World) {
        let in_flight = self.in_flight.take();
        let is = |world: &World| world.seen().eq(found.seen());
        match in_flight {
            Some((_, after)) if is(&after) => {
                let is_whole = after != self.world;
                self.world = after;
                self.counts.in_flight_whole += u64::from(is_whole);
            }
            in_flight if is(&self.world) => self.counts.in_flight_absent += u64::from(in_flight.is_some()),
            in_flight => {
                let text = in_flight.map_or("nothing".to_owned(), |(text, _)| text);
                let differences = self.world.differences(&found).join("; ");
                self.findings.push(format!("in flight: {text}: {differences}"));
                found.hide_as(&self.world);
                self.world = found;
            }
        }
    }
}

/// Compares what the server has with what each client knows.
fn compare(target: &Target, clients: &mut [Client]) -> Result<()> {
    let found = look::look(target, clients.len())?;
    clients.iter_mut().zip(found).for_each(|(client, found)| client.settle(found));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_user(comment: &str) -> World {
        let mut world = World::default();
        world.set("user/u0_0".to_owned(), comment);
        world
    }

    #[test]
    fn what_is_there_is_what_was_acknowledged_or_in_flight() {
        let in_flight = Some(("ALTER USER".to_owned(), with_user("2")));
        let client = Client { world: with_user("1"), in_flight, ..Client::default() };
        for (found, is_good, whole) in [("1", true, 0), ("2", true, 1), ("3", false, 0)] {
            let mut client = client.clone();
            client.settle(with_user(found));
            assert_eq!((client.findings.is_empty(), client.counts.in_flight_whole), (is_good, whole), "{found}");
            assert_eq!(client.world, with_user(found));
        }
        let mut lost = client;
        lost.settle(World::default());
        assert!(lost.findings[0].contains("user/u0_0 is None and not \"1\""), "{:?}", lost.findings);
    }

    #[test]
    fn an_answer_that_cannot_be_is_a_finding() {
        let reply = |status, body: &[u8]| Reply { status, body: body.to_vec(), ..Reply::default() };
        let heard = |after: Option<World>, reply: &Reply| {
            let mut client = Client::default();
            client.hear(Change { text: "x".to_owned(), door: Door::Influx, after }, reply);
            client
        };
        assert_eq!(heard(Some(with_user("1")), &reply(200, b"")).world, with_user("1"));
        assert_eq!(heard(Some(with_user("1")), &reply(200, b"{\"error\":\"\"}")).findings.len(), 1);
        assert_eq!(heard(Some(with_user("1")), &reply(503, b"")).counts.put_off, 1);
        assert_eq!(heard(None, &reply(422, b"")).counts.refused, 1);
        assert_eq!(heard(None, &reply(200, b"")).findings.len(), 1);
    }
}
