//! The JSON of [`Lost`] and [`Ledger`]: flat, with the names that the examples document.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Ledger, Lost, Row, Verdict};

impl Serialize for Lost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("Lost", LOST_FIELDS)?;
        write_lost::<S>(&mut s, self)?;
        s.end()
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("Row", LOST_FIELDS + 1)?;
        s.serialize_field("phase_at_stop", &self.phase_at_stop)?;
        write_lost::<S>(&mut s, &self.lost)?;
        s.end()
    }
}

impl Serialize for Ledger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (forced, abandoned) = match self.verdict() {
            Verdict::Clean => (0, 0),
            Verdict::Forced(n) => (n, 0),
            Verdict::Abandoned(n) => (0, n),
        };
        let mut s = serializer.serialize_struct("Ledger", 10)?;
        s.serialize_field("verdict", self.verdict().as_str())?;
        s.serialize_field("forced", &forced)?;
        s.serialize_field("abandoned", &abandoned)?;
        s.serialize_field("admitted", &self.totals.admitted)?;
        s.serialize_field("connected", &self.totals.connected)?;
        s.serialize_field("lost", &self.totals.lost)?;
        s.serialize_field("refused", &self.totals.refused)?;
        s.serialize_field("by_reason", &self.totals.by_reason)?;
        s.serialize_field("elapsed_ms", &millis(self.elapsed))?;
        s.serialize_field("rows", &self.rows)?;
        s.end()
    }
}

const LOST_FIELDS: usize = 14;

fn write_lost<S: Serializer>(s: &mut S::SerializeStruct, lost: &Lost) -> Result<(), S::Error> {
    s.serialize_field("id", &lost.id)?;
    s.serialize_field("peer", &*lost.peer.name)?;
    s.serialize_field("address", &lost.peer.address.map(|address| address.to_string()))?;
    s.serialize_field("role", &lost.role)?;
    s.serialize_field("phase", &lost.phase)?;
    s.serialize_field("reason", lost.reason.code())?;
    s.serialize_field("detail", &lost.reason.to_string())?;
    s.serialize_field("close_notify_sent", &lost.proof.close_notify_sent)?;
    s.serialize_field("close_notify_received", &lost.proof.close_notify_received)?;
    s.serialize_field("fin_seen", &lost.proof.fin_seen)?;
    s.serialize_field("secure", &lost.secure)?;
    s.serialize_field("bytes_in", &lost.bytes_in)?;
    s.serialize_field("bytes_out", &lost.bytes_out)?;
    s.serialize_field("bytes_unsent", &lost.bytes_unsent)?;
    s.serialize_field("age_ms", &millis(lost.age))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
