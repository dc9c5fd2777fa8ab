//! What the threads of this process do: where each is, for every 10 ms of a processor that it has used.
//!
//! Each thread gets a timer of the kernel on its own processor clock, which sends it `SIGPROF` while it works: a core
//! that sleeps in its ring is left alone, and a sample belongs to the thread that used the time. The handler walks the
//! stack of the thread that it interrupts and puts it into memory that was there before: it takes no lock, asks for no
//! memory and waits for nobody, so no core stalls while it is sampled.
//!
//! 1. [`Sampler::begin`] makes two buffers, the handler and the timers.
//! 2. Handlers fill one of the buffers. Every [`GATHER_EVERY`] the other takes its place ([`Sampler::gather`]), and
//!    what is in the first is counted by stack. Threads that are new get their timers then.
//! 3. [`Sampler::end`], or dropping it, takes the timers away. The handler stays and does nothing then: a signal that
//!    is on its way to a thread that waits for a processor would end the process without it.
//!
//! There is one sampler of a process at a time. A system call that is interrupted is begun again by the kernel, or its
//! caller sees `EINTR`, which the [reactor](super::reactor) and the standard library take for what it is.
#![expect(unsafe_code, reason = "a signal handler that walks the stack, and timers that call it")]

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The time that a sample stands for.
pub const SAMPLE_PERIOD: Duration = Duration::from_millis(10);

/// How often samples are to be [gathered](Sampler::gather): the buffers hold twice as many.
pub const GATHER_EVERY: Duration = Duration::from_secs(1);

/// Frames of a stack that are kept, from the innermost on.
const FRAMES_MAX: usize = 64;

/// Words of a sample: the thread, the number of frames, and the frames.
const SAMPLE_WORDS: usize = 2 + FRAMES_MAX;

/// Different stacks that are kept apart; others are only counted. With all their frames they take 20 MiB.
const STACKS_MAX: usize = 40_000;

/// Neither buffer: there is no sampler.
const OFF: usize = 2;

/// Where handlers put what they see.
struct Buffer {
    words: Box<[AtomicUsize]>,
    /// Samples that handlers have begun to write, more than there is room for if some were lost.
    begun: AtomicUsize,
    /// Handlers that are at it.
    within: AtomicUsize,
}

static BUFFERS: OnceLock<[Buffer; 2]> = OnceLock::new();
/// The buffer in use, or [`OFF`].
static IN_USE: AtomicUsize = AtomicUsize::new(OFF);
/// There is a sampler.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// A stack, from its innermost address on, and the thread that it was seen in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stack {
    /// The thread's number.
    pub thread: i32,
    /// Addresses of instructions: the one that was next, and the calls that led there.
    pub frames: Vec<usize>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Samples {
    /// How often each stack was seen.
    pub stacks: HashMap<Stack, u64>,
    /// Names of threads.
    pub threads: BTreeMap<i32, String>,
    /// Samples that found no room.
    pub lost: u64,
}

/// Samples all threads until it is dropped.
#[derive(Debug)]
pub struct Sampler {
    samples: Samples,
    timers: BTreeMap<i32, Timer>,
}

impl Sampler {
    /// Begins. `None` where there is a sampler already. It reads files of `/proc`: not for a core's own thread.
    pub fn begin() -> io::Result<Option<Self>> {
        if IS_TAKEN.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        // From here on its drop undoes what was done.
        let mut sampler = Self { samples: Samples::default(), timers: BTreeMap::new() };
        // The unwinder prepares itself when it is first used, which must not be in a handler.
        backtrace::trace(|_| true);
        let [first, _] = BUFFERS.get_or_init(|| [Buffer::new(), Buffer::new()]);
        first.begun.store(0, Ordering::Relaxed);
        IN_USE.store(0, Ordering::SeqCst);
        handle()?;
        sampler.watch_threads()?;
        Ok(Some(sampler))
    }

    /// Counts what handlers have written since the last time, and watches threads that are new. It reads files of
    /// `/proc`: not for a core's own thread.
    pub fn gather(&mut self) -> io::Result<()> {
        self.swap((IN_USE.load(Ordering::SeqCst) + 1) % OFF);
        self.watch_threads()
    }

    /// Ends, and gives what was seen.
    pub fn end(mut self) -> Samples {
        self.stop();
        std::mem::take(&mut self.samples)
    }

