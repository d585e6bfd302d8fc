//! How a stop with a crowd went.

use std::collections::BTreeMap;

use exeunt::Ledger;

/// How many connections were in which phase when the stop began, and how those ended.
pub fn roll_call(ledger: &Ledger) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for row in &ledger.rows {
        *ends.entry(format!("{}: {}", row.phase_at_stop, row.lost.reason.code())).or_default() += 1;
    }
    ends
}

/// The same, as it is expected.
pub fn expected<const N: usize>(ends: [(&str, usize); N]) -> BTreeMap<String, usize> {
    ends.map(|(end, n)| (end.to_owned(), n)).into()
}
