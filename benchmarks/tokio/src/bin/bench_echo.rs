//! bench_echo PORT [WORKERS]: returns every byte in order, as benchmarks/core/echo does.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let port = words.get(1).and_then(|word| word.parse::<u16>().ok());
    let workers = words
        .get(2)
        .map_or(Some(1), |word| word.parse::<usize>().ok());
    let (Some(port), Some(workers), true) = (port, workers, words.len() <= 3) else {
        eprintln!("usage: bench_echo PORT [WORKERS]");
        std::process::exit(64);
    };
    let mut builder = if workers == 0 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers);
        builder
    };
    builder.enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A client that goes away is no news.
                let _ = serve(stream).await;
            });
        }
    })
}
