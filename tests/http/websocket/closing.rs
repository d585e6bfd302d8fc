//! How WebSockets end: from both sides, well or not, and in a stop.

use exeunt::{
    Reason, Role, Verdict,
    http::websocket::{CloseCode, Message, WebSocketError, WebSocketOptions},
};
use futures_util::{SinkExt, StreamExt};
use tokio::time::Instant;

use super::{PING, Play, ROLES, TEXT, end, stop};
use crate::{
    over_both,
    stage::{Over, SECOND, assert_adds_up, settled},
};

over_both!(
    our_close_is_answered
    the_peers_close_is_answered
    a_code_that_may_not_be_sent_is_left_out
    what_comes_behind_our_close_is_read
    a_drop_says_that_we_go_away
    an_end_without_a_close_frame_says_so
    a_peer_that_does_not_answer_costs_the_linger
    a_server_that_does_not_end_costs_the_linger
    a_cut_after_the_close_frames_names_itself
    a_drain_goes_away_and_waits_for_the_answer
    a_drain_waits_no_longer_than_the_stop_lingers
    a_drain_in_the_middle_of_a_message_reads_it_first
);

/// The application's code and reason pass, and so do the answer's.
async fn our_close_is_answered(over: Over) {
    for role in ROLES {
        let Play { supervisor, books, socket, mut peer } = Play::open(over, role).await;
        let (closed, ()) = tokio::join!(socket.close(CloseCode::new(4001), "enough"), async {
            assert_eq!(peer.hear_close().await, (CloseCode::new(4001), "enough".to_owned()));
            peer.say(TEXT, "thrown away").await;
            peer.say_close(4002, "as you like").await;
            if role == Role::Server {
                assert_eq!(peer.client.until_end().await.unwrap(), b"");
            }
            peer.leave().await;
        });
        assert_eq!((closed.code, closed.reason.as_str(), closed.clean), (CloseCode::new(4002), "as you like", true));
        // It is the server that ends the connection (RFC 6455, section 7.1.1).
        let reason = if role == Role::Server { Reason::Closed } else { Reason::ClosedByPeer };
        assert_eq!((closed.id, closed.lost.reason, closed.lost.bytes_unsent), (closed.lost.id, reason, 0));
        end(supervisor, books).await;
    }
}

async fn the_peers_close_is_answered(over: Over) {
    for role in ROLES {
        for (said, code, reason) in [(Some((4000, "bye")), 4000, "bye"), (None, 1005, "")] {
            let mut play = Play::open(over, role).await;
            play.peer.say(TEXT, "last words").await;
            match said {
                Some((code, reason)) => play.peer.say_close(code, reason).await,
                None => play.peer.say(super::CLOSE, "").await,
            }
            assert_eq!(play.socket.next().await.unwrap().unwrap(), "last words".into());
            let (closed, ()) = tokio::join!(play.socket.closed(), async {
                assert_eq!(play.peer.hear_close().await, (CloseCode::new(code), reason.to_owned()));
                play.peer.leave().await;
            });
            assert_eq!((closed.code, closed.reason.as_str(), closed.clean), (CloseCode::new(code), reason, true));
            end(play.supervisor, play.books).await;
        }
    }
}

/// 1006 is never sent (RFC 6455, section 7.4.1).
async fn a_code_that_may_not_be_sent_is_left_out(over: Over) {
    for role in ROLES {
        let Play { supervisor, books, socket, mut peer } = Play::open(over, role).await;
        let (closed, ()) = tokio::join!(socket.close(CloseCode::ABNORMAL, "why"), async {
            assert_eq!(peer.hear_close().await, (CloseCode::NO_STATUS, String::new()));
            peer.say(super::CLOSE, "").await;
            peer.leave().await;
        });
        assert_eq!((closed.code, closed.clean), (CloseCode::NO_STATUS, true));
        end(supervisor, books).await;
    }
}

