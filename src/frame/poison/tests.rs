use proptest::prelude::*;

use super::*;

fn places(stride: u64, bytes: u64, count: u64) -> Places {
    Places::Pixels(vec![vec![Rows {
        start: 0,
        stride,
        bytes,
        count,
    }]])
}

#[test]
fn words_lie_where_pixels_are() {
    // Rows of a page of which the first half is pixels, and one behind the other.
    let halves = places(4096, 2048, 3);
    let found: Vec<_> = (0..4).map(|page| halves.place(0, page)).collect();
    assert_eq!(found, [Some(0), Some(4096), Some(8192), None]);
    // The second page begins in a row's padding, the third in a row.
    let long = places(6000, 4000, 2);
    let found: Vec<_> = (0..4).map(|page| long.place(0, page)).collect();
    assert_eq!(found, [Some(0), Some(6000), Some(8192), None]);
    // No room for a word in a row, nor rows that are nothing.
    assert_eq!(places(64, 7, 100).place(0, 0), None);
    assert_eq!(places(0, 0, 100).place(0, 0), None);
    assert_eq!(halves.place(1, 0), None, "there is no such plane");
}

#[test]
fn a_driver_need_not_write_before_its_frame_s_first_byte() {
    let halves = places(4096, 2048, 3);
    assert!(halves.is_written(0, 4096, 0));
    assert!(halves.is_written(0, 4096, 4096));
    assert!(
        !halves.is_written(0, 4096, 1024),
        "that is the first row's padding"
    );
    assert!(!halves.is_written(0, 0, 16));
}

proptest! {
    #[test]
    fn a_word_is_all_pixels_and_in_its_page(
        stride in 0_u64..20_000, bytes in 0_u64..20_000, count in 0_u64..50, start in 0_u64..9000,
    ) {
        let stride = stride.max(bytes);
        let rows = Rows { start, stride, bytes, count };
        for page in 0..300 {
            let place = Places::Pixels(vec![vec![rows]]).place(0, page);
            // As slowly as can be.
            let mut all = page * PAGE..=(page + 1) * PAGE - WORD;
            let expected = all.find(|at| (0..count).any(|row| {
                let begin = start + row * stride;
                *at as u64 >= begin && (*at + WORD) as u64 <= begin + bytes
            }));
            prop_assert_eq!(place, expected, "page {}", page);
            if page > 3 && place.is_none() {
                break;
            }
        }
    }

    #[test]
    fn nothing_that_a_driver_describes_overflows(
        start: u64, stride: u64, bytes: u64, count: u64, page: usize, offset: usize,
    ) {
        let rows = Rows { start, stride: stride.max(bytes), bytes, count };
        let places = Places::Pixels(vec![vec![rows]]);
        if let Some(place) = places.place(0, page) {
            places.is_written(0, place, offset);
        }
    }
}
