//! Real peers, each in a process of its own, behind a relay.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use exeunt::ClientTls;

use crate::{
    life::{Dice, Somebody},
    relay::Relay,
};

/// An echo by lines, by asyncio, that closes as asyncio does.
const ASYNCIO: &str = "\
import asyncio, ssl, sys
async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
    except Exception:
        writer.transport.abort()
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(echo, '127.0.0.1', 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
";

/// The peers, and the relays in front of them.
pub struct Peers {
    processes: Vec<Child>,
    relays: Vec<(Relay, usize)>,
    tls: ClientTls,
    directory: PathBuf,
}

impl Peers {
    pub fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("exeunt-soak-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let signed = exeunt::tls::self_signed(&["localhost", "127.0.0.1"]).unwrap();
        let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
        std::fs::write(&chain, &signed.certificate_pem).unwrap();
        std::fs::write(&key, &signed.key_pem).unwrap();
        let tls = ClientTls::builder().trust_pem(&signed.ca_pem).build().unwrap();
        let mut peers = Peers { processes: Vec::new(), relays: Vec::new(), tls, directory };

        let mut asyncio = Command::new("python3");
        asyncio.args(["-W", "ignore", "-c", ASYNCIO]).arg(&chain).arg(&key).stderr(Stdio::null());
        peers.add(asyncio, 100_000, |line| line.trim().parse().ok());
        // Answers each line with the line turned round, and so with as many bytes; a longer one in pieces of 16 KB.
        let mut openssl = Command::new("openssl");
        openssl.args(["s_server", "-accept", "127.0.0.1:0", "-rev", "-naccept", "1000000", "-cert"]).arg(&chain);
        openssl.arg("-key").arg(&key).stderr(Stdio::null());
        peers.add(openssl, 16_000, |line| line.trim().strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse().ok());
        peers
    }

    /// Starts a peer, waits for the line that tells its port, and puts a relay in front of it.
    fn add(&mut self, mut command: Command, longest: usize, port: impl Fn(&str) -> Option<u16>) {
        let program = command.get_program().to_owned();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("{program:?} is not to be had ({error}): script/setup brings it");
        });
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| port(&line)).expect("the peer said no port");
        self.processes.push(child);
        self.relays.push((Relay::start(port, self.relays.len() as u64), longest));
    }

    /// Returns when nothing is relayed any more: the descriptors of this process are then ours alone.
    pub fn wait_until_idle(&self) {
        self.relays.iter().for_each(|(relay, _)| relay.wait_until_idle());
    }

    /// Somebody to talk to.
    pub fn somebody(&self, dice: &mut Dice) -> Somebody {
        let (relay, longest) = &self.relays[dice.below(self.relays.len())];
        Somebody { port: relay.port, longest: *longest, tls: self.tls.clone() }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
