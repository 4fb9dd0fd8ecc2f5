//! The chart in the README.

use std::path::Path;

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::cipher::Bars;

/// One colour per contender, distinguishable with colour vision deficiency (Okabe and Ito).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(150, 150, 150),
];

/// Draws gigabytes per second, with a group of bars for each length.
pub fn draw(path: &Path, bars: &Bars) -> Result<(), Box<dyn std::error::Error>> {
    let bars: Vec<_> =
        bars.iter().filter(|(name, _)| *name != "4 KiB" && *name != "256 KiB").collect();
    let most =
        bars.iter().flat_map(|(_, group)| group).map(|(_, speed)| *speed).fold(0.0, f64::max);
    let area = SVGBackend::new(path, (760, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("AES-256-CTR in place, one thread, GB/s", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(40)
        // Room for the names of the contenders on the right.
        .build_cartesian_2d(0.0..bars.len() as f64 + 0.9, 0.0..most * 1.12)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().disable_x_axis().y_labels(6).light_line_style(TRANSPARENT).draw()?;
    let who: Vec<&str> = bars[0].1.iter().map(|(name, _)| *name).collect();
    let width = 0.84 / who.len() as f64;
    for (index, name) in who.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let boxes = bars.iter().enumerate().map(|(group, (_, speeds))| {
            let left = group as f64 + 0.08 + index as f64 * width;
            Rectangle::new([(left, 0.0), (left + width * 0.9, speeds[index].1)], colour.filled())
        });
        chart
            .draw_series(boxes)?
            .label(*name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
    }
    let style = ("sans-serif", 13).into_text_style(&area).pos(Pos::new(HPos::Center, VPos::Top));
    for (group, (name, _)) in bars.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(group as f64 + 0.5, 0.0));
        area.draw(&Text::new((*name).to_owned(), (x, y + 8), style.clone()))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    area.present()?;
    Ok(())
}
