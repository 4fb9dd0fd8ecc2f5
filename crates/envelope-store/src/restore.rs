//! Restoring archived objects.

/// The time for which an archived object is restored, and the urgency.
///
/// ```
/// use envelope_store::{Restore, RestoreTier};
///
/// let restore = Restore::new(3).with_tier(RestoreTier::Expedited);
/// assert_eq!((restore.days(), restore.tier()), (3, Some(RestoreTier::Expedited)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    days: u16,
    tier: Option<RestoreTier>,
}

/// The urgency with which an archived object is restored. Not all storage classes have all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestoreTier {
    /// Within minutes or an hour, at the highest price.
    Expedited,
    /// Within hours.
    Standard,
    /// Within half a day or longer, at the lowest price.
    Bulk,
}

impl Restore {
    /// Restores an object for this many days, which are at least 1, with the service's own tier.
    #[must_use]
    pub const fn new(days: u16) -> Self {
        Self { days: if days == 0 { 1 } else { days }, tier: None }
    }

    /// Sets how soon it is restored.
    #[must_use]
    pub const fn with_tier(mut self, tier: RestoreTier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Returns the number of days.
    #[must_use]
    pub const fn days(self) -> u16 {
        self.days
    }

    /// Returns how soon it is restored.
    #[must_use]
    pub const fn tier(self) -> Option<RestoreTier> {
        self.tier
    }
}

impl RestoreTier {
    /// Returns the name that both services have for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Expedited => "Expedited",
            Self::Standard => "Standard",
            Self::Bulk => "Bulk",
        }
    }
}