async fn what_comes_behind_our_close_is_read(over: Over) {
    for role in ROLES {
        let mut play = Play::open(over, role).await;
        play.socket.begin_close(CloseCode::NORMAL, "");
        assert!(play.socket.is_closing());
        assert_eq!(play.socket.send("too late".into()).await.unwrap_err(), WebSocketError::Closing);
        play.peer.hear_close().await;
        play.peer.say(TEXT, "on its way").await;
        play.peer.say_close(1000, "").await;
        assert_eq!(play.socket.next().await.unwrap().unwrap(), "on its way".into());
        let (closed, ()) = tokio::join!(play.socket.closed(), play.peer.leave());
        assert!(closed.clean);
        end(play.supervisor, play.books).await;
    }
}

/// Law 4: behind what was accepted.
async fn a_drop_says_that_we_go_away(over: Over) {
    for role in ROLES {
        let Play { supervisor, books, mut socket, mut peer } = Play::open(over, role).await;
        socket.feed("last words".into()).await.unwrap();
        drop(socket);
        assert_eq!(peer.hear().await, (TEXT, b"last words".to_vec()));
        assert_eq!(peer.hear_close().await.0, CloseCode::GOING_AWAY);
        peer.leave().await;
        let ledger = end(supervisor, books).await;
        assert_eq!(ledger.totals.by_reason["closed"], 1);
    }
}

/// Law 5: between two messages, and in the middle of one.
async fn an_end_without_a_close_frame_says_so(over: Over) {
    for role in ROLES {
        for (well, in_message) in [(true, false), (false, false), (true, true), (false, true)] {
            let mut play = Play::open(over, role).await;
            play.peer.say(TEXT, "whole").await;
            if in_message {
                play.peer.client.say(&play.peer.frame(0x81, "half")[..4]).await;
            }
            match well {
                true => play.peer.client.close().await,
                false => play.peer.client.fin().await,
            }
            assert_eq!(play.socket.next().await.unwrap().unwrap(), "whole".into());
            let error = play.socket.next().await.unwrap().unwrap_err();
            let truncated = !well && over == Over::Tls;
            match truncated {
                true => {
                    let WebSocketError::Connection(inner) = &error else { panic!("{error:?}") };
                    assert_eq!(inner.reason(), Some(&Reason::Truncated));
                }
                false => assert_eq!(error, WebSocketError::NoCloseFrame),
            }
            assert!(play.socket.next().await.is_none());
            let closed = play.socket.closed().await;
            let reason = if truncated { Reason::Truncated } else { Reason::ClosedByPeer };
            assert_eq!((closed.code, closed.clean, closed.lost.reason), (CloseCode::ABNORMAL, false, reason));
            let ledger = super::stop(&play.supervisor).await;
            assert_adds_up(&ledger, &play.books);
        }
    }
}

/// The wait for the close frame is bounded as the one for the close_notify is, or as the options say.
async fn a_peer_that_does_not_answer_costs_the_linger(over: Over) {
    for role in ROLES {
        for (options, seconds) in [(WebSocketOptions::new(), 5), (WebSocketOptions::new().close_timeout(SECOND), 1)] {
            let Play { supervisor, books, socket, mut peer } = Play::with(over, role, options).await;
            let began = Instant::now();
            let ((closed, ()), waited) = tokio::join!(
                async {
                    tokio::join!(socket.close(CloseCode::NORMAL, ""), async {
                        peer.hear_close().await;
                        // It only reads.
                        assert_eq!(peer.client.until_end().await.unwrap(), b"");
                    })
                },
                async {
                    tokio::time::sleep(SECOND * seconds - SECOND / 2).await;
                    began.elapsed()
                }
            );
            assert!(waited < SECOND * seconds);
            assert_eq!((closed.code, closed.clean), (CloseCode::ABNORMAL, false));
            assert_eq!(closed.lost.reason, Reason::Unanswered);
            // Once for the close frame, and once for the close_notify.
            let whole = SECOND * (seconds + 5);
            assert!((whole..whole + SECOND).contains(&closed.lost.age), "{:?}", closed.lost.age);
            end(supervisor, books).await;
        }
    }
}

