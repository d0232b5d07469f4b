use super::*;

#[test]
fn a_row_of_any_length_is_converted_to_its_end() {
    let matrix = Matrix::of(Colorimetry::default());
    for width in 0..=65_u8 {
        let samples: Vec<[u8; 3]> = (0..width)
            .map(|x| [3, 7, 11].map(|by: u8| x.wrapping_mul(by)))
            .collect();
        for at in [[0, 8, 24], [8, 0, 16]] {
            let words: Vec<u32> = samples
                .iter()
                .map(|it| (0..3).map(|part| u32::from(it[part]) << at[part]).sum())
                .collect();
            let mut row = vec![0; 3 * samples.len()];
            matrix.convert(&words, at, &mut row);
            let alone = samples.iter().map(|[luma, u, v]| matrix.rgb(*luma, *u, *v));
            assert_eq!(
                row,
                alone.flatten().collect::<Vec<u8>>(),
                "of {width} pixels"
            );
        }
    }
}

#[test]
fn black_white_and_red_of_the_limited_range_are_those_of_rgb() {
    let matrix = Matrix::of(Colorimetry::default());
    assert_eq!(matrix.rgb(16, 128, 128), [0, 0, 0]);
    assert_eq!(matrix.rgb(235, 128, 128), [255, 255, 255]);
    assert_eq!(matrix.rgb(81, 90, 240), [254, 0, 0]);
}
