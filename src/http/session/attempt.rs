//! One exchange on a connection of the pool, and what its failure means for both.

use std::time::Duration;

use http::{Request, Response};
use tokio::time::timeout;

use super::lease::Lease;
use crate::{
    fate::Reason,
    http::{Body, Deadline, Error, ErrorKind, ExchangeError, NotProcessed, ResponseBody, exchange::Leased},
};

/// Why an exchange failed.
pub(super) enum Failure {
    /// Nothing was written. The request, if it came back.
    NotSent(Option<Box<Request<Body>>>, Option<Reason>),
    /// The peer did not process it. The request, if nothing of it was written.
    NotProcessed(Option<Box<Request<Body>>>, NotProcessed),
    Other(Error),
}

/// Answers with the head of the response.
pub(super) async fn exchange(
    lease: &mut Lease,
    request: Box<Request<Body>>,
    first_byte: Option<Duration>,
) -> Result<Box<Response<ResponseBody>>, Failure> {
    let answer = lease.client.handle.address().send(Leased { request, slot: lease.slot.take() });
    let answer = match first_byte {
        None => answer.await,
        Some(after) => match timeout(after, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                let what = Deadline::FirstByte;
                return Err(Failure::Other(Error::new(ErrorKind::TimedOut { what, after })));
            }
        },
    };
    match answer {
        Ok(Ok(mut response)) => {
            response.body_mut().keep(lease.client.clone());
            Ok(response)
        }
        Ok(Err(error)) => Err(match error {
            ExchangeError::NotSent { request, reason } => {
                lease.spoiled();
                Failure::NotSent(Some(request), reason)
            }
            // It concerns one stream, or the connection says itself what it means for it.
            ExchangeError::NotProcessed { request, why } => Failure::NotProcessed(request, why),
            error @ (ExchangeError::Reset(_) | ExchangeError::Body(_) | ExchangeError::Request(_)) => {
                Failure::Other(Error::of_exchange(error))
            }
            error => {
                lease.spoiled();
                Failure::Other(Error::of_exchange(error))
            }
        }),
        // The actor had ended before it read the message: one that reads it answers it.
        Err(_) => {
            lease.spoiled();
            let reason = lease.client.handle.lost().map(|lost| lost.reason);
            Err(Failure::NotSent(None, reason))
        }
    }
}
