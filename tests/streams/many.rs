//! Many peers, and much from one.

use crate::support::daemon::Daemon;
use crate::support::peer::{End, allow_many_descriptors, connect, half_close, rest};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const PEERS: usize = 1_000;
const MESSAGES: usize = 100;
const MESSAGE_MAX: usize = 100 * 1024;

/// The generator of Marsaglia's xorshift, good enough to be unlike itself.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    /// 1 to 100 KiB, each power of two as likely as any other, so that the mean
    /// is about 11 KiB; and every second one small. That is some 560 MB in all,
    /// each way: a debug build takes seconds for it.
    fn size(&mut self) -> usize {
        let most = if self.next() % 2 == 0 { 128 } else { MESSAGE_MAX };
        let bits = most.ilog2() + 1;
        let power = 1_usize << self.below(bits as usize);
        (power + self.below(power)).min(most)
    }
}

/// Bytes of which no part is like another.
fn noise(length: usize) -> Vec<u8> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut noise = Vec::with_capacity(length + 8);
    while noise.len() < length {
        noise.extend_from_slice(&random.next().to_ne_bytes());
    }
    noise.truncate(length);
    noise
}

/// Says all messages, one after another, and checks every byte of each echo.
async fn talk(address: SocketAddr, number: u64, noise: Arc<Vec<u8>>, all: Arc<Barrier>) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    all.wait().await;
    let mut random = Random(number + 1);
    let mut heard = vec![0; MESSAGE_MAX];
    let mut total = 0;
    for _ in 0..MESSAGES {
        let size = random.size();
        let begin = random.below(noise.len() - size);
        let said = &noise[begin..begin + size];
        stream.write_all(said).await.unwrap();
        stream.read_exact(&mut heard[..size]).await.unwrap();
        assert!(said == &heard[..size], "an echo is not what was said");
        total += size;
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut heard).await.unwrap(), 0);
    total
}

#[test]
fn a_thousand_at_once_get_every_byte_back() {
    allow_many_descriptors();
    let daemon = Daemon::speaking("rfc862", &[]);
    let address = daemon.address();
    let noise = Arc::new(noise(1 << 20));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let total = runtime.block_on(async {
        let all = Arc::new(Barrier::new(PEERS));
        let mut peers = JoinSet::new();
        for number in 0..PEERS as u64 {
            peers.spawn(talk(address, number, Arc::clone(&noise), Arc::clone(&all)));
        }
        let totals = tokio::time::timeout(Duration::from_secs(60), peers.join_all());
        totals.await.expect("a minute is enough").into_iter().sum::<usize>()
    });
    println!("{PEERS} peers, {} messages, {total} bytes", PEERS * MESSAGES);
    assert!(total > 300_000_000);
}

const MUCH: usize = 64 << 20;

#[test]
fn much_that_is_read_only_when_no_more_can_be_said_comes_back_whole() {
    let daemon = Daemon::speaking("rfc862", &[]);
    let said = noise(MUCH);
    let mut stream = connect(daemon.address());
    let gone = crate::support::peer::stuff(&mut stream, &said);
    assert!(gone < MUCH, "the daemon holds {gone} bytes");
    let mut writer = stream.try_clone().unwrap();
    let (heard, end) = std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&said[gone..]).unwrap();
            half_close(&writer);
        });
        rest(&mut stream)
    });
    assert!(heard == said, "{} bytes came back", heard.len());
    assert_eq!(end, End::Eof);
    println!("{gone} bytes had been said when the first was read");
}

/// netcat, and what it is given to say.
fn netcat(address: SocketAddr, said: &[u8]) -> std::process::Child {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(said).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let mut command = Command::new("nc");
    command.args(["-N", "127.0.0.1", &address.port().to_string()]);
    command.stdin(file).stdout(Stdio::piped()).spawn().expect("netcat-openbsd is installed")
}

#[test]
fn netcat_gets_much_back_whole_although_it_reads_only_after_two_seconds() {
    let daemon = Daemon::speaking("rfc862", &[]);
    let said = noise(MUCH);
    let mut netcat = netcat(daemon.address(), &said);
    let mut output = netcat.stdout.take().unwrap();
    // The two seconds are what is tested: meanwhile everything is stuck.
    std::thread::sleep(Duration::from_secs(2));
    let mut heard = Vec::new();
    output.read_to_end(&mut heard).unwrap();
    assert!(heard == said, "{} bytes came back", heard.len());
    assert!(netcat.wait().unwrap().success());
    daemon.wait_endings("end-of-file", 1);
}

#[test]
fn netcat_gets_what_the_readme_says() {
    let daemon = Daemon::start(&["--listen-stream=127.0.0.1:0", "--listen-stream=[::1]:0"]);
    for address in daemon.addresses() {
        let mut stream = connect(*address);
        stream.write_all(b"hello").unwrap();
        half_close(&stream);
        assert_eq!(rest(&mut stream), ("hello-回传".into(), End::Eof));
    }
    let output = netcat(daemon.address(), b"hello").wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hello-回传");
}
