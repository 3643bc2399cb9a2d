//! Lines over time as one SVG picture, written out by hand: axes, a line and its range for each series.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const PANEL_HEIGHT: f64 = 130.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 26.0;

/// A series of points over seconds.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Draws each series in a panel of its own, one below the other.
pub(super) fn svg(title: &str, series: &[Series<'_>]) -> String {
    let height = TOP + PANEL_HEIGHT * series.len() as f64 + 30.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"16\" font-size=\"13\">{}</text>\n",
        escaped(title)
    );
    let last = series.iter().flat_map(|series| &series.points).fold(1.0_f64, |last, point| last.max(point.0));
    for (number, series) in series.iter().enumerate() {
        panel(&mut out, series, TOP + PANEL_HEIGHT * number as f64, last);
    }
    let end = WIDTH - 20.0;
    writeln!(out, "<text x=\"{end}\" y=\"{}\" text-anchor=\"end\">{last:.0} s</text>", height - 12.0)
        .expect("writing to a String cannot fail");
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, series: &Series<'_>, top: f64, last: f64) {
    let (from, to) = (top + 20.0, top + PANEL_HEIGHT - 8.0);
    let most = series.points.iter().fold(0.0_f64, |most, point| most.max(point.1));
    let place = |point: &(f64, f64)| {
        let x = LEFT + (WIDTH - 20.0 - LEFT) * point.0 / last;
        let y = if most > 0.0 { to - (to - from) * point.1 / most } else { to };
        format!("{x:.1},{y:.1}")
    };
    let points: Vec<String> = series.points.iter().map(place).collect();
    let name = escaped(series.name);
    writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\">{name}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most:.1}</text>\n\
         <text x=\"{}\" y=\"{to}\" text-anchor=\"end\">0</text>\n\
         <path d=\"M{LEFT} {from}V{to}H{}\" fill=\"none\" stroke=\"#999\"/>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#06c\"/>",
        top + 14.0,
        LEFT - 6.0,
        from + 8.0,
        LEFT - 6.0,
        WIDTH - 20.0,
        points.join(" ")
    )
    .expect("writing to a String cannot fail");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_line_for_each_series() {
        let series = |name, points| Series { name, points };
        let picture = svg("a < b", &[series("RSS", vec![(0.0, 1.0), (10.0, 2.0)]), series("none", Vec::new())]);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("a &lt; b") && picture.contains("10 s"));
        assert!(picture.contains("points=\"90.0,97.0 880.0,46.0\""), "{picture}");
        assert_eq!(picture.matches("<polyline").count(), 2);
    }
}
