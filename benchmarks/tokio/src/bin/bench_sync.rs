//! bench_sync [--json] [--quick]: the eighteen benchmarks of locks and channels, as
//! benchmarks/core/sync does them.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use blitzio_tokio_bench::{allocations, reset_allocations, time_of, Counting};
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore};
use tokio::task::JoinHandle;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Copy)]
struct Sizes {
    sync_ops: u64,
    channel_ops: u64,
    async_ops: u64,
    mpmc_buffer: usize,
    workers: usize,
    warmup: usize,
    iterations: usize,
}

struct Row {
    name: &'static str,
    ops: u64,
    median_ns: u64,
    min_ns: u64,
    calls: u64,
    bytes: u64,
}

/// `iterate` resets the counters, makes what is made outside the clock and returns the time.
fn measure(name: &'static str, ops: u64, sizes: Sizes, mut iterate: impl FnMut() -> u64) -> Row {
    for _ in 0..sizes.warmup {
        iterate();
    }
    let mut times = Vec::new();
    let (mut calls, mut bytes) = (0, 0);
    for _ in 0..sizes.iterations {
        times.push(iterate());
        (calls, bytes) = allocations();
    }
    times.sort_unstable();
    Row {
        name,
        ops,
        median_ns: times[times.len() / 2],
        min_ns: times[0],
        calls,
        bytes,
    }
}

fn make_runtime(sizes: Sizes) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(sizes.workers)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn uncontended(rows: &mut Vec<Row>, sizes: Sizes) {
    let count = sizes.sync_ops;
    rows.push(measure("mutex", count, sizes, || {
        reset_allocations();
        let mutex = Mutex::new(());
        time_of(|| {
            for _ in 0..count {
                drop(black_box(mutex.try_lock().expect("free")));
            }
        })
    }));
    rows.push(measure("rwlock_read", count, sizes, || {
        reset_allocations();
        let lock = RwLock::new(());
        time_of(|| {
            for _ in 0..count {
                drop(black_box(lock.try_read().expect("free")));
            }
        })
    }));
    rows.push(measure("rwlock_write", count, sizes, || {
        reset_allocations();
        let lock = RwLock::new(());
        time_of(|| {
            for _ in 0..count {
                drop(black_box(lock.try_write().expect("free")));
            }
        })
    }));
    rows.push(measure("semaphore", count, sizes, || {
        reset_allocations();
        let semaphore = Semaphore::new(10);
        time_of(|| {
            for _ in 0..count {
                drop(black_box(semaphore.try_acquire().expect("free")));
            }
        })
    }));
    rows.push(measure("oncecell_get", count, sizes, || {
        reset_allocations();
        let cell = OnceCell::new();
        cell.set(42u64).expect("empty");
        time_of(|| {
            for _ in 0..count {
                black_box(cell.get());
            }
        })
    }));
    rows.push(measure("oncecell_set", count, sizes, || {
        reset_allocations();
        time_of(|| {
            for i in 0..count {
                let cell = OnceCell::new();
                cell.set(i).expect("empty");
                black_box(&cell);
            }
        })
    }));
    let runtime = make_runtime(sizes);
    rows.push(measure("notify", count, sizes, || {
        reset_allocations();
        time_of(|| {
            runtime.block_on(async {
                for _ in 0..count {
                    let notify = Notify::new();
                    notify.notify_one();
                    notify.notified().await;
                }
            })
        })
    }));
    rows.push(measure("barrier", count, sizes, || {
        reset_allocations();
        time_of(|| {
            runtime.block_on(async {
                for _ in 0..count {
                    let barrier = Barrier::new(1);
                    black_box(barrier.wait().await);
                }
            })
        })
    }));
}

