//! How many connections there may be.

use super::*;
use crate::listen::connection::Order;
use crate::listen::table::{Refused, Slot};
use crate::listen::unsent::Probe;

fn table(connections: usize, connections_per_address: usize) -> (Arc<Table>, Instant) {
    let begun = Instant::now();
    (Arc::new(Table::new(Limits { connections, connections_per_address, ..LIMITS }, begun)), begun)
}

fn take(table: &Arc<Table>, address: &str) -> Result<Slot, Refused> {
    table.take_slot(SocketAddr::new(address.parse().unwrap(), 4000), Probe::closed())
}

#[test]
fn no_more_connections_than_allowed_in_all() {
    let (table, _) = table(2, 0);
    let held = [take(&table, "192.0.2.1").unwrap(), take(&table, "::1").unwrap()];
    assert_eq!(take(&table, "192.0.2.2").unwrap_err(), Refused::Total);
    assert_eq!(take(&table, "127.0.0.1").unwrap_err(), Refused::Total, "this machine's count as well");
    drop(held);
    assert_eq!(table.len(), 0);
    take(&table, "192.0.2.2").unwrap();
}

#[test]
fn no_more_connections_than_allowed_of_an_address() {
    let (table, _) = table(0, 2);
    let held = [take(&table, "192.0.2.1").unwrap(), take(&table, "::ffff:192.0.2.1").unwrap()];
    assert_eq!(take(&table, "192.0.2.1").unwrap_err(), Refused::Address);
    let _other = take(&table, "192.0.2.2").unwrap();
    // A subscriber of IPv6 has a whole /64.
    let _six = [take(&table, "2001:db8:0:1::1").unwrap(), take(&table, "2001:db8:0:1:ffff::2").unwrap()];
    assert_eq!(take(&table, "2001:db8:0:1::3").unwrap_err(), Refused::Address);
    let _next = take(&table, "2001:db8:0:2::1").unwrap();
    let _own: Vec<_> = (0..10).map(|n| take(&table, ["127.0.0.1", "::1"][n % 2]).unwrap()).collect();
    drop(held);
    take(&table, "192.0.2.1").unwrap();
}

#[test]
fn zero_is_no_limit() {
    let (table, _) = table(0, 0);
    let held: Vec<_> = (0..3000).map(|_| take(&table, "192.0.2.1").unwrap()).collect();
    assert_eq!(table.len(), held.len());
}

#[test]
fn the_longest_silent_gives_its_place() {
    let (table, begun) = table(3, 0);
    let first = take(&table, "192.0.2.1").unwrap();
    table.sweep(begun + Duration::from_secs(2));
    let second = take(&table, "192.0.2.2").unwrap();
    let third = take(&table, "192.0.2.3").unwrap();
    let _request = crate::listen::connection::Request::begin(second.connection());
    table.sweep(begun + Duration::from_secs(9));
    assert_eq!(take(&table, "192.0.2.4").unwrap_err(), Refused::Total, "nobody has been silent for long");
    table.sweep(begun + Duration::from_secs(13));
    let fourth = take(&table, "192.0.2.4").unwrap();
    assert_eq!(first.connection().standing(), Order::Abort);
    let fifth = take(&table, "192.0.2.5").unwrap();
    assert_eq!(third.connection().standing(), Order::Abort);
    assert_eq!(second.connection().standing(), Order::Stay, "it has a request in progress");
    assert_eq!(take(&table, "192.0.2.6").unwrap_err(), Refused::Total);
    drop((first, third, fourth, fifth));
}

#[test]
fn the_longest_silent_are_let_go_first() {
    let (table, begun) = table(0, 0);
    let slots: Vec<_> = (0..6)
        .map(|n| {
            table.sweep(begun + Duration::from_secs(n));
            take(&table, "192.0.2.1").unwrap()
        })
        .collect();
    let _request = crate::listen::connection::Request::begin(slots[1].connection());
    assert_eq!(table.let_go(3), 3);
    let gone: Vec<_> = slots.iter().map(|slot| slot.connection().standing() == Order::Abort).collect();
    assert_eq!(gone, [true, false, true, true, false, false]);
    assert_eq!(table.let_go(16), 2, "they are not let go twice");
    assert_eq!(table.let_go(16), 0);
}

#[tokio::test]
async fn one_too_many_is_reset() {
    let stage = Stage::new(Limits { connections: 1, ..LIMITS }).await;
    let mut first = stage.ask("/small").await;
    assert!(head(&mut first).await.starts_with("HTTP/1.1 200"));
    let mut second = stage.connect().await;
    // It may be noticed at the write or at the read.
    let _ = second.write_all(request("/small").as_bytes()).await;
    let mut answer = Vec::new();
    assert!(second.read_to_end(&mut answer).await.is_err());
    assert_eq!(answer, b"");
    first.write_all(request("/small").as_bytes()).await.unwrap();
    let mut body = [0; 5];
    first.read_exact(&mut body).await.unwrap();
    assert!(head(&mut first).await.starts_with("HTTP/1.1 200"), "the others go on");
}

#[test]
fn of_those_that_fell_silent_together_the_newest_goes_last() {
    let (table, _) = table(0, 0);
    let mut held: Vec<_> = (1..=3).map(|n| take(&table, &format!("192.0.2.{n}")).unwrap()).collect();
    // The newest has the place of one that has gone.
    drop(held.remove(0));
    let newest = take(&table, "192.0.2.4").unwrap();
    assert_eq!(table.let_go(2), 2);
    assert!(held.iter().all(|slot| slot.connection().standing() == Order::Abort));
    assert!(newest.connection().standing() != Order::Abort);
}
