//! What was measured over the time of a run, as SVG files.

use std::fs;
use std::path::Path;

use plotters::prelude::*;

use crate::error::{Context, Error, Result};
use crate::tally::Slice;

const SIZE: (u32, u32) = (960, 480);

/// One curve.
struct Curve {
    name: &'static str,
    colour: RGBAColor,
    points: Vec<(f64, f64)>,
}

/// Writes `rate.svg` and `latency.svg` into `folder`, which is made if it is missing.
pub(crate) fn draw(folder: &Path, title: &str, course: &[Slice]) -> Result<()> {
    fs::create_dir_all(folder).context(|| format!("make {}", folder.display()))?;
    let curve = |name, colour, is_rate: bool, value: fn(&Slice) -> f64| {
        // A slice without a reply has a rate, which is zero, but no latency.
        let told = course.iter().filter(|slice| slice.latency.max_us > 0.0 || is_rate);
        let points = told.map(|slice| (slice.start_s + slice.width_s / 2.0, value(slice))).collect();
        Curve { name, colour, points }
    };
    let rate = [curve("thousand rows/s", BLUE.to_rgba(), true, |slice| slice.rows_per_s / 1e3)];
    let latency = [
        // The median is drawn last, above the others.
        curve("max ms", BLACK.mix(0.3).to_rgba(), false, |slice| slice.latency.max_us / 1e3),
        curve("p99 ms", RED.to_rgba(), false, |slice| slice.latency.p99_us / 1e3),
        curve("p50 ms", BLUE.to_rgba(), false, |slice| slice.latency.p50_us / 1e3),
    ];
    for (file, curves) in [("rate.svg", &rate[..]), ("latency.svg", &latency[..])] {
        let path = folder.join(file);
        chart(&path, title, curves)
            .map_err(|error| Error::Failed(format!("cannot draw {}: {error}", path.display())))?;
    }
    Ok(())
}

/// Writes one file, `NAME.svg`, with a few named curves over seconds.
pub(crate) fn curves(folder: &Path, name: &str, title: &str, of: Vec<(&'static str, Vec<(f64, f64)>)>) -> Result<()> {
    fs::create_dir_all(folder).context(|| format!("make {}", folder.display()))?;
    let colours = [RED, BLUE, BLACK];
    let curves: Vec<Curve> = of
        .into_iter()
        .zip(colours.iter().cycle())
        .map(|((name, points), colour)| Curve { name, colour: colour.to_rgba(), points })
        .collect();
    let path = folder.join(format!("{name}.svg"));
    chart(&path, title, &curves).map_err(|error| Error::Failed(format!("cannot draw {}: {error}", path.display())))
}

fn chart(path: &Path, title: &str, curves: &[Curve]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let end = points().map(|point| point.0).fold(0.1, f64::max);
    let top = points().map(|point| point.1).fold(1e-3, f64::max) * 1.1;
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    let units: Vec<&str> = curves.iter().map(|curve| curve.name).collect();
    chart.configure_mesh().light_line_style(TRANSPARENT).x_desc("seconds").y_desc(units.join(", ")).draw()?;
    for curve in curves {
        let colour = curve.colour;
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), &colour))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Latencies;

    #[test]
    fn draws_both_files() {
        let folder = std::env::temp_dir().join(format!("tidewire-charts-{}", std::process::id()));
        let latency = Latencies { p50_us: 900.0, p99_us: 2_000.0, max_us: 3_000.0, ..Latencies::default() };
        let course: Vec<Slice> =
            (0..10).map(|index| Slice { start_s: f64::from(index), width_s: 1.0, rows_per_s: 1e6, latency }).collect();
        draw(&folder, "a title", &course).unwrap();
        for (file, label) in [("rate.svg", "thousand rows/s"), ("latency.svg", "p99 ms")] {
            let text = fs::read_to_string(folder.join(file)).unwrap();
            assert!(text.starts_with("<svg") && text.contains(label) && text.contains("a title"), "{file}");
            assert!(text.contains("<polyline"), "{file} has a curve");
        }
        curves(&folder, "disk", "a title", vec![("MB", vec![(0.0, 1.0), (60.0, 2.0)])]).unwrap();
        assert!(fs::read_to_string(folder.join("disk.svg")).unwrap().contains("<polyline"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