fn channels(rows: &mut Vec<Row>, sizes: Sizes) {
    let count = sizes.channel_ops;
    rows.push(measure("channel_send", count, sizes, || {
        reset_allocations();
        let (sender, mut receiver) = mpsc::channel(count as usize);
        let time = time_of(|| {
            for i in 0..count {
                sender.try_send(i).expect("room");
            }
        });
        while receiver.try_recv().is_ok() {}
        time
    }));
    rows.push(measure("channel_recv", count, sizes, || {
        reset_allocations();
        let (sender, mut receiver) = mpsc::channel(count as usize);
        for i in 0..count {
            sender.try_send(i).expect("room");
        }
        time_of(|| {
            for _ in 0..count {
                black_box(receiver.try_recv().expect("a value"));
            }
        })
    }));
    rows.push(measure("channel_roundtrip", count, sizes, || {
        reset_allocations();
        let (sender, mut receiver) = mpsc::channel(1);
        time_of(|| {
            for i in 0..count {
                sender.try_send(i).expect("room");
                black_box(receiver.try_recv().expect("a value"));
            }
        })
    }));
    rows.push(measure("oneshot", count, sizes, || {
        reset_allocations();
        time_of(|| {
            for i in 0..count {
                let (sender, mut receiver) = oneshot::channel();
                sender.send(i).expect("open");
                black_box(receiver.try_recv().expect("a value"));
            }
        })
    }));
    rows.push(measure("broadcast", count, sizes, || {
        reset_allocations();
        let (sender, first) = broadcast::channel(count as usize);
        let mut receivers = vec![first];
        for _ in 0..3 {
            receivers.push(sender.subscribe());
        }
        time_of(|| {
            for i in 0..count {
                sender.send(i).expect("receivers");
            }
            for receiver in &mut receivers {
                for _ in 0..count {
                    black_box(receiver.try_recv().expect("a value"));
                }
            }
        })
    }));
    rows.push(measure("watch", count, sizes, || {
        reset_allocations();
        let (sender, receiver) = watch::channel(0u64);
        time_of(|| {
            for i in 0..count {
                sender.send(i).expect("a receiver");
                black_box(*receiver.borrow());
            }
        })
    }));
}

async fn join_all(handles: Vec<JoinHandle<()>>) {
    for handle in handles {
        handle.await.expect("a task");
    }
}

fn contended(rows: &mut Vec<Row>, sizes: Sizes) {
    let runtime = make_runtime(sizes);
    let total = sizes.async_ops;
    rows.push(measure("channel_mpmc", total, sizes, || {
        reset_allocations();
        time_of(|| {
            runtime.block_on(async {
                let (sender, receiver) = async_channel::bounded(sizes.mpmc_buffer);
                let mut producers = Vec::new();
                let mut consumers = Vec::new();
                for _ in 0..4 {
                    let sender = sender.clone();
                    producers.push(tokio::spawn(async move {
                        for i in 0..total / 4 {
                            sender.send(i).await.expect("open");
                        }
                    }));
                }
                drop(sender);
                for _ in 0..4 {
                    let receiver = receiver.clone();
                    consumers.push(tokio::spawn(async move {
                        while let Ok(value) = receiver.recv().await {
                            black_box(value);
                        }
                    }));
                }
                drop(receiver);
                join_all(producers).await;
                join_all(consumers).await;
            })
        })
    }));

    let counter = Arc::new(AtomicU64::new(0));
    let mutex = Arc::new(Mutex::new(()));
    rows.push(measure("mutex_contended", total, sizes, || {
        reset_allocations();
        counter.store(0, Relaxed);
        let time = time_of(|| {
            runtime.block_on(async {
                let mut handles = Vec::new();
                for _ in 0..4 {
                    let (mutex, counter) = (mutex.clone(), counter.clone());
                    handles.push(tokio::spawn(async move {
                        for _ in 0..total / 4 {
                            let _guard = mutex.lock().await;
                            counter.fetch_add(1, Relaxed);
                        }
                    }));
                }
                join_all(handles).await;
            })
        });
        assert_eq!(counter.load(Relaxed), total / 4 * 4);
        time
    }));

    let each = total / 6;
    let lock = Arc::new(RwLock::new(()));
    rows.push(measure("rwlock_contended", each * 6, sizes, || {
        reset_allocations();
        counter.store(0, Relaxed);
        let time = time_of(|| {
            runtime.block_on(async {
                let mut handles = Vec::new();
                for _ in 0..4 {
                    let (lock, counter) = (lock.clone(), counter.clone());
                    handles.push(tokio::spawn(async move {
                        for _ in 0..each {
                            let _guard = lock.read().await;
                            counter.fetch_add(1, Relaxed);
                        }
                    }));
                }
                for _ in 0..2 {
                    let (lock, counter) = (lock.clone(), counter.clone());
                    handles.push(tokio::spawn(async move {
                        for _ in 0..each {
                            let _guard = lock.write().await;
                            counter.fetch_add(1, Relaxed);
                        }
                    }));
                }
                join_all(handles).await;
            })
        });
        assert_eq!(counter.load(Relaxed), each * 6);
        time
    }));

    let semaphore = Arc::new(Semaphore::new(2));
    rows.push(measure("semaphore_contended", total, sizes, || {
        reset_allocations();
        counter.store(0, Relaxed);
        let time = time_of(|| {
            runtime.block_on(async {
                let mut handles = Vec::new();
                for _ in 0..8 {
                    let (semaphore, counter) = (semaphore.clone(), counter.clone());
                    handles.push(tokio::spawn(async move {
                        for _ in 0..total / 8 {
                            let _permit = semaphore.acquire().await.expect("open");
                            counter.fetch_add(1, Relaxed);
                        }
                    }));
                }
                join_all(handles).await;
            })
        });
        assert_eq!(counter.load(Relaxed), total / 8 * 8);
        time
    }));
}

