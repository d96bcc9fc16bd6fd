//! bench_sched --bench NAME --workers W [--quick]: one benchmark of the scheduler, as
//! benchmarks/core/sched does it; W = 0 is the current-thread runtime. --list prints the names.

use std::future::{pending, Future};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use blitzio_tokio_bench::{cpu_nanos, time_of};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

#[derive(Clone, Copy)]
struct Sample {
    value: f64,
    cpu: f64,
    late_us: Option<(f64, f64)>,
}

/// Times `work`, which is `ops` operations.
fn sample_of(ops: usize, work: impl FnOnce()) -> Sample {
    let cpu_before = cpu_nanos();
    let wall = time_of(work);
    let cpu = cpu_nanos() - cpu_before;
    Sample {
        value: wall as f64 / ops as f64,
        cpu: cpu as f64 / ops as f64,
        late_us: None,
    }
}

/// Runs `work` as a task; the main thread waits for it.
fn inside<F>(runtime: &Runtime, work: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime.block_on(runtime.spawn(work)).expect("a task")
}

// ---- making tasks -----------------------------------------------------------------------------

fn spawn_join_out(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 1_000_000 / divisor;
    sample_of(count, || {
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            handles.push(runtime.spawn(async {}));
        }
        runtime.block_on(async {
            for handle in handles {
                handle.await.expect("a task");
            }
        });
    })
}

fn spawn_join_in(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 1_000_000 / divisor;
    sample_of(count, || {
        inside(runtime, async move {
            let mut handles = Vec::with_capacity(count);
            for _ in 0..count {
                handles.push(tokio::spawn(async {}));
            }
            for handle in handles {
                handle.await.expect("a task");
            }
        })
    })
}

fn spawn_await_1(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 200_000 / divisor;
    sample_of(count, || {
        inside(runtime, async move {
            for _ in 0..count {
                tokio::spawn(async {}).await.expect("a task");
            }
        })
    })
}

fn link(left: usize, done: oneshot::Sender<()>) {
    if left == 0 {
        done.send(()).expect("the root waits");
    } else {
        tokio::spawn(async move { link(left - 1, done) });
    }
}

fn chain(runtime: &Runtime, divisor: usize) -> Sample {
    let depth = 100_000 / divisor;
    sample_of(depth, || {
        inside(runtime, async move {
            let (done, end) = oneshot::channel();
            tokio::spawn(async move { link(depth - 1, done) });
            end.await.expect("the end of the chain");
        })
    })
}

fn fan_10k(runtime: &Runtime, divisor: usize) -> Sample {
    const ROUNDS: usize = 20;
    struct Shared {
        left: AtomicUsize,
        done: std::sync::Mutex<Option<oneshot::Sender<()>>>,
    }
    let width = 10_000 / divisor;
    sample_of(ROUNDS * width, || {
        inside(runtime, async move {
            for _ in 0..ROUNDS {
                let (done, end) = oneshot::channel();
                let shared = Arc::new(Shared {
                    left: AtomicUsize::new(width),
                    done: std::sync::Mutex::new(Some(done)),
                });
                for _ in 0..width {
                    let shared = shared.clone();
                    tokio::spawn(async move {
                        if shared.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                            let done = shared.done.lock().unwrap().take();
                            done.expect("once").send(()).expect("the root waits");
                        }
                    });
                }
                end.await.expect("the last of the fan");
            }
        })
    })
}

// ---- switching --------------------------------------------------------------------------------

fn yield_1(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 1_000_000 / divisor;
    sample_of(count, || {
        inside(runtime, async move {
            for _ in 0..count {
                yield_now().await;
            }
        })
    })
}

fn yield_1000(runtime: &Runtime, divisor: usize) -> Sample {
    const TASKS: usize = 1_000;
    let yields = 1_000 / divisor;
    sample_of(TASKS * yields, || {
        inside(runtime, async move {
            let mut handles = Vec::new();
            for _ in 0..TASKS {
                handles.push(tokio::spawn(async move {
                    for _ in 0..yields {
                        yield_now().await;
                    }
                }));
            }
            for handle in handles {
                handle.await.expect("a task");
            }
        })
    })
}

