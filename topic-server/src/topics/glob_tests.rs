use super::*;

#[test]
fn it_is() {
    assert!(matches(b"*", b"a"));
}
