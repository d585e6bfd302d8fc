//! An owner: it asks a feed for so many bytes and closes when it has them.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use actix::{Actor, Addr, AsyncContext, Context, Handler};
use bytes::Bytes;
use exeunt::{
    Close, Connect, Connected, ConnectionId, Data, Draining, Eof, Events, Handle, Lost, Owner, Supervisor, Write,
    sim::{Climate, Speech, World, pattern},
};

use crate::{SECOND, plan};

const FEED: usize = 50_000;

fn feed() -> Speech {
    Speech::new(|heard| {
        let asked = heard.ends_with(b"go\n");
        heard.clear();
        if asked { pattern(0, 0, FEED) } else { Bytes::new() }
    })
}

struct Reader {
    world: World,
    reading: BTreeMap<ConnectionId, (Handle<Events>, Vec<u8>)>,
    lost: Rc<RefCell<Vec<Lost>>>,
}

impl Actor for Reader {
    type Context = Context<Self>;
}

impl Handler<Connected> for Reader {
    type Result = ();

    fn handle(&mut self, Connected { id, connection, .. }: Connected, _: &mut Self::Context) {
        connection.do_send(Write::new("go\n"));
        self.reading.insert(id, (connection, Vec::new()));
    }
}

impl Handler<Data> for Reader {
    type Result = ();

    fn handle(&mut self, Data { id, bytes }: Data, _: &mut Self::Context) {
        let Some((connection, read)) = self.reading.get_mut(&id) else {
            return self.world.fail(format!("law 2: data of {id}, which is not open"));
        };
        read.extend_from_slice(&bytes);
        if read.len() == FEED {
            connection.do_send(Close::new());
        }
    }
}

impl Handler<Eof> for Reader {
    type Result = ();

    fn handle(&mut self, _: Eof, _: &mut Self::Context) {}
}

impl Handler<Draining> for Reader {
    type Result = ();

    fn handle(&mut self, Draining { id, .. }: Draining, _: &mut Self::Context) {
        if let Some((connection, _)) = self.reading.get(&id) {
            connection.do_send(Close::new());
        }
    }
}

impl Handler<Lost> for Reader {
    type Result = ();

    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        if let Some((_, read)) = self.reading.remove(&lost.id)
            && !pattern(0, 0, FEED).starts_with(&read)
        {
            self.world.fail(format!("law 5: {} bytes that are not the feed's: {lost}", read.len()));
        }
        self.lost.borrow_mut().push(lost);
    }
}

pub async fn readers(world: World) {
    world.host("feed.sim.test:80", Climate::Any, feed);
    let supervisor = world.supervise(Supervisor::new());
    let lost = Rc::default();
    let reader = Reader { world: world.clone(), reading: BTreeMap::new(), lost: Rc::clone(&lost) };
    let owner: Addr<Reader> = Reader::create(|context| {
        // An owner may go at any moment, too.
        if world.perhaps("the owner goes", 20) {
            context.run_later(world.dice("goes").moment(Duration::ZERO..world.span()), |_, context| {
                actix::ActorContext::stop(context);
            });
        }
        reader
    });
    world.stop_within(&supervisor, world.span() * 2, plan());
    let mut admitted = 0;
    for n in 0..4 {
        if n == 0 || world.perhaps(&format!("reader{n}"), 60) {
            let connect = Connect::to("feed.sim.test:80", Events::new(&Owner::new(owner.clone())));
            match supervisor.send(connect.tls(&world.client_tls())).await {
                Ok(Ok(_)) => admitted += 1,
                Ok(Err(refused)) => admitted += usize::from(refused.lost().is_some()),
                Err(_) => world.fail("the supervisor is gone"),
            }
        }
    }
    // An owner that lives is told of each, before the world is over.
    tokio::time::sleep(SECOND * 1_000).await;
    let told = lost.borrow().len();
    if owner.connected() && told != admitted {
        world.fail(format!("law 1: {admitted} were admitted, and the owner was told of {told}"));
    }
}
