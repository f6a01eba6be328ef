//! What the pieces work on: always the same, from a fixed seed.

use fastrand::Rng;

const SEED: u64 = 7;

/// Names of topics as applications choose them: words, numbers and long ids, 8 to 40 bytes each.
pub fn topics(count: usize) -> Vec<String> {
    let mut rng = Rng::with_seed(SEED);
    let name = |number: usize| match number % 4 {
        0 => format!("room:{}", rng.u32(100..1_000_000)),
        1 => format!(
            "user:{:08x}-{:04x}-4{:03x}-{:016x}",
            rng.u32(..),
            rng.u16(..),
            rng.u16(..4096),
            rng.u64(..)
        ),
        2 => format!("topics:{}", letters(&mut rng, 6)),
        _ => format!("document:{}:cursor", rng.u32(1..100_000)),
    };
    (0..count).map(name).collect()
}

/// A JSON object of so many bytes, at least 11.
pub fn payload(bytes: usize) -> Vec<u8> {
    let mut rng = Rng::with_seed(SEED);
    format!("{{\"body\":\"{}\"}}", letters(&mut rng, bytes.saturating_sub(11))).into_bytes()
}

fn letters(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| rng.lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_the_same_every_time() {
        assert_eq!(topics(100), topics(100));
        assert!(topics(1000).iter().all(|topic| (8..=40).contains(&topic.len())));
        for bytes in [11, 12, 128, 4096] {
            assert_eq!(payload(bytes).len(), bytes);
            assert_eq!(payload(bytes), payload(bytes));
        }
    }
}
