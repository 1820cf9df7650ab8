//! How many connections an address has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// The counts; an address without connections has no entry.
#[derive(Clone, Debug, Default)]
pub(super) struct PerAddress(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl PerAddress {
    /// Counts a connection of `address`, unless it has `limit` already.
    pub(super) fn admit(&self, address: IpAddr, limit: usize) -> Option<Counted> {
        let address = network(address);
        if address.is_loopback() {
            return Some(Counted(None));
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Counted(Some((self.clone(), address))))
    }
}

/// One counted connection.
#[derive(Debug)]
pub(super) struct Counted(Option<(PerAddress, IpAddr)>);

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((counts, address)) = self.0.take() else { return };
        let mut counts = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// One customer has one IPv4 address, or one IPv6 /64 with as many addresses as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_counted_and_forgotten() {
        let counts = PerAddress::default();
        let of = |text: &str| counts.admit(text.parse().unwrap(), 2);
        let (one, two) = (of("2001:db8::1"), of("2001:db8::2"));
        assert!(one.is_some() && two.is_some() && of("2001:db8::3").is_none());
        assert!(of("2001:db8:0:1::1").is_some() && of("192.0.2.1").is_some());
        drop(one);
        assert!(of("2001:db8::3").is_some());
        drop(two);
        assert!(counts.0.lock().unwrap().is_empty());
        let local: Vec<_> = (0..9).map(|_| of("127.0.0.1")).collect();
        assert!(local.iter().all(Option::is_some));
    }
}
