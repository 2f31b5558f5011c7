//! Which rungs of the ladder a source gets, and with how many bits a second.

use crate::settings::Settings;

/// By how much the bits that content needs grow with its pixels: less than in proportion.
const GROWTH: f64 = 0.75;
/// A rung of the source's size that takes nearly as many bits as the source is no use to anybody.
const NEARLY: f64 = 0.9;

/// A rung of the ladder that fits the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Pixels of a frame.
    pub pixels: u64,
    /// Bits a second at the most; none where a quality is held.
    pub bitrate: Option<u32>,
}

/// What was measured of the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Pixels of a frame.
    pub pixels: u64,
    /// Bits a second.
    pub bitrate: f64,
}

/// A rung that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Of the offer.
    pub index: usize,
    /// Bits a second to begin with; none where a quality is held.
    pub bitrate: Option<u32>,
}

/// Chooses from offers, which are ordered from the top down. A source that takes few bits for its pixels is easy, and so are its rungs. The
/// lowest rung is always there, for viewers with the slowest connections.
pub fn choose(offers: &[Offer], source: Measured, settings: &Settings) -> Vec<Chosen> {
    let mut chosen: Vec<Chosen> = Vec::new();
    for (index, offer) in offers.iter().enumerate() {
        let is_lowest = index + 1 == offers.len();
        let Some(most) = offer.bitrate else {
            chosen.push(Chosen { index, bitrate: None });
            continue;
        };
        let bitrate = needed(offer, most, source, settings.floor);
        let repeats = offer.pixels >= source.pixels && f64::from(bitrate) >= source.bitrate * NEARLY;
        let above = chosen.iter().rev().find_map(|rung| rung.bitrate);
        let near = above.is_some_and(|above| f64::from(bitrate) * settings.step > f64::from(above));
        if is_lowest || !repeats && !near {
            chosen.push(Chosen { index, bitrate: Some(bitrate) });
        }
    }
    // The top and the lowest stay as long as they can, those just above the lowest go first.
    while chosen.len() > settings.rungs {
        let last_but_one = chosen.len().saturating_sub(2);
        chosen.remove(last_but_one.max(usize::from(chosen.len() > 1 && settings.rungs > 1)));
    }
    chosen
}

/// The bits a second that a rung needs for this content, within what the operator allows.
fn needed(offer: &Offer, most: u32, source: Measured, floor: f64) -> u32 {
    let share = offer.pixels as f64 / source.pixels.max(1) as f64;
    let needed = source.bitrate * share.powf(GROWTH);
    let most = f64::from(most);
    needed.clamp(most * floor, most) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: u64 = 1280 * 720;

    fn ladder() -> Vec<Offer> {
        [(1280 * 720, 2_500_000), (854 * 480, 1_200_000), (426 * 240, 400_000)]
            .map(|(pixels, bitrate)| Offer { pixels, bitrate: Some(bitrate) })
            .into()
    }

    fn chosen(offers: &[Offer], bitrate: f64, settings: Settings) -> Vec<(usize, Option<u32>)> {
        let measured = Measured { pixels: HD, bitrate };
        choose(offers, measured, &settings).into_iter().map(|rung| (rung.index, rung.bitrate)).collect()
    }

    #[test]
    fn hard_content_gets_what_the_ladder_allows() {
        let rungs = chosen(&ladder(), 8_000_000.0, Settings::default());
        assert_eq!(rungs, [(0, Some(2_500_000)), (1, Some(1_200_000)), (2, Some(400_000))]);
    }

    #[test]
    fn easy_content_gets_fewer_bits_and_no_copy_of_itself() {
        // 1.1 Mb/s for 720p: the top rung would be a copy with as many bits.
        let rungs = chosen(&ladder(), 1_100_000.0, Settings::default());
        assert_eq!(rungs.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
        assert!(rungs[0].1.unwrap() < 700_000, "{rungs:?}");
        assert!(rungs[1].1.unwrap() >= 160_000, "{rungs:?}");
    }

    #[test]
    fn rungs_that_would_be_alike_are_one() {
        let offers: Vec<_> = [1_000_000, 900_000, 800_000, 300_000]
            .map(|bitrate| Offer { pixels: HD / 4, bitrate: Some(bitrate) })
            .into();
        let rungs = chosen(&offers, 20_000_000.0, Settings::default());
        assert_eq!(rungs.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn the_lowest_rung_is_always_there() {
        for bitrate in [0.0, 1.0, 50_000.0, 1e12] {
            let rungs = chosen(&ladder(), bitrate, Settings::default());
            assert_eq!(rungs.last().unwrap().0, 2, "{bitrate}");
        }
        let one = Settings { rungs: 1, ..Settings::default() };
        assert_eq!(chosen(&ladder(), 8e6, one), [(2, Some(400_000))]);
        let two = Settings { rungs: 2, ..Settings::default() };
        assert_eq!(chosen(&ladder(), 8e6, two).iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
        assert!(chosen(&[], 8e6, Settings::default()).is_empty());
    }

    #[test]
    fn a_quality_is_left_to_the_encoder() {
        let offers = [Offer { pixels: HD, bitrate: None }, Offer { pixels: HD / 4, bitrate: Some(500_000) }];
        assert_eq!(chosen(&offers, 8e6, Settings::default()), [(0, None), (1, Some(500_000))]);
    }
}
