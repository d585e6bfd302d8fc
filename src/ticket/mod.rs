//! The ticket that owes a `Lost`, and the books that outlive every runtime.
//!
//! ```text
//!  supervisor's mailbox            the child's task                       any thread, any time
//!  --------------------            ----------------                       --------------------
//!  Books::admit -> Ticket  ---->   Child { connection, ticket }
//!                                    connection dropped (socket closed)
//!                                    ticket dropped  -------------------> Register::end, then News::Lost
//! ```
//!
//! The ticket is linear: no `Clone`, spent by its `Drop`, which no panic, cancelled future, dead thread or torn-down runtime can skip. So "exactly one `Lost`"
//! does not rest on anybody's discipline. The supervisor's mailbox is only *told*; the count is kept in the books, because on a teardown a supervisor may be dropped
//! before its children and what they would have sent it is then lost.

mod books;
mod entry;
mod inbox;
mod register;
mod roll;

pub use books::Books;
pub(crate) use books::{News, Promise, Ticket};
pub(crate) use entry::{Entry, Liveness, Orders};
pub(crate) use inbox::Inbox;
pub use register::Refusal;
#[cfg(test)]
pub(crate) use register::{Fence, Register};
pub use roll::{RollEntry, WaitingFor};