fn pingpong(runtime: &Runtime, divisor: usize) -> Sample {
    let trips = 100_000 / divisor;
    sample_of(trips, || {
        inside(runtime, async move {
            let (there, mut there_end) = mpsc::channel::<u64>(1);
            let (back, mut back_end) = mpsc::channel::<u64>(1);
            let other = tokio::spawn(async move {
                while let Some(value) = there_end.recv().await {
                    if back.send(value).await.is_err() {
                        break;
                    }
                }
            });
            for i in 0..trips as u64 {
                there.send(i).await.expect("open");
                assert_eq!(back_end.recv().await, Some(i));
            }
            drop(there);
            other.await.expect("a task");
        })
    })
}

fn recv_from(runtime: &Runtime, producers: usize, total: usize) -> Sample {
    sample_of(total, || {
        inside(runtime, async move {
            let (sender, mut receiver) = mpsc::channel::<u64>(1_024);
            let mut handles = Vec::new();
            for _ in 0..producers {
                let sender = sender.clone();
                handles.push(tokio::spawn(async move {
                    for i in 0..(total / producers) as u64 {
                        sender.send(i).await.expect("open");
                    }
                }));
            }
            drop(sender);
            for _ in 0..total / producers * producers {
                black_box(receiver.recv().await.expect("a value"));
            }
            for handle in handles {
                handle.await.expect("a task");
            }
        })
    })
}

fn chan_spsc_1024(runtime: &Runtime, divisor: usize) -> Sample {
    recv_from(runtime, 1, 1_000_000 / divisor)
}

fn chan_mpsc4_1024(runtime: &Runtime, divisor: usize) -> Sample {
    recv_from(runtime, 4, 1_000_000 / divisor)
}

// ---- timers -----------------------------------------------------------------------------------

/// 1 to 60 s in milliseconds, as the deadlines of requests are.
struct RandomDelays(u64);

impl RandomDelays {
    fn new() -> Self {
        Self(88_172_645_463_325_252)
    }
    fn next(&mut self) -> Duration {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(1_000 + self.0 % 59_001)
    }
}

fn timer_cancel(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 1_000_000 / divisor;
    sample_of(count, || {
        inside(
            runtime,
            std::future::poll_fn(move |context| {
                let mut delays = RandomDelays::new();
                for _ in 0..count {
                    let mut sleep = std::pin::pin!(tokio::time::sleep(delays.next()));
                    assert!(sleep.as_mut().poll(context).is_pending());
                }
                Poll::Ready(())
            }),
        )
    })
}

fn timer_hold(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 1_000_000 / divisor;
    sample_of(count, || {
        inside(
            runtime,
            std::future::poll_fn(move |context| {
                let mut delays = RandomDelays::new();
                let mut held = Vec::with_capacity(count);
                for _ in 0..count {
                    held.push(Box::pin(tokio::time::sleep(delays.next())));
                    assert!(held.last_mut().unwrap().as_mut().poll(context).is_pending());
                }
                Poll::Ready(())
            }),
        )
    })
}

fn sleep_fire_100k(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 100_000 / divisor;
    let mut late_ns = Vec::new();
    let mut sample = sample_of(count, || {
        late_ns = inside(runtime, async move {
            let first = Instant::now() + Duration::from_millis(500);
            let mut handles = Vec::with_capacity(count);
            for i in 0..count {
                let deadline = first + Duration::from_millis(i as u64 % 1_000);
                handles.push(tokio::spawn(async move {
                    tokio::time::sleep_until(deadline.into()).await;
                    Instant::now()
                        .saturating_duration_since(deadline)
                        .as_nanos() as u64
                }));
            }
            let mut late_ns = Vec::with_capacity(count);
            for handle in handles {
                late_ns.push(handle.await.expect("a task"));
            }
            late_ns
        });
    });
    // Most of the wall time is the waiting that was asked for.
    sample.value = sample.cpu;
    late_ns.sort_unstable();
    sample.late_us = Some((
        late_ns[count / 2] as f64 / 1e3,
        late_ns[count * 99 / 100] as f64 / 1e3,
    ));
    sample
}

// ---- the blocking pool ------------------------------------------------------------------------

fn blocking_1(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 20_000 / divisor;
    sample_of(count, || {
        runtime.block_on(async {
            for _ in 0..count {
                tokio::task::spawn_blocking(|| {}).await.expect("a job");
            }
        })
    })
}

fn blocking_batch(runtime: &Runtime, divisor: usize) -> Sample {
    let count = 100_000 / divisor;
    sample_of(count, || {
        runtime.block_on(async {
            let mut handles = Vec::with_capacity(count);
            for _ in 0..count {
                handles.push(tokio::task::spawn_blocking(|| {}));
            }
            for handle in handles {
                handle.await.expect("a job");
            }
        })
    })
}

