//! A task for each connection, each with a buffer of 4 KiB: what one writes first.
//! `habit one` has the runtime of one thread, `habit many` the default one.

use std::os::fd::FromRawFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

fn main() -> std::io::Result<()> {
    let many = std::env::args().nth(1).as_deref() == Some("many");
    let mut builder = if many { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_io().build()?.block_on(async {
        // SAFETY: whoever starts this hands the listener over as descriptor 3.
        let listener = unsafe { std::net::TcpListener::from_raw_fd(3) };
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                while let Ok(taken @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..taken]).await.is_err() {
                        return;
                    }
                }
            });
        }
    })
}
