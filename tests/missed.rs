//! Whoever's beginning is in the journal has an end there, also where the end came
//! while nobody served, or because nobody could go on.

mod support;

use echod::keep::{Done, Memory};
use rustix::process::Signal;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use support::manager::Manager;
use support::peer;

/// A daemon to which one peer of each kind has said something, in this order.
struct Scene {
    manager: Manager,
    tcp: Option<TcpStream>,
    unix: Option<UnixStream>,
}

fn scene() -> Scene {
    let mut manager = Manager::new();
    let address = manager.listen_tcp("line");
    let path = manager.place().join("socket");
    manager.listen(UnixListener::bind(&path).expect("a free path"), "line");
    manager.start(&[], &[]);
    manager.wait_ready();
    let mut tcp = peer::connect(address);
    peer::ask(&mut tcp, b"one\n", "one-回传\n".len());
    let mut unix = UnixStream::connect(path).expect("it listens");
    unix.write_all(b"one\n").expect("it is open");
    unix.read_exact(&mut [0; "one-回传\n".len()]).expect("an answer");
    // One thread serves: when a third is answered, the answers so far are noted.
    peer::ask(&mut peer::connect(address), b"one\n", "one-回传\n".len());
    Scene { manager, tcp: Some(tcp), unix: Some(unix) }
}

impl Scene {
    /// What the next daemon says about the ends of both, after something happened to
    /// them while there was none.
    fn meanwhile(mut self, happens: impl FnOnce(&mut Self)) -> [String; 2] {
        self.manager.kill(Signal::KILL);
        happens(&mut self);
        self.manager.start_again();
        self.manager.wait_ready();
        ["conversation 1 ", "conversation 2 "].map(|who| {
            self.manager.wait_stderr(|line| line.contains(who) && line.contains(" ended "))
        })
    }

    /// The memory file that the next daemon will read.
    fn memory(&mut self) -> Memory {
        let _ = self.manager.stored();
        let file = self.manager.wait("the memory file", |known| {
            known
                .stored
                .iter()
                .find(|stored| stored.name == "echod-memory")
                .map(|stored| stored.fd.try_clone().expect("there are descriptors left"))
        });
        Memory::adopt(file).expect("it is a memory file")
    }
}

#[test]
fn who_goes_while_nobody_serves_has_ended() {
    let [tcp, unix] = scene().meanwhile(|scene| {
        peer::reset(scene.tcp.take().expect("it is open"));
        scene.unix.take();
    });
    assert!(tcp.contains("ended (reset): 1 message, 4 bytes received, 11 sent"), "{tcp}");
    assert!(unix.contains("ended (end-of-file): 1 message, 4 bytes received, 11 sent"), "{unix}");
}

#[test]
fn who_is_contradicted_has_ended_and_been_reset() {
    let mut scene = scene();
    let (tcp, unix) = (scene.tcp.take(), scene.unix.take());
    let ends = scene.meanwhile(|scene| {
        let memory = scene.memory();
        for number in 0..2 {
            memory.record(number).note(&Done { taken: 1_000, ..Done::default() });
        }
    });
    for end in ends {
        assert!(
            end.contains("ended (contradiction): 0 messages, 4 bytes received, 11 sent"),
            "{end}"
        );
    }
    let error = tcp.expect("it is open").read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(unix.expect("it is open").read(&mut [0]).expect("an end"), 0);
}