// ---- memory -----------------------------------------------------------------------------------

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages: f64 = statm
        .split(' ')
        .nth(1)
        .expect("resident")
        .parse()
        .expect("a number");
    // Safety: no arguments that could be wrong.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

fn park_many<F>(runtime: &Runtime, count: usize, make_wait: fn() -> F) -> Sample
where
    F: Future<Output = ()> + Send + 'static,
{
    let value = inside(runtime, async move {
        let started = Arc::new(AtomicUsize::new(0));
        let before = resident_bytes();
        for _ in 0..count {
            let started = started.clone();
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::Relaxed);
                drop(started);
                make_wait().await;
            });
        }
        while started.load(Ordering::Relaxed) < count {
            yield_now().await;
        }
        (resident_bytes() - before) / count as f64
    });
    Sample {
        value,
        cpu: 0.0,
        late_us: None,
    }
}

fn mem_parked(runtime: &Runtime, divisor: usize) -> Sample {
    park_many(runtime, 1_000_000 / divisor, pending::<()>)
}

fn mem_sleeping(runtime: &Runtime, divisor: usize) -> Sample {
    park_many(runtime, 1_000_000 / divisor, || {
        tokio::time::sleep(Duration::from_secs(3_600))
    })
}

// ---- the program ------------------------------------------------------------------------------

type Run = fn(&Runtime, usize) -> Sample;

const BENCHMARKS: [(&str, Run); 17] = [
    ("spawn_join_out", spawn_join_out),
    ("spawn_join_in", spawn_join_in),
    ("spawn_await_1", spawn_await_1),
    ("pingpong", pingpong),
    ("yield_1", yield_1),
    ("yield_1000", yield_1000),
    ("chain", chain),
    ("fan_10k", fan_10k),
    ("chan_spsc_1024", chan_spsc_1024),
    ("chan_mpsc4_1024", chan_mpsc4_1024),
    ("timer_cancel", timer_cancel),
    ("timer_hold", timer_hold),
    ("sleep_fire_100k", sleep_fire_100k),
    ("blocking_1", blocking_1),
    ("blocking_batch", blocking_batch),
    ("mem_parked", mem_parked),
    ("mem_sleeping", mem_sleeping),
];

fn usage() -> ! {
    eprintln!("usage: bench_sched --bench NAME --workers W [--quick] | --list");
    std::process::exit(64);
}

fn main() {
    let mut words = std::env::args().skip(1);
    let (mut name, mut workers, mut is_quick) = (String::new(), 0usize, false);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => {
                for (name, _) in BENCHMARKS {
                    println!("{name}");
                }
                return;
            }
            "--quick" => is_quick = true,
            "--bench" => name = words.next().unwrap_or_else(|| usage()),
            "--workers" => {
                let number = words.next().unwrap_or_else(|| usage());
                workers = number.parse().unwrap_or_else(|_| usage());
            }
            _ => usage(),
        }
    }
    if name.is_empty() {
        usage();
    }
    let Some((_, run)) = BENCHMARKS.iter().find(|(known, _)| *known == name) else {
        eprintln!("bench_sched: no benchmark {name}");
        std::process::exit(2);
    };
    let mut builder = if workers == 0 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers);
        builder
    };
    let runtime = builder.enable_all().build().expect("a runtime");
    let is_memory = name.starts_with("mem_");
    let divisor = if is_quick { 100 } else { 1 };
    if !is_quick && !is_memory {
        run(&runtime, divisor);
    }
    let rounds = if is_quick || is_memory { 1 } else { 3 };
    let mut samples: Vec<Sample> = (0..rounds).map(|_| run(&runtime, divisor)).collect();
    samples.sort_by(|a, b| a.value.total_cmp(&b.value));
    let sample = samples[samples.len() / 2];
    let unit = if is_memory { "B/task" } else { "ns/op" };
    let late = sample.late_us.map_or(String::new(), |(p50, p99)| {
        format!(", \"late_p50_us\": {p50:.1}, \"late_p99_us\": {p99:.1}")
    });
    println!(
        "{{\"name\": \"{name}\", \"workers\": {workers}, \"value\": {:.3}, \"unit\": \"{unit}\", \
         \"cpu\": {:.3}{late}}}",
        sample.value, sample.cpu
    );
    // A million tasks wait for ever: leave them to the system.
    runtime.shutdown_background();
}
