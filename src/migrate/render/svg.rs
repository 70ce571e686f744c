//! Drawings as inline SVG; colours come from the page's style.

use super::visible;
use crate::migrate::drawing::{Bar, Drawing, Station};
use maud::{Markup, html};

/// The width of a drawing, in its own units: as many as a small screen has pixels.
const WIDTH: usize = 420;

/// A drawing.
pub fn draw(drawing: &Drawing) -> Markup {
    match drawing {
        Drawing::Path { stations } => path(stations),
        Drawing::Timeline { states, bars } => timeline(states, bars),
    }
}

/// The part of a text that so many letters leave room for.
fn fitting(text: &str, letters: usize) -> String {
    let text = visible(text).replace('\n', " ");
    if text.chars().count() <= letters {
        return text;
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

fn path(stations: &[Station]) -> Markup {
    const BOX: usize = 44;
    const STEP: usize = 62;
    let height = stations.len().saturating_sub(1) * STEP + BOX + 2;
    html! {
        svg class="path" viewBox={ "0 0 " (WIDTH) " " (height) } role="img" {
            @for (number, station) in stations.iter().enumerate() {
                @let y = number * STEP + 1;
                g {
                    title { (visible(&station.title)) " " (visible(&station.detail)) }
                    rect x="1" y=(y) width=(WIDTH - 2) height=(BOX) rx="5" {}
                    text x="12" y=(y + 19) class="name" { (fitting(&station.title, 52)) }
                    text x="12" y=(y + 36) class="detail" { (fitting(&station.detail, 58)) }
                }
                @if number + 1 < stations.len() {
                    path d={ "M30 " (y + BOX) " v12 m-4 -5 l4 5 l4 -5" } {}
                }
            }
        }
    }
}

/// Hundredths of a unit are enough.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn timeline(states: &[String], bars: &[Bar]) -> Markup {
    const STEP: usize = 46;
    let ends = bars.iter().flat_map(|bar| &bar.spans);
    let (first, last) =
        ends.fold((0.0_f64, 1.0_f64), |(first, last), span| (first.min(span.from), last.max(span.until)));
    let x = |second: f64| rounded((second - first) / (last - first) * WIDTH as f64);
    let height = bars.len() * STEP + 26;
    html! {
        svg class="timeline" viewBox={ "0 0 " (WIDTH) " " (height) } role="img" {
            @for (number, state) in states.iter().enumerate() {
                @let at = number * (WIDTH / states.len().max(1));
                rect class={ "state-" (number) } x=(at) y="2" width="12" height="12" {}
                text x=(at + 16) y="13" class="detail" { (fitting(state, 12)) }
            }
            @for (number, bar) in bars.iter().enumerate() {
                @let y = number * STEP + 26;
                g {
                    title { (visible(&bar.title)) }
                    text x="0" y=(y + 12) class="name" { (fitting(&bar.title, 56)) }
                    @for span in &bar.spans {
                        @let wide = rounded(x(span.until) - x(span.from));
                        rect class={ "state-" (span.state) } x=(x(span.from)) y=(y + 17) width=(wide) height="16" {
                            title { (rounded(span.from.max(0.0))) " s to " (rounded(span.until)) " s: " (visible(states.get(span.state).map_or("", String::as_str))) }
                        }
                        @if span.from >= 0.0 && span.until < last && wide > 0.0 {
                            text x=(x(span.until).min(WIDTH as f64 - 40.0)) y=(y + 29) class="second" { (rounded(span.until)) " s" }
                        }
                    }
                }
            }
            path class="now" d={ "M" (x(0.0)) " 22 V" (height) } {}
        }
    }
}