    /// Lets handlers use `next`, and counts what they have written where they were.
    fn swap(&mut self, next: usize) {
        let Some(buffers) = BUFFERS.get() else { return };
        if let Some(next) = buffers.get(next) {
            next.begun.store(0, Ordering::Relaxed);
        }
        let last = IN_USE.swap(next, Ordering::SeqCst);
        let Some(buffer) = buffers.get(last) else { return };
        // A handler is done in some microseconds, unless its thread does not get the processor.
        while buffer.within.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
        let begun = buffer.begun.load(Ordering::Relaxed);
        let written = begun.min(buffer.words.len() / SAMPLE_WORDS);
        self.samples.lost += (begun - written) as u64;
        for sample in buffer.words.chunks_exact(SAMPLE_WORDS).take(written) {
            let word = |at: usize| sample[at].load(Ordering::Relaxed);
            let frames = (2..2 + word(1).min(FRAMES_MAX)).map(word).collect();
            self.samples.add(Stack { thread: word(0) as i32, frames });
        }
    }

    /// Gives each thread of the process a timer that has none.
    fn watch_threads(&mut self) -> io::Result<()> {
        for entry in std::fs::read_dir("/proc/self/task")? {
            let entry = entry?;
            let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A thread may end at any time: then it has no name and takes no timer.
            let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) else { continue };
            self.samples.threads.insert(thread, name.trim_end().to_owned());
            if let Entry::Vacant(place) = self.timers.entry(thread) {
                match Timer::new(thread) {
                    Ok(timer) => {
                        place.insert(timer);
                    }
                    Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.timers.clear();
        self.swap(OFF);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop();
        IS_TAKEN.store(false, Ordering::Release);
    }
}

impl Samples {
    fn add(&mut self, stack: Stack) {
        if let Some(count) = self.stacks.get_mut(&stack) {
            *count += 1;
        } else if self.stacks.len() < STACKS_MAX {
            self.stacks.insert(stack, 1);
        } else {
            self.lost += 1;
        }
    }
}

impl Buffer {
    /// Room for what all processors can give between two gatherings, twice.
    fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let samples = 2 * processors * (GATHER_EVERY.as_millis() / SAMPLE_PERIOD.as_millis()) as usize;
        let words = (0..samples * SAMPLE_WORDS).map(|_| AtomicUsize::new(0)).collect();
        Self { words, begun: AtomicUsize::new(0), within: AtomicUsize::new(0) }
    }

    /// Writes a sample of the calling thread. It is called within a signal handler: atomic stores and a walk of the
    /// stack are all that it may do.
    fn write(&self, interrupted: usize) {
        let at = self.begun.fetch_add(1, Ordering::Relaxed).saturating_mul(SAMPLE_WORDS);
        let Some(sample) = self.words.get(at..at.saturating_add(SAMPLE_WORDS)) else { return };
        let mut count = 0;
        let take = |frame: &backtrace::Frame| {
            let address = frame.ip().addr();
            // The first frames are those of the handler.
            if count == 0 && address != interrupted {
                return true;
            }
            sample[2 + count].store(address, Ordering::Relaxed);
            count += 1;
            count < FRAMES_MAX
        };
        // SAFETY: unsynchronized means that no other thread may use the library's cache of debug information, which
        // walking does not touch.
        unsafe { backtrace::trace_unsynchronized(take) };
        if count == 0 {
            // The stack cannot be walked from here.
            sample[2].store(interrupted, Ordering::Relaxed);
            count = 1;
        }
        // SAFETY: it only asks for a number.
        let thread = unsafe { libc::gettid() };
        sample[0].store(thread as usize, Ordering::Relaxed);
        sample[1].store(count, Ordering::Relaxed);
    }
}

/// Lets [`on_signal`] handle the signal from now on.
fn handle() -> io::Result<()> {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: it points to a set, which the call fills in.
    let mask = match unsafe { libc::sigemptyset(mask.as_mut_ptr()) } {
        // SAFETY: the call has filled it in.
        0 => unsafe { mask.assume_init() },
        _ => return Err(io::Error::last_os_error()),
    };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;
    let action = libc::sigaction {
        sa_sigaction: handler as libc::sighandler_t,
        sa_mask: mask,
        sa_flags: libc::SA_SIGINFO | libc::SA_RESTART,
        sa_restorer: None,
    };
    // SAFETY: the action is read, and what was done before is not asked for.
    match unsafe { libc::sigaction(libc::SIGPROF, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn on_signal(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO both, for as long as it runs.
    let (code, interrupted) = unsafe { ((*info).si_code, interrupted_at(context)) };
    let number = IN_USE.load(Ordering::SeqCst);
    let Some(buffer) = BUFFERS.get().and_then(|buffers| buffers.get(number)) else { return };
    if code != libc::SI_TIMER {
        return;
    }
    buffer.within.fetch_add(1, Ordering::SeqCst);
    // Where the buffer has been changed meanwhile, the one who changed it may not have seen this handler.
    if IN_USE.load(Ordering::SeqCst) == number {
        buffer.write(interrupted);
    }
    buffer.within.fetch_sub(1, Ordering::SeqCst);
}

/// The address at which the signal came.
///
/// # Safety
///
/// `context` is what the kernel gave to a handler that is running.
unsafe fn interrupted_at(context: *mut c_void) -> usize {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel's third argument is such a context.
    let machine = unsafe { &(*context).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    let address = machine.gregs[libc::REG_RIP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    let address = machine.pc as usize;
    address
}

/// A timer on the processor clock of a thread, which sends that thread the signal each time that it has used a period.
struct Timer(libc::timer_t);

// SAFETY: a timer belongs to the process, and any of its threads may delete it.
unsafe impl Send for Timer {}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Timer")
    }
}

impl Timer {
    fn new(thread: i32) -> io::Result<Self> {
        // What `pthread_getcpuclockid` makes of a thread's number: the clock of one thread, of the scheduler's kind.
        let clock = (!thread << 3) | 0b110;
        // SAFETY: a structure of numbers and a pointer, which may all be zero.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGPROF;
        event.sigev_notify_thread_id = thread;
        let mut timer = ptr::null_mut();
        // SAFETY: both point to what the call reads and fills in.
        if unsafe { libc::timer_create(clock, &raw mut event, &raw mut timer) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let timer = Self(timer);
        let period = libc::timespec { tv_sec: 0, tv_nsec: i64::from(SAMPLE_PERIOD.subsec_nanos()) };
        let times = libc::itimerspec { it_interval: period, it_value: period };
        // SAFETY: the timer is there, and the times are read.
        match unsafe { libc::timer_settime(timer.0, 0, &raw const times, ptr::null_mut()) } {
            0 => Ok(timer),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: it was made by `timer_create` and is deleted once.
        let _ = unsafe { libc::timer_delete(self.0) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::hint::black_box;
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use super::*;

    #[inline(never)]
    fn busy_for_the_sampler(stop: &AtomicBool) -> u64 {
        let mut sum = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            for number in 0..1000_u64 {
                sum = black_box(sum.wrapping_mul(31).wrapping_add(number));
            }
        }
        sum
    }

    /// One test: there is one sampler of a process.
    #[test]
    fn stacks_of_a_thread_that_works_are_seen_and_there_is_one_sampler() {
        let stop = AtomicBool::new(false);
        let samples = std::thread::scope(|scope| {
            let work = std::thread::Builder::new().name("at-work".to_owned());
            let worker = work.spawn_scoped(scope, || busy_for_the_sampler(&stop)).unwrap();
            let mut sampler = Sampler::begin().unwrap().unwrap();
            assert!(Sampler::begin().unwrap().is_none());
            let is_at_work = |sampler: &Sampler| {
                let of = |stack: &Stack| sampler.samples.threads.get(&stack.thread).map(String::as_str);
                sampler.samples.stacks.keys().filter(|stack| of(stack) == Some("at-work")).count() > 3
            };
            let begun = Instant::now();
            while !is_at_work(&sampler) {
                assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", sampler.samples);
                std::thread::sleep(Duration::from_millis(20));
                sampler.gather().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            worker.join().unwrap();
            sampler.end()
        });
        let mut names = Vec::new();
        for address in samples.stacks.keys().flat_map(|stack| &stack.frames) {
            backtrace::resolve(ptr::without_provenance_mut(*address), |symbol| {
                names.extend(symbol.name().map(|name| name.to_string()));
            });
        }
        assert!(names.iter().any(|name| name.contains("busy_for_the_sampler")), "{names:?}");
        assert!(samples.stacks.keys().any(|stack| stack.frames.len() > 3), "whole stacks: {samples:?}");
        assert_eq!((samples.lost, IN_USE.load(Ordering::SeqCst)), (0, OFF));
        let again = Sampler::begin().unwrap();
        assert!(again.is_some());
    }

    #[test]
    fn stacks_beyond_the_bound_are_only_counted() {
        let mut samples = Samples::default();
        let stack = |frame| Stack { thread: 1, frames: vec![frame] };
        (0..STACKS_MAX + 2).for_each(|frame| samples.add(stack(frame)));
        samples.add(stack(0));
        assert_eq!((samples.stacks.len(), samples.lost, samples.stacks[&stack(0)]), (STACKS_MAX, 2, 2));
    }
}