fn print_json(rows: &[Row], sizes: Sizes) {
    println!(
        "{{\"metadata\": {{\"runtime\": \"tokio\", \"sync_ops\": {}, \"channel_ops\": {}, \
         \"async_ops\": {}, \"iterations\": {}, \"warmup\": {}, \"workers\": {}, \
         \"mpmc_buffer\": {}, \"methodology\": \"upper median of the timed iterations; \
         allocations of the last one, counted in the global allocator\"}},",
        sizes.sync_ops,
        sizes.channel_ops,
        sizes.async_ops,
        sizes.iterations,
        sizes.warmup,
        sizes.workers,
        sizes.mpmc_buffer
    );
    println!(" \"benchmarks\": {{");
    for (i, row) in rows.iter().enumerate() {
        let ops = row.ops as f64;
        let ns_per_op = row.median_ns as f64 / ops;
        println!(
            "  \"{}\": {{\"ns_per_op\": {:.4}, \"ops_per_sec\": {:.0}, \"median_ns\": {}, \
             \"min_ns\": {}, \"ops_per_iter\": {}, \"bytes_per_op\": {:.4}, \
             \"allocs_per_op\": {:.6}}}{}",
            row.name,
            ns_per_op,
            1e9 / ns_per_op,
            row.median_ns,
            row.min_ns,
            row.ops,
            row.bytes as f64 / ops,
            row.calls as f64 / ops,
            if i + 1 < rows.len() { "," } else { "}}" }
        );
    }
}

fn print_table(rows: &[Row]) {
    println!(
        "{:<20} {:>10} {:>10} {:>10}",
        "", "ns/op", "bytes/op", "allocs/op"
    );
    for row in rows {
        let ops = row.ops as f64;
        println!(
            "{:<20} {:>10.2} {:>10.2} {:>10.5}",
            row.name,
            row.median_ns as f64 / ops,
            row.bytes as f64 / ops,
            row.calls as f64 / ops
        );
    }
}

fn main() {
    let mut sizes = Sizes {
        sync_ops: 1_000_000,
        channel_ops: 100_000,
        async_ops: 10_000,
        mpmc_buffer: 1_000,
        workers: 4,
        warmup: 5,
        iterations: 10,
    };
    let mut is_json = false;
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "--json" => is_json = true,
            "--quick" => {
                sizes.sync_ops /= 100;
                sizes.channel_ops /= 100;
                sizes.async_ops /= 100;
                sizes.warmup = 1;
                sizes.iterations = 1;
            }
            _ => {
                eprintln!("usage: bench_sync [--json] [--quick]");
                std::process::exit(64);
            }
        }
    }
    let mut rows = Vec::new();
    uncontended(&mut rows, sizes);
    channels(&mut rows, sizes);
    contended(&mut rows, sizes);
    if is_json {
        print_json(&rows, sizes);
    } else {
        print_table(&rows);
    }
}