/// A client leaves the end of the connection to its server, but not for ever.
async fn a_server_that_does_not_end_costs_the_linger(over: Over) {
    let Play { supervisor, books, socket, mut peer } = Play::open(over, Role::Client).await;
    let (closed, ()) = tokio::join!(socket.close(CloseCode::NORMAL, ""), async {
        peer.hear_close().await;
        peer.say_close(1000, "").await;
        assert_eq!(peer.client.until_end().await.unwrap(), b"");
        peer.client.close().await;
    });
    assert_eq!((closed.clean, closed.lost.reason), (true, Reason::Closed));
    assert!((SECOND * 5..SECOND * 6).contains(&closed.lost.age), "{:?}", closed.lost.age);
    end(supervisor, books).await;
}

/// Law 5: the messages are whole, and the connection says what it says.
async fn a_cut_after_the_close_frames_names_itself(over: Over) {
    let Play { supervisor, books, socket, mut peer } = Play::open(over, Role::Client).await;
    let (closed, ()) = tokio::join!(socket.close(CloseCode::NORMAL, ""), async {
        peer.hear_close().await;
        peer.say_close(1000, "").await;
        peer.client.fin().await;
    });
    let reason = if over == Over::Tls { Reason::Truncated } else { Reason::ClosedByPeer };
    assert_eq!((closed.clean, closed.code, closed.lost.reason), (true, CloseCode::NORMAL, reason));
    let ledger = super::stop(&supervisor).await;
    assert_adds_up(&ledger, &books);
}

/// Law 6.
async fn a_drain_goes_away_and_waits_for_the_answer(over: Over) {
    for role in ROLES {
        let Play { supervisor, books, socket, mut peer } = Play::open(over, role).await;
        let (ledger, closed, ()) = tokio::join!(stop(&supervisor), socket.closed(), async {
            assert_eq!(peer.hear_close().await.0, CloseCode::GOING_AWAY);
            tokio::time::sleep(SECOND / 2).await;
            peer.say_close(1001, "").await;
            peer.leave().await;
        });
        assert_eq!((closed.code, closed.clean), (CloseCode::GOING_AWAY, true));
        assert_adds_up(&ledger, &books);
        assert_eq!((ledger.rows.len(), ledger.verdict()), (1, Verdict::Clean), "{ledger}");
        assert!(ledger.elapsed < SECOND, "{:?}", ledger.elapsed);
    }
}

/// Law 6: one second here, and one more for the close_notify, of a drain of twenty.
async fn a_drain_waits_no_longer_than_the_stop_lingers(over: Over) {
    for role in ROLES {
        let Play { supervisor, books, socket, mut peer } = Play::open(over, role).await;
        let (ledger, closed, ()) = tokio::join!(stop(&supervisor), socket.closed(), async {
            assert_eq!(peer.hear_close().await.0, CloseCode::GOING_AWAY);
            assert_eq!(peer.client.until_end().await.unwrap(), b"");
        });
        assert_eq!((closed.code, closed.clean, closed.lost.reason), (CloseCode::ABNORMAL, false, Reason::Unanswered));
        assert_adds_up(&ledger, &books);
        assert!((SECOND * 2..SECOND * 3).contains(&ledger.elapsed), "{:?}", ledger.elapsed);
        assert_eq!(ledger.verdict(), Verdict::Clean);
    }
}

async fn a_drain_in_the_middle_of_a_message_reads_it_first(over: Over) {
    for role in ROLES {
        let Play { supervisor, books, mut socket, mut peer } = Play::open(over, role).await;
        let frame = peer.frame(0x81, "in the middle");
        peer.client.say(&frame[..7]).await;
        settled().await;
        let (ledger, read, ()) = tokio::join!(
            stop(&supervisor),
            async {
                let message: Option<Result<Message, _>> = socket.next().await;
                (message, socket.closed().await)
            },
            async {
                assert_eq!(peer.hear_close().await.0, CloseCode::GOING_AWAY);
                peer.client.say(&frame[7..]).await;
                // After a close frame nothing is answered any more.
                peer.say(PING, "").await;
                peer.say_close(1001, "").await;
                peer.leave().await;
            }
        );
        assert_eq!(read.0.unwrap().unwrap(), "in the middle".into());
        assert!(read.1.clean);
        assert_adds_up(&ledger, &books);
        assert_eq!(ledger.verdict(), Verdict::Clean);
    }
}
