//! The backend without HTTP, as the example shows it.

use universal_examples::embed::{Order, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_example_does_what_it_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = run(folder.path()).await.expect("the example runs");
    let order = Order { customer: "Ada".to_owned(), cents: 1250 };
    assert_eq!(report.announced, order);
    assert_eq!(report.sent, 1);
    assert_eq!(report.orders, [order], "the refused order is gone with its invoice");
    // A second start finds what the first left.
    let report = run(folder.path()).await.expect("the example runs again");
    assert_eq!((report.sent, report.orders.len()), (2, 2));
}
