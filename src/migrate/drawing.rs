//! What a report draws: the way of a request, and who is master over time. The same is told in words beside it.

use serde::Serialize;

/// A picture, as data.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "shape", rename_all = "lowercase")]
pub enum Drawing {
    /// Stations, one after the other.
    Path {
        /// From the client to what answers.
        stations: Vec<Station>,
    },
    /// Bars over seconds, one below the other.
    Timeline {
        /// What the states are called, in the order of their colours.
        states: Vec<String>,
        /// The bars.
        bars: Vec<Bar>,
    },
}

/// A station of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Station {
    /// What it is: `location /a`.
    pub title: String,
    /// Where it is configured, or what is known of it.
    pub detail: String,
}

impl Station {
    /// A station.
    pub fn new(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { title: title.into(), detail: detail.into() }
    }
}

/// What holds one after the other, from just before something happens at second 0.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// What happens.
    pub title: String,
    /// In order, without gaps.
    pub spans: Vec<Span>,
}

/// A time in which one thing holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// In seconds; what holds before begins below 0.
    pub from: f64,
    /// In seconds.
    pub until: f64,
    /// The number of the state that holds.
    pub state: usize,
}
