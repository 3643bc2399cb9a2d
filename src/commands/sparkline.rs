//! A series of numbers as one short line of bars.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_BARS: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];

/// At most `width` bars, each the largest number of its part of the series; a blank where there is none.
pub fn sparkline(values: &[Option<f64>], width: usize, unicode: bool) -> String {
    let bars = if unicode { BARS } else { ASCII_BARS };
    let finite = |value: &Option<f64>| value.filter(|value| value.is_finite());
    let parts = values.len().min(width.max(1));
    let largest: Vec<Option<f64>> = (0..parts)
        .map(|part| {
            let (from, to) = (part * values.len() / parts, (part + 1) * values.len() / parts);
            values[from..to].iter().filter_map(finite).reduce(f64::max)
        })
        .collect();
    let most = largest.iter().flatten().copied().fold(0.0_f64, f64::max);
    let least = largest.iter().flatten().copied().fold(0.0_f64, f64::min);
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(_) if most <= least => bars[0],
        Some(value) => bars[(((value - least) / (most - least) * 7.0).round() as usize).min(7)],
    };
    largest.iter().map(bar).collect()
}

/// Such a line with at most `width` bars, each the largest of its part.
pub fn narrowed(line: &str, width: usize) -> String {
    let bars: Vec<char> = line.chars().collect();
    let rank =
        |bar: &char| BARS.iter().chain(&ASCII_BARS).position(|known| known == bar).map_or(0, |at| at % BARS.len() + 1);
    let parts = bars.len().min(width.max(1));
    let part =
        |at: usize| bars[at * bars.len() / parts..(at + 1) * bars.len() / parts].iter().copied().max_by_key(rank);
    (0..parts).filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        let check = |values: &[f64], width, expect: &str| {
            let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
            assert_eq!(sparkline(&values, width, true), expect);
        };
        check(&[], 5, "");
        check(&[0.0, 0.0], 5, "▁▁");
        check(&[0.0, 7.0, 3.5], 5, "▁█▅");
        check(&[0.0, 1.0, 8.0, 2.0], 2, "▂█");
        assert_eq!(sparkline(&[Some(1.0), None, Some(f64::NAN)], 9, false), "#  ");
        assert_eq!(
            (narrowed("▁█▅ ", 2), narrowed("#_  ", 2), narrowed("", 3)),
            ("█▅".into(), "# ".into(), String::new())
        );
    }
}
